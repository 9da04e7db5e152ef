//! The metrics of the discovery of a pool's backends.

use prometheus::IntGauge;

use super::enumerated::Enumerated;
use super::families::DiscoveryFamilies;
use super::labels::DiscoveryResult;
use crate::config::Name;

/// The metrics of a pool whose backends are discovered.
pub struct DiscoveryMetrics {
    questions: Enumerated,
    backends: IntGauge,
}

impl DiscoveryMetrics {
    pub(super) fn new(families: &DiscoveryFamilies, pool: &Name) -> Self {
        Self {
            questions: Enumerated::new(&families.questions, &[pool], DiscoveryResult::TEXTS),
            backends: families.backends.with_label_values(&[pool]),
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
