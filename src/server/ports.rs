//! The open listeners: their sockets, their accept loops, and what ends their connections.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::workers::{AbortOnDrop, Placement, spawn};
use crate::config::{Address, Name};
use crate::drain::Drain;
use crate::listener::{Accepted, Bound, Entry, Handler, Listener, Settings, serve};
use crate::occupancy::Occupancy;
use crate::telemetry::{ConnectionRejection, ListenerMetrics};

/// How many connections beyond `limits.max_connections` are still accepted, to be told that they are too
/// many. Further ones wait in the system's queue.
const SURPLUS: usize = 64;

/// Finds the settings in force for a listener; none once it is removed.
pub(super) type FindSettings = Arc<dyn Fn(&str) -> Option<Arc<Settings>> + Send + Sync>;

/// Finds the metrics of a listener, which are made with it.
pub(super) type FindMetrics = Arc<dyn Fn(&Name) -> Arc<ListenerMetrics> + Send + Sync>;

/// An open listener.
pub(super) struct Port {
    configured: Address,
    bound: Bound,
    drain: Arc<Drain>,
    connections: Arc<Occupancy>,
    accepting: Option<AbortOnDrop>,
}

impl Port {
    /// Where it listens.
    pub(super) fn address(&self) -> &Address {
        self.bound.address()
    }

    /// Connections open now.
    pub(super) fn connections(&self) -> usize {
        self.connections.taken()
    }

    /// What ends its connections and sessions.
    pub(super) fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }

    /// Removes what listening left in the file system.
    pub(super) fn remove_file(&self) {
        self.bound.remove_file();
    }

    /// Accepts no more.
    pub(super) fn close(&mut self) {
        self.accepting = None;
    }
}

/// All open listeners by name.
#[derive(Default)]
pub(super) struct Ports {
    open: BTreeMap<Name, Port>,
}

impl Ports {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Port)> {
        self.open.iter()
    }

    /// Binds what `wanted` needs and is not open yet. Nothing is given up before all of it succeeded. An
    /// address that another listener has is shared with it until that one closes.
    ///
    /// # Errors
    /// A sentence for every address that cannot be bound.
    pub(super) fn bind<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a Name, &'a Address)>,
    ) -> Result<Vec<(Name, Address, Bound)>, Vec<String>> {
        let mut bound = Vec::new();
        let mut errors = Vec::new();
        let is_open = |name: &Name, address: &Address| {
            let port = self.open.get(name);
            port.is_some_and(|port| port.configured == *address)
        };
        for (name, address) in wanted.filter(|(name, address)| !is_open(name, address)) {
            match self.bind_one(address) {
                Ok(socket) => bound.push((Arc::clone(name), address.clone(), socket)),
                Err(error) => errors.push(format!("listeners.{name}.address: {address}: {error}")),
            }
        }
        if errors.is_empty() {
            Ok(bound)
        } else {
            Err(errors)
        }
    }

    fn bind_one(&self, address: &Address) -> io::Result<Bound> {
        match self.open.values().find(|port| port.configured == *address) {
            Some(port) => port.bound.try_clone(),
            None => Bound::bind(address),
        }
    }

    /// Takes out the listeners that `wanted` does not have, or has elsewhere.
    pub(super) fn take_gone(&mut self, wanted: impl Fn(&str) -> Option<Address>) -> Vec<Port> {
        let is_wanted = |(name, port): &(Name, Port)| wanted(name) == Some(port.configured.clone());
        let (open, gone) = mem::take(&mut self.open).into_iter().partition(is_wanted);
        self.open = open;
        let mut gone: Vec<Port> = BTreeMap::into_values(gone).collect();
        gone.iter_mut().for_each(Port::close);
        gone
    }

    /// Opens a listener: from here on it accepts.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(super) fn open<H: Handler>(
        &mut self,
        name: &Name,
        configured: Address,
        bound: Bound,
        service: &Service<H>,
    ) -> io::Result<()> {
        let acceptor = Acceptor {
            socket: bound.try_clone()?,
            metrics: (service.metrics)(name),
            drain: Arc::default(),
            connections: Arc::default(),
            service: service.clone(),
        };
        let port = Port {
            configured,
            bound,
            drain: Arc::clone(&acceptor.drain),
            connections: Arc::clone(&acceptor.connections),
            accepting: None,
        };
        let home = service.workers.home(self.open.len());
        let accepting = spawn(home, acceptor.run());
        self.open.insert(
            Arc::clone(name),
            Port {
                accepting: Some(accepting),
                ..port
            },
        );
        Ok(())
    }

    /// Removes the files of unix sockets that nobody listens at any more.
    pub(super) fn remove_files(&self, gone: &[Port]) {
        let is_left = |port: &&Port| {
            !self
                .open
                .values()
                .any(|open| open.configured == port.configured)
        };
        gone.iter().filter(is_left).for_each(Port::remove_file);
    }
}

/// What serves the connections of listeners.
pub(super) struct Service<H> {
    /// Where connections are served.
    pub(super) workers: Arc<Placement>,
    /// What answers their requests.
    pub(super) handler: Arc<H>,
    /// How they are treated.
    pub(super) settings: FindSettings,
    /// What is counted of a listener.
    pub(super) metrics: FindMetrics,
}

impl<H> Clone for Service<H> {
    fn clone(&self) -> Self {
        Self {
            workers: Arc::clone(&self.workers),
            handler: Arc::clone(&self.handler),
            settings: Arc::clone(&self.settings),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// The accept loop of one listener.
struct Acceptor<H> {
    socket: Bound,
    metrics: Arc<ListenerMetrics>,
    drain: Arc<Drain>,
    connections: Arc<Occupancy>,
    service: Service<H>,
}

impl<H: Handler> Acceptor<H> {
    async fn run(self) {
        let Self {
            socket,
            metrics,
            drain,
            connections,
            service,
        } = self;
        let name = Arc::clone(metrics.name());
        let listener = match Listener::new(socket) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(listener = %name, %error, "cannot accept"),
        };
        let limit = || {
            let settings = (service.settings)(&name);
            settings.map_or(0, |settings| settings.limits.max_connections)
        };
        let trouble = Trouble::default();
        loop {
            connections.below(|| limit().saturating_add(SURPLUS)).await;
            let accepted = listener
                .accept(|error| trouble.begin(&metrics, error))
                .await;
            trouble.end();
            let Some(settings) = (service.settings)(&name) else {
                continue;
            };
            let (runtime, place) = service.workers.place();
            let surplus = connections.taken() >= settings.limits.max_connections;
            count(&metrics, surplus);
            let entry = Entry {
                settings,
                metrics: Arc::clone(&metrics),
                drain: Arc::clone(&drain),
                slots: [connections.take(), place],
                surplus,
            };
            start(runtime, accepted, entry, &service.handler);
        }
    }
}

fn count(metrics: &ListenerMetrics, surplus: bool) {
    metrics.accepted();
    if surplus {
        metrics.rejected(ConnectionRejection::Full);
    }
}

fn start<H: Handler>(
    runtime: &tokio::runtime::Handle,
    accepted: Accepted,
    entry: Entry,
    handler: &Arc<H>,
) {
    let watch = entry.drain.watch();
    runtime.spawn(serve(accepted, entry, watch, Arc::clone(handler)));
}

/// Tells of trouble with accepting when it begins, not at every try.
#[derive(Default)]
struct Trouble(AtomicBool);

impl Trouble {
    fn begin(&self, metrics: &ListenerMetrics, error: &io::Error) {
        metrics.rejected(ConnectionRejection::AcceptFailed);
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(listener = %metrics.name(), %error, "accepting pauses");
        }
    }

    fn end(&self) {
        if self.0.load(Ordering::Relaxed) {
            self.0.store(false, Ordering::Relaxed);
            tracing::info!("accepting goes on");
        }
    }
}
