//! Accepting connections: one loop for each open listener, which gives each connection to a worker.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::coop::consume_budget;

use super::workers::Places;
use crate::config::Address;
use crate::drain::Drain;
use crate::listener::{Accepted, Entry, Handler, Listener, Settings, Visitors, serve};
use crate::occupancy::Occupancy;
use crate::telemetry::{ConnectionRejection, ListenerMetrics, Telemetry};

/// How many connections beyond `limits.max_connections` are still accepted, so that they get an answer that says so. More
/// than that wait in the system's queue.
const SURPLUS: usize = 64;

/// Finds the current settings of the listener that is configured with this name and address; `None` once it is removed or
/// moved.
pub(super) type FindSettings = Arc<dyn Fn(&str, &Address) -> Option<Arc<Settings>> + Send + Sync>;

/// What serves the connections of listeners.
pub(super) struct Service<H> {
    /// Where connections are served.
    pub(super) places: Places,
    /// What answers their requests.
    pub(super) handler: Arc<H>,
    /// Finds the settings of a listener.
    pub(super) settings: FindSettings,
    /// Has the metrics of the listeners.
    pub(super) telemetry: Arc<Telemetry>,
    /// The highest descriptor that its connections may use.
    pub(super) last_descriptor: RawFd,
}

/// The accept loop of one listener.
pub(super) struct Acceptor<H> {
    pub(super) listener: Listener,
    /// The address in the configuration.
    pub(super) configured: Address,
    pub(super) metrics: Arc<ListenerMetrics>,
    /// The drain of its connections.
    pub(super) drain: Arc<Drain>,
    /// Its open connections.
    pub(super) connections: Arc<Occupancy>,
    pub(super) service: Arc<Service<H>>,
}

impl<H: Handler> Acceptor<H> {
    /// Accepts until it is dropped.
    pub(super) async fn run(self) {
        let Self {
            listener,
            configured,
            metrics,
            drain,
            connections,
            service,
        } = self;
        let name = Arc::clone(metrics.name());
        let current = || (service.settings)(&name, &configured);
        let limit = || current().map_or(0, |settings| settings.limits.max_connections);
        let Some(mut settings) = current() else {
            return;
        };
        let trouble = Trouble::default();
        let visitors = Arc::<Visitors>::default();
        let refused = Arc::<Occupancy>::default();
        loop {
            // While clients wait in the system's queue no await below is pending, and other tasks would get no turn.
            consume_budget().await;
            connections.below(|| limit().saturating_add(SURPLUS)).await;
            let accepted = listener
                .accept(|error| trouble.begin(&metrics, error))
                .await;
            trouble.end(&metrics);
            // `None` if the listener has just been removed or moved: the last settings still hold for this connection. Those
            // of another address may ask for TLS here.
            settings = current().unwrap_or(settings);
            let (runtime, place) = service.places.take();
            let admitted = connections.taken().saturating_sub(refused.taken());
            let is_listener_full = admitted >= settings.limits.max_connections;
            metrics.accepted();
            let entry = Entry {
                settings: Arc::clone(&settings),
                metrics: Arc::clone(&metrics),
                drain: Arc::clone(&drain),
                slots: [connections.take(), place],
                visitors: Arc::clone(&visitors),
                surplus: is_listener_full.then(|| refused.take()),
            };
            start(runtime, accepted, entry, &service.handler);
        }
    }
}

fn start<H: Handler>(
    runtime: &tokio::runtime::Handle,
    accepted: Accepted,
    entry: Entry,
    handler: &Arc<H>,
) {
    let watch = entry.drain.watch();
    // Boxed, as spawning copies a future several times and this one has some kilobytes.
    runtime.spawn(Box::pin(serve(accepted, entry, watch, Arc::clone(handler))));
}

/// Logs the first of several accept errors in a row, and the end of them.
#[derive(Default)]
struct Trouble(AtomicBool);

impl Trouble {
    fn begin(&self, metrics: &ListenerMetrics, error: &io::Error) {
        metrics.rejected(ConnectionRejection::AcceptFailed);
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(listener = %metrics.name(), %error, "accepting pauses");
        }
    }

    fn end(&self, metrics: &ListenerMetrics) {
        if self.0.load(Ordering::Relaxed) {
            self.0.store(false, Ordering::Relaxed);
            tracing::info!(listener = %metrics.name(), "accepting again");
        }
    }
}
