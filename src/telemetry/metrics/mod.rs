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
mod text;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, Registry, TextEncoder};

pub use backend::{BackendMetrics, BackendSession, MemberMetrics, PoolMetrics};
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
use families::{
    BackendFamilies, Catalogue, DiscoveryFamilies, ListenerCertificates, ListenerFamilies,
    MemberFamilies, PoolCertificates, PoolFamilies, ProcessFamilies, Registrar, RouteFamilies,
    SessionFamilies,
};
use live::Live;
use route::RouteSeries;

/// The `route` label of requests without a route. No route can have this name.
const NO_ROUTE: &str = "";

/// The metrics of the process.
pub struct Metrics {
    /// The families of the library's own: those of the process.
    registry: Registry,
    catalogue: Catalogue,
    process: ProcessFamilies,
    reloads: Enumerated,
    unrouted: Enumerated,
    listeners: Live<ListenerFamilies, ListenerMetrics>,
    certificates: Live<ListenerCertificates, CertificateMetrics>,
    pool_certificates: Live<PoolCertificates, CertificateMetrics>,
    routes: Live<SessionFamilies, RouteMetrics>,
    route_series: Live<RouteFamilies, RouteSeries>,
    pools: Live<PoolFamilies, PoolMetrics>,
    backends: Live<BackendFamilies, BackendMetrics>,
    members: Live<MemberFamilies, MemberMetrics>,
    discoveries: Live<DiscoveryFamilies, DiscoveryMetrics>,
}

impl Metrics {
    /// Registers all families and creates the series of the process, at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        register_process(&registry);
        let mut catalogue = Catalogue::new();
        let process = ProcessFamilies::register(&mut Registrar::new(&mut catalogue));
        process.last_reload_successful.set(1);
        let started = seconds_since_epoch(SystemTime::now());
        process.last_reload_success.set(started);
        let route_series = Live::new(&mut catalogue, RouteFamilies::register);
        let handshakes = &route_series.families.handshakes;
        Self {
            reloads: Enumerated::new(&process.reloads, &[], ReloadResult::TEXTS),
            unrouted: Enumerated::new(handshakes, &[NO_ROUTE], labels::handshake_results()),
            process,
            listeners: Live::new(&mut catalogue, ListenerFamilies::register),
            certificates: Live::new(&mut catalogue, ListenerCertificates::register),
            pool_certificates: Live::new(&mut catalogue, PoolCertificates::register),
            routes: Live::new(&mut catalogue, SessionFamilies::register),
            route_series,
            pools: Live::new(&mut catalogue, PoolFamilies::register),
            backends: Live::new(&mut catalogue, BackendFamilies::register),
            members: Live::new(&mut catalogue, MemberFamilies::register),
            discoveries: Live::new(&mut catalogue, DiscoveryFamilies::register),
            registry,
            catalogue,
        }
    }

    /// The handle of a listener.
    #[must_use]
    pub fn listener(&self, listener: &Name) -> Arc<ListenerMetrics> {
        self.listeners.handle(&[listener], |families| {
            ListenerMetrics::new(families, listener)
        })
    }

    /// The handle of a certificate of a listener; `name` is unique in the listener.
    #[must_use]
    pub fn certificate(&self, listener: &Name, name: &Name) -> Arc<CertificateMetrics> {
        self.certificates.handle(&[listener, name], |families| {
            CertificateMetrics::new(&families.not_after, listener, name)
        })
    }

    /// The handle of the client certificate of a pool.
    #[must_use]
    pub fn pool_certificate(&self, pool: &Name, name: &Name) -> Arc<CertificateMetrics> {
        self.pool_certificates.handle(&[pool, name], |families| {
            CertificateMetrics::new(&families.not_after, pool, name)
        })
    }

    /// The handle of a route and its pool; `None` for a route that answers by itself.
    #[must_use]
    pub fn route(&self, route: &Name, pool: Option<&Name>) -> Arc<RouteMetrics> {
        // No pool can have this name.
        let no_pool = Name::default();
        let key = [route, pool.unwrap_or(&no_pool)];
        self.routes.handle(&key, |sessions| {
            let series = self
                .route_series
                .handle(&[route], |families| RouteSeries::new(families, route));
            RouteMetrics::new(&sessions.active, series, pool)
        })
    }

    /// The handle of a pool.
    #[must_use]
    pub fn pool(&self, pool: &Name) -> Arc<PoolMetrics> {
        self.pools
            .handle(&[pool], |families| PoolMetrics::new(families, pool))
    }

    /// The handle of a pool whose backends are discovered.
    #[must_use]
    pub fn discovery(&self, pool: &Name) -> Arc<DiscoveryMetrics> {
        self.discoveries
            .handle(&[pool], |families| DiscoveryMetrics::new(families, pool))
    }

    /// The handle of a backend in a pool.
    #[must_use]
    pub fn backend(&self, pool: &Name, backend: &Name) -> Arc<BackendMetrics> {
        self.backends.handle(&[pool, backend], |families| {
            BackendMetrics::new(families, self.pool(pool), backend)
        })
    }

    /// The handle of a backend that the configuration has.
    #[must_use]
    pub fn member(&self, pool: &Name, backend: &Name) -> Arc<MemberMetrics> {
        self.members.handle(&[pool, backend], |families| {
            MemberMetrics::new(families, self.backend(pool, backend))
        })
    }

    /// Counts a reload, and notes whether and when the last one succeeded.
    pub fn reloaded(&self, result: ReloadResult) {
        self.reloads.increment(result.label());
        let process = &self.process;
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
        self.process
            .drain_sessions
            .set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    /// The counter of dropped access-log lines.
    pub(super) fn dropped_lines(&self) -> &IntCounter {
        &self.process.dropped_lines
    }

    /// Counts a request that ended before a route took it.
    pub(super) fn unrouted(&self, result: HandshakeResult) {
        self.unrouted.increment(result.label());
    }

    pub(super) fn render(&self) -> String {
        self.sweep();
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics of the process cannot be written as text");
        }
        for family in self.catalogue.values() {
            family.write(&mut text);
        }
        text
    }

    /// Removes series whose handles are gone. Every scrape does that as well, but there may be no scrapes.
    pub fn sweep(&self) {
        self.listeners.sweep();
        self.certificates.sweep();
        self.pool_certificates.sweep();
        // Routes, members and backends hold handles of route series, backends and pools, so those are swept after them.
        self.routes.sweep();
        self.route_series.sweep();
        self.members.sweep();
        self.backends.sweep();
        self.discoveries.sweep();
        self.pools.sweep();
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
    let collector = Box::new(ProcessCollector::for_self());
    registry
        .register(collector)
        .expect("nothing else is registered");
}

#[cfg(not(target_os = "linux"))]
fn register_process(_registry: &Registry) {}

#[cfg(test)]
mod tests;
