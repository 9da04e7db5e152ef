//! The metrics of a pool and its backends.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::choices::Choices;
use super::enumerated::Enumerated;
use super::families::{BackendFamilies, MemberFamilies, PoolFamilies};
use super::labels::{CheckResult, ConnectResult};
use crate::config::Name;

/// The metrics of a pool.
pub struct PoolMetrics {
    name: Name,
    connect_duration: Histogram,
    retries: IntCounter,
    pub(super) choices: Choices,
}

impl PoolMetrics {
    pub(super) fn new(families: &PoolFamilies, name: &Name) -> Self {
        Self {
            name: Arc::clone(name),
            connect_duration: families.connect_duration.with_label_values(&[name]),
            retries: families.retries.with_label_values(&[name]),
            choices: Choices::new(families, name),
        }
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Counts a further candidate that is tried because one failed.
    pub fn retried(&self) {
        self.retries.inc();
    }
}

/// The metrics of a backend for as long as the configuration has it under this name; sessions do not hold them.
pub struct MemberMetrics {
    backend: Arc<BackendMetrics>,
    up: IntGauge,
    effective_weight: Gauge,
}

impl MemberMetrics {
    pub(super) fn new(families: &MemberFamilies, backend: Arc<BackendMetrics>) -> Self {
        let labels: [&str; 2] = [&backend.pool.name, &backend.name];
        Self {
            up: families.up.with_label_values(&labels),
            effective_weight: families.effective_weight.with_label_values(&labels),
            backend,
        }
    }

    /// Those that its sessions hold as well.
    #[must_use]
    pub fn backend(&self) -> &Arc<BackendMetrics> {
        &self.backend
    }

    /// Sets whether it is up.
    pub fn set_up(&self, is_up: bool) {
        self.up.set(i64::from(is_up));
    }

    /// Sets its effective weight.
    pub fn set_effective_weight(&self, weight: f64) {
        self.effective_weight.set(weight);
    }
}

/// The metrics of a backend in a pool.
pub struct BackendMetrics {
    name: Name,
    pool: Arc<PoolMetrics>,
    checks: Enumerated,
    sessions_active: IntGauge,
    connects: Enumerated,
}

impl BackendMetrics {
    pub(super) fn new(families: &BackendFamilies, pool: Arc<PoolMetrics>, name: &Name) -> Self {
        let labels: [&str; 2] = [&pool.name, name];
        Self {
            name: Arc::clone(name),
            checks: Enumerated::new(&families.checks, &labels, CheckResult::TEXTS),
            sessions_active: families.sessions_active.with_label_values(&labels),
            connects: Enumerated::new(&families.connects, &labels, ConnectResult::TEXTS),
            pool,
        }
    }

    /// The backend's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The metrics of its pool.
    #[must_use]
    pub fn pool(&self) -> &Arc<PoolMetrics> {
        &self.pool
    }

    /// Counts a check.
    pub fn check_finished(&self, result: CheckResult) {
        self.checks.increment(result.label());
    }

    /// Counts a session until the guard is dropped.
    #[must_use]
    pub fn session(self: &Arc<Self>) -> BackendSession {
        self.sessions_active.inc();
        BackendSession(Arc::clone(self))
    }

    /// Counts an attempt at the backend, and records its duration, from the dial to the answer, if a session opened.
    pub fn connect_finished(&self, result: ConnectResult, duration: Duration) {
        self.connects.increment(result.label());
        if result == ConnectResult::Opened {
            self.pool.connect_duration.observe(duration.as_secs_f64());
        }
    }
}

/// A session in `wsgate_backend_sessions_active`.
pub struct BackendSession(Arc<BackendMetrics>);

impl Drop for BackendSession {
    fn drop(&mut self) {
        self.0.sessions_active.dec();
    }
}
