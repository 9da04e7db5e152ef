//! Whether a backend is fit for new sessions: a machine of thresholds.
//!
//! Three things decide, and each is told apart: the operator, who drains; checks (`health.active`), whose
//! verdict changes after so many equal results; and the attempts of real sessions (`health.passive`), which
//! eject after so many failures in a row. No I/O and no clock is here: results and times are passed in.

mod attempts;
mod checks;
#[cfg(test)]
mod tests;

use tokio::time::Instant;

use crate::config::{ActiveHealth, PassiveHealth};
use attempts::Attempts;
use checks::Checks;

/// Whether a backend gets new sessions, and if not, why. Of several reasons the first one listed counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// The operator drains it, or the configuration no longer has it.
    Drained,
    /// Checks say that it is down.
    Down,
    /// Attempts failed; it is left alone for a while, and then tried by one session at a time.
    Ejected,
    /// It gets sessions.
    Ready,
}

impl State {
    /// The word for it in logs and in the status.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Ready => "ready",
        }
    }
}

/// What is known of the health of a backend.
#[derive(Clone, Default, Debug)]
pub(super) struct Health {
    is_drained: bool,
    is_removed: bool,
    checks: Checks,
    attempts: Attempts,
}

impl Health {
    pub(super) fn state(&self) -> State {
        if self.is_drained || self.is_removed {
            State::Drained
        } else if self.checks.is_down() {
            State::Down
        } else if self.attempts.is_ejected() {
            State::Ejected
        } else {
            State::Ready
        }
    }

    /// Whether nothing is wrong with it, as far as is known: neither checks nor attempts say so.
    pub(super) fn is_up(&self) -> bool {
        !self.checks.is_down() && !self.attempts.is_ejected()
    }

    /// Whether the configuration no longer has it.
    pub(super) fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// Whether a new session may be tried on it now.
    pub(super) fn admits(&self) -> bool {
        match self.state() {
            State::Drained | State::Down => false,
            State::Ejected => self.attempts.admit_trial(),
            State::Ready => true,
        }
    }

    /// Whether the next attempt says something new even if it succeeds.
    pub(super) fn is_suspect(&self) -> bool {
        self.attempts.is_suspect()
    }

    /// Attempts that failed in a row, as far as they count.
    pub(super) fn failures(&self) -> usize {
        self.attempts.failures()
    }

    /// Checks that failed in a row.
    pub(super) fn failed_checks(&self) -> u32 {
        self.checks.failures()
    }

    /// No new sessions, until [`Health::resume`].
    pub(super) fn drain(&mut self) {
        self.is_drained = true;
    }

    /// New sessions again, as far as the operator is concerned: that it is well is his word. Requests that broke off while it
    /// was restarted are no word against that.
    pub(super) fn resume(&mut self) {
        self.is_drained = false;
        self.pardon();
    }

    /// No new sessions, whatever the operator says.
    pub(super) fn remove(&mut self) {
        self.is_removed = true;
    }

    /// A check passed or failed. Checks that bring a backend back end its ejection too: what attempts found was
    /// that it was down.
    pub(super) fn checked(&mut self, has_passed: bool, settings: &ActiveHealth) {
        let was_down = self.checks.is_down();
        self.checks.note(has_passed, settings);
        if was_down && !self.checks.is_down() {
            self.pardon();
        }
    }

    /// A check did all that a session does, and passed: where the next session would be a trial, it was one.
    pub(super) fn rehearsed(&mut self, now: Instant) {
        if self.attempts.admit_trial() {
            self.attempts.succeeded(Some(now), now);
        }
    }

    /// The checks are other ones from now on, or there are none.
    pub(super) fn checks_changed(&mut self, settings: Option<&ActiveHealth>) {
        self.checks.begin_anew(settings.is_some());
    }

    /// Whether it was ejected, and nobody tries it.
    pub(super) fn is_resting(&self) -> bool {
        self.state() == State::Ejected && self.attempts.is_resting()
    }

    /// An attempt begins. The one that tries an ejected backend keeps others away, for a while; such a trial is known by
    /// when it began, and nothing else decides whether the ejection is over.
    pub(super) fn attempt_begun(&mut self, now: Instant) -> Option<Instant> {
        self.attempts.begun(now)
    }

    /// An attempt reached the backend.
    pub(super) fn attempt_succeeded(&mut self, trial: Option<Instant>, now: Instant) {
        self.attempts.succeeded(trial, now);
    }

    /// An attempt failed by the backend's fault. It is ejected when those in a row are too many, and if
    /// `may_eject`.
    pub(super) fn attempt_failed(
        &mut self,
        trial: Option<Instant>,
        now: Instant,
        settings: &PassiveHealth,
        may_eject: bool,
    ) {
        self.attempts.failed(trial, now, settings, may_eject);
    }

    /// An attempt ended that says nothing of the backend.
    pub(super) fn attempt_abandoned(&mut self, trial: Option<Instant>, now: Instant) {
        self.attempts.abandoned(trial, now);
    }

    /// An ejected backend may be tried before its time.
    pub(super) fn admit_early_trial(&mut self) {
        self.attempts.admit_early_trial();
    }

    /// Ends an ejection that is over by `now`, and a trial that takes too long: from then on the backend may be tried.
    pub(super) fn time_passed(&mut self, now: Instant) {
        self.attempts.expire(now);
    }

    /// Ends any ejection and forgets failures.
    pub(super) fn pardon(&mut self) {
        self.attempts = Attempts::default();
    }
}
