//! What checks say of a backend.

use crate::config::ActiveHealth;

/// The verdict of checks, and how many equal results came last in a row.
///
/// Until the first check a backend counts as up, so that a gateway that starts does not refuse its first clients. The first
/// result decides alone, whatever the thresholds, so that a dead backend counts as up for no longer than one check.
#[derive(Clone, Default, Debug)]
pub(super) struct Checks {
    is_down: bool,
    /// Whether there has been a result since the start, or since the settings of the checks changed.
    is_settled: bool,
    passes: u32,
    failures: u32,
}

impl Checks {
    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }

    /// Checks that failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn note(&mut self, has_passed: bool, settings: &ActiveHealth) {
        let (in_a_row, threshold) = if has_passed {
            self.failures = 0;
            self.passes = self.passes.saturating_add(1);
            (self.passes, settings.healthy_threshold)
        } else {
            self.passes = 0;
            self.failures = self.failures.saturating_add(1);
            (self.failures, settings.unhealthy_threshold)
        };
        if in_a_row >= threshold || !self.is_settled {
            self.is_down = !has_passed;
        }
        self.is_settled = true;
    }

    /// The settings changed. The verdict stays until the first result of the new checks; without checks nothing is down.
    pub(super) fn begin_anew(&mut self, are_wanted: bool) {
        *self = Self {
            is_down: self.is_down && are_wanted,
            ..Self::default()
        };
    }
}
