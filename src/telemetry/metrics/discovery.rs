//! The metrics of the discovery of a pool's backends.

use std::sync::Arc;

use prometheus::IntGauge;

use super::enumerated::Enumerated;
use super::families::{BackendFamilies, Families};
use super::labels::DiscoveryResult;
use super::live::Series;
use crate::config::Name;

/// The metrics of a pool whose backends are discovered.
pub struct DiscoveryMetrics {
    pool: Name,
    questions: Enumerated,
    backends: IntGauge,
}

impl DiscoveryMetrics {
    pub(super) fn new(families: &BackendFamilies, pool: &Name) -> Self {
        Self {
            pool: Arc::clone(pool),
            questions: Enumerated::new(
                &families.discovery,
                &[pool],
                DiscoveryResult::ALL.map(DiscoveryResult::label),
            ),
            backends: families.discovered.with_label_values(&[pool]),
        }
    }

    /// Counts a query by its result.
    pub fn asked(&self, result: DiscoveryResult) {
        self.questions.increment(result.label());
    }

    /// Sets the number of discovered backends in use.
    pub fn found(&self, backends: usize) {
        self.backends
            .set(i64::try_from(backends).unwrap_or(i64::MAX));
    }
}

impl Series for DiscoveryMetrics {
    fn remove(&self, families: &Families) {
        let labels: [&str; 1] = [&self.pool];
        self.questions.remove(&families.backend.discovery, &labels);
        families.backend.discovered.remove_label_values(&labels);
    }
}
