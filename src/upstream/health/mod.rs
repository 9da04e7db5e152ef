//! Whether a backend is fit for new sessions: a state machine of thresholds.
//!
//! Three things decide, independently of each other: the operator, who drains; checks (`health.active`), whose verdict changes
//! after enough equal results in a row; and the attempts of real sessions (`health.passive`), which eject after enough failures
//! in a row. There is no I/O and no clock here: results and times are passed in.

mod attempts;
mod checks;
#[cfg(test)]
mod tests;

use tokio::time::Instant;

use crate::config::ActiveHealth;
use attempts::Attempts;
use checks::Checks;

/// Whether a backend gets new sessions, and if not, why. If there are several reasons, the first one listed counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// The operator drains it, or the configuration no longer has it.
    Drained,
    /// Checks say that it is down.
    Down,
    /// Attempts failed. It gets no sessions for a while, and then one at a time as a trial.
    Ejected,
    /// It gets sessions.
    Ready,
}

impl State {
    /// Its name in logs and in the status.
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

/// The health of one backend. The attempts of sessions are told to `attempts` directly.
#[derive(Clone, Default, Debug)]
pub(super) struct Health {
    is_drained: bool,
    is_removed: bool,
    checks: Checks,
    pub(super) attempts: Attempts,
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

    /// Whether neither checks nor attempts say that something is wrong with it.
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
            State::Ejected => self.attempts.admits_trial(),
            State::Ready => true,
        }
    }

    /// Whether the next attempt changes something even if it succeeds.
    pub(super) fn is_suspect(&self) -> bool {
        self.attempts.is_suspect()
    }

    /// Checks that failed in a row.
    pub(super) fn failed_checks(&self) -> u32 {
        self.checks.failures()
    }

    /// No new sessions, until [`Health::resume`].
    pub(super) fn drain(&mut self) {
        self.is_drained = true;
    }

    /// New sessions again, as far as the operator is concerned. The operator's word that it is well counts more than attempts
    /// that failed while it was restarted.
    pub(super) fn resume(&mut self) {
        self.is_drained = false;
        self.pardon();
    }

    /// The configuration no longer has it: no new sessions, whatever the operator says.
    pub(super) fn remove(&mut self) {
        self.is_removed = true;
    }

    /// A check passed or failed. If checks bring the backend back its ejection ends too: the attempts had failed because it was
    /// down.
    pub(super) fn checked(&mut self, has_passed: bool, settings: &ActiveHealth) {
        let was_down = self.checks.is_down();
        self.checks.note(has_passed, settings);
        if was_down && !self.checks.is_down() {
            self.pardon();
        }
    }

    /// A check that does all that a session does has passed. If a trial is due, this counts as one.
    pub(super) fn rehearsed(&mut self, now: Instant) {
        if self.attempts.admits_trial() {
            self.attempts.succeeded(Some(now), now);
        }
    }

    /// The checks have other settings from now on, or are off.
    pub(super) fn checks_changed(&mut self, settings: Option<&ActiveHealth>) {
        self.checks.begin_anew(settings.is_some());
    }

    /// Whether it is ejected, and no trial is under way or admitted.
    pub(super) fn is_resting(&self) -> bool {
        self.state() == State::Ejected && self.attempts.is_resting()
    }

    /// Ends any ejection and forgets failures.
    pub(super) fn pardon(&mut self) {
        self.attempts = Attempts::default();
    }
}
