//! All metrics.
//!
//! Names, help texts and labels are in `families.rs`, label values in `labels.rs`. Snapshots hold handles with resolved
//! labels. The same identity always gets the same handle; its series are removed by the first scrape or reload after the
//! last handle was dropped.

mod backend;
mod certificate;
mod choices;
mod direction;
mod discovery;
mod endings;
mod enumerated;
mod families;
mod family;
mod labels;
mod listener;
mod live;
mod route;
mod sizes;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Registry, TextEncoder};

pub use backend::{BackendMetrics, BackendSession, PoolMetrics};
pub use certificate::CertificateMetrics;
pub use choices::{QueueResult, StickyResult, Waiting};
pub use discovery::DiscoveryMetrics;
pub use labels::{
    CheckResult, ConnectResult, ConnectionRejection, DiscoveryResult, HandshakeResult,
    ReloadResult, TlsResult,
};
pub use listener::ListenerMetrics;
pub use prometheus::TEXT_FORMAT;
pub use route::RouteMetrics;

use crate::config::Name;
use enumerated::Enumerated;
use families::Families;
use live::Live;
use route::RouteSeries;

/// The `route` label of requests without a route. No route can have this name.
const NO_ROUTE: &str = "";

/// The metrics of the process.
pub struct Metrics {
    registry: Registry,
    families: Families,
    reloads: Enumerated,
    unrouted: Enumerated,
    listeners: Live<ListenerMetrics>,
    certificates: Live<CertificateMetrics>,
    pool_certificates: Live<CertificateMetrics>,
    routes: Live<RouteMetrics>,
    route_series: Live<RouteSeries>,
    pools: Live<PoolMetrics>,
    backends: Live<BackendMetrics>,
    discoveries: Live<DiscoveryMetrics>,
}

impl Metrics {
    /// Registers all families and creates the series of the process, at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = Families::register(&registry);
        register_process(&registry);
        let metrics = Self {
            reloads: Enumerated::new(
                &families.process.reloads,
                &[],
                ReloadResult::ALL.map(ReloadResult::label),
            ),
            unrouted: Enumerated::new(
                &families.route.handshakes,
                &[NO_ROUTE],
                labels::handshake_results(),
            ),
            registry,
            families,
            listeners: Live::new(),
            certificates: Live::new(),
            pool_certificates: Live::new(),
            routes: Live::new(),
            route_series: Live::new(),
            pools: Live::new(),
            backends: Live::new(),
            discoveries: Live::new(),
        };
        metrics.families.process.last_reload_successful.set(1);
        metrics
            .families
            .process
            .last_reload_success
            .set(seconds_since_epoch(SystemTime::now()));
        metrics
    }

    /// The handle of a listener.
    #[must_use]
    pub fn listener(&self, listener: &Name) -> Arc<ListenerMetrics> {
        self.listeners.handle(&[listener], || {
            ListenerMetrics::new(&self.families, listener)
        })
    }

    /// The handle of a certificate of a listener; `name` is unique in the listener.
    #[must_use]
    pub fn certificate(&self, listener: &Name, name: &Name) -> Arc<CertificateMetrics> {
        self.certificates.handle(&[listener, name], || {
            let family = &self.families.certificate.of_listeners;
            CertificateMetrics::new(family, listener, name)
        })
    }

    /// The handle of the client certificate of a pool.
    #[must_use]
    pub fn pool_certificate(&self, pool: &Name, name: &Name) -> Arc<CertificateMetrics> {
        self.pool_certificates.handle(&[pool, name], || {
            let family = &self.families.certificate.of_pools;
            CertificateMetrics::new(family, pool, name)
        })
    }

    /// The handle of a route and its pool; none for a route that answers by itself.
    #[must_use]
    pub fn route(&self, route: &Name, pool: Option<&Name>) -> Arc<RouteMetrics> {
        let key: &[&Name] = match pool {
            Some(pool) => &[route, pool],
            None => &[route],
        };
        self.routes.handle(key, || {
            let series = self
                .route_series
                .handle(&[route], || RouteSeries::new(&self.families.route, route));
            RouteMetrics::new(&self.families.route, series, pool)
        })
    }

    /// The handle of a pool.
    #[must_use]
    pub fn pool(&self, pool: &Name) -> Arc<PoolMetrics> {
        self.pools
            .handle(&[pool], || PoolMetrics::new(&self.families.backend, pool))
    }

    /// The handle of a pool whose backends are discovered.
    #[must_use]
    pub fn discovery(&self, pool: &Name) -> Arc<DiscoveryMetrics> {
        self.discoveries.handle(&[pool], || {
            DiscoveryMetrics::new(&self.families.backend, pool)
        })
    }

    /// The handle of a backend in a pool.
    #[must_use]
    pub fn backend(&self, pool: &Name, backend: &Name) -> Arc<BackendMetrics> {
        self.backends.handle(&[pool, backend], || {
            BackendMetrics::new(&self.families.backend, self.pool(pool), backend)
        })
    }

    /// Counts a reload, and notes whether and when the last one succeeded.
    pub fn reloaded(&self, result: ReloadResult) {
        self.reloads.increment(result.label());
        let process = &self.families.process;
        match result {
            ReloadResult::Success | ReloadResult::Noop => {
                process.last_reload_successful.set(1);
                process
                    .last_reload_success
                    .set(seconds_since_epoch(SystemTime::now()));
            }
            ReloadResult::Failure => process.last_reload_successful.set(0),
        }
    }

    /// Sets the number of sessions that a drain still waits for.
    pub fn set_drain_sessions(&self, sessions: usize) {
        self.families
            .process
            .drain_sessions
            .set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    /// Raises the count of dropped access-log lines to `total`. Not for concurrent calls.
    pub(super) fn set_dropped_lines(&self, total: u64) {
        let counter = &self.families.process.dropped_lines;
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// Counts a request that ended before a route took it.
    pub(super) fn unrouted(&self, result: HandshakeResult) {
        self.unrouted.increment(result.label());
    }

    pub(super) fn render(&self) -> String {
        self.sweep();
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| {
                tracing::error!(%error, "the metrics cannot be written as text");
                String::new()
            })
    }

    /// Removes series whose handles are gone. Every scrape does that as well, but there may be no scrapes.
    pub fn sweep(&self) {
        self.listeners.sweep(&self.families);
        self.certificates.sweep(&self.families);
        self.pool_certificates.sweep(&self.families);
        // Routes and backends hold handles of route series and pools, so those are swept after them.
        self.routes.sweep(&self.families);
        self.route_series.sweep(&self.families);
        self.backends.sweep(&self.families);
        self.discoveries.sweep(&self.families);
        self.pools.sweep(&self.families);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Whole seconds since 1970; negative before.
fn seconds_since_epoch(moment: SystemTime) -> i64 {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs());
    match moment.duration_since(UNIX_EPOCH) {
        Ok(after) => seconds(after).unwrap_or(i64::MAX),
        Err(before) => seconds(before.duration()).map_or(i64::MIN, |seconds| -seconds),
    }
}

#[cfg(target_os = "linux")]
fn register_process(registry: &Registry) {
    use prometheus::process_collector::ProcessCollector;
    families::register(registry, ProcessCollector::for_self());
}

#[cfg(not(target_os = "linux"))]
fn register_process(_registry: &Registry) {}

#[cfg(test)]
mod tests;
