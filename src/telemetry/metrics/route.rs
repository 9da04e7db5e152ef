//! The metrics of a route.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus::{Histogram, IntCounter, IntGauge};

use super::direction::DirectionSeries;
use super::endings::{self, Ending};
use super::enumerated::Enumerated;
use super::families::RouteFamilies;
use super::family::Family;
use super::labels::{self, HandshakeResult, handshake_results};
use crate::config::Name;
use crate::session::Closure;
use crate::telemetry::Traffic;
use crate::websocket::{Side, code_label};

/// The metrics of a route and its pool.
pub struct RouteMetrics {
    series: Arc<RouteSeries>,
    pool: Option<PoolSide>,
}

/// What is counted by pool: when a reload gives the route another pool, sessions stay with the old one.
struct PoolSide {
    name: Name,
    sessions_active: IntGauge,
}

impl RouteMetrics {
    pub(super) fn new(
        sessions_active: &Family<IntGauge>,
        series: Arc<RouteSeries>,
        pool: Option<&Name>,
    ) -> Self {
        let pool = pool.map(|pool| PoolSide {
            name: Arc::clone(pool),
            sessions_active: sessions_active.with_label_values(&[&series.name, pool]),
        });
        Self { series, pool }
    }

    /// The route's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.series.name
    }

    /// The name of its pool; `None` if the route answers by itself.
    #[must_use]
    pub fn pool(&self) -> Option<&Name> {
        self.pool.as_ref().map(|pool| &pool.name)
    }

    /// The number of open sessions on this route and pool.
    #[must_use]
    pub fn sessions_active(&self) -> u64 {
        let sessions = self
            .pool
            .as_ref()
            .map_or(0, |pool| pool.sessions_active.get());
        u64::try_from(sessions).unwrap_or(0)
    }

    /// Creates the series of endings with configured codes, at zero: a backend that crashes ends all its sessions at once, and
    /// `rate()` does not see the first increase of a new series.
    pub fn expect_codes(&self, backend_lost: Option<u16>, drain: u16) {
        for ending in endings::configured(backend_lost, drain) {
            self.series.closed(ending);
        }
    }

    pub(in crate::telemetry) fn handshake_finished(&self, result: HandshakeResult) {
        self.series.handshakes.increment(result.label());
    }

    /// Counts the opening of a session; [`RouteMetrics::session_closed`] must follow.
    pub(in crate::telemetry) fn session_opened(&self, handshake: Duration) {
        self.handshake_finished(HandshakeResult::Accepted);
        self.series
            .handshake_duration
            .observe(handshake.as_secs_f64());
        if let Some(pool) = &self.pool {
            pool.sessions_active.inc();
        }
    }

    pub(in crate::telemetry) fn session_closed(&self, closure: &Closure, session: Duration) {
        self.series.count_closed(closure);
        self.series.session_duration.observe(session.as_secs_f64());
        if let Some(pool) = &self.pool {
            pool.sessions_active.dec();
        }
    }

    pub(in crate::telemetry) fn add_traffic(&self, traffic: &Traffic) {
        self.series
            .client_to_backend
            .add(&traffic.client_to_backend);
        self.series
            .backend_to_client
            .add(&traffic.backend_to_client);
    }

    /// Counts a plain request by the status of its answer; `None` if the client left before.
    pub(in crate::telemetry) fn request_answered(
        &self,
        status: Option<StatusCode>,
        duration: Duration,
    ) {
        self.series.requests.increment(labels::status(status));
        if status.is_some() {
            self.series.request_duration.observe(duration.as_secs_f64());
        }
    }

    pub(in crate::telemetry) fn ping_answered(&self, round_trip: Duration) {
        self.series.ping_rtt.observe(round_trip.as_secs_f64());
    }
}

/// What is counted of a route over all pools.
pub(super) struct RouteSeries {
    name: Name,
    handshakes: Enumerated,
    handshake_duration: Histogram,
    session_duration: Histogram,
    /// The counters of usual endings, resolved in advance.
    usual_endings: Box<[(Ending, IntCounter)]>,
    sessions_closed: Family<IntCounter>,
    client_to_backend: DirectionSeries,
    backend_to_client: DirectionSeries,
    ping_rtt: Histogram,
    requests: Enumerated,
    request_duration: Histogram,
}

impl RouteSeries {
    pub(super) fn new(families: &RouteFamilies, name: &Name) -> Self {
        let usual_endings = endings::expected().map(|ending| {
            let [initiator, code, reason] = ending;
            let labels = [name, initiator, code, reason];
            (ending, families.sessions_closed.with_label_values(&labels))
        });
        Self {
            usual_endings: usual_endings.collect(),
            name: Arc::clone(name),
            handshakes: Enumerated::new(&families.handshakes, &[name], handshake_results()),
            handshake_duration: families.handshake_duration.with_label_values(&[name]),
            session_duration: families.session_duration.with_label_values(&[name]),
            sessions_closed: families.sessions_closed.clone(),
            client_to_backend: DirectionSeries::new(families, name, Side::Client),
            backend_to_client: DirectionSeries::new(families, name, Side::Backend),
            ping_rtt: families.ping_rtt.with_label_values(&[name]),
            requests: Enumerated::new(&families.requests, &[name], labels::statuses()),
            request_duration: families.request_duration.with_label_values(&[name]),
        }
    }

    /// The series of an unusual ending is looked up by its labels: there are too many combinations to resolve in advance.
    fn count_closed(&self, closure: &Closure) {
        let Closure {
            initiator,
            code,
            reason,
            ..
        } = closure;
        let ending = [initiator.label(), code_label(*code), reason.label()];
        if let Some((_, counter)) = self
            .usual_endings
            .iter()
            .find(|(usual, _)| *usual == ending)
        {
            return counter.inc();
        }
        self.closed(ending).inc();
    }

    fn closed(&self, [initiator, code, reason]: Ending) -> IntCounter {
        let labels = [&self.name, initiator, code, reason];
        self.sessions_closed.with_label_values(&labels)
    }
}
