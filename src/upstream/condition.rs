//! The health of a live backend as all threads share it, with its last change, last check and drain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::time::Instant;

use super::health::{Health, State};
use crate::drain::{Drain, Stage};
use crate::mutex::lock;

/// The health of a live backend. To choose a backend, only the two flags are read, unless some backend is suspect. The lock is
/// taken for changes, reports and watches of the drain.
#[derive(Debug)]
pub(super) struct Condition {
    known: Mutex<Known>,
    admits: AtomicBool,
    is_suspect: AtomicBool,
}

#[derive(Debug)]
struct Known {
    health: Health,
    last: Change,
    check: Option<LastCheck>,
    /// What ends its sessions. When a drained backend may have sessions again it gets a new one: the old one goes on for the
    /// sessions that it has begun to end.
    drain: Arc<Drain>,
}

/// A change of a backend's state.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// What it was before.
    pub from: State,
    /// What it is since then.
    pub to: State,
    /// Why, in words for the operator.
    pub reason: String,
    /// When, for people.
    pub at: SystemTime,
    /// When, for computing with.
    pub since: Instant,
}

/// The outcome of [`Condition::alter`].
#[derive(Debug)]
pub(super) struct Altered {
    /// The change of the state, if there was one.
    pub(super) change: Option<Change>,
    /// Whether a new session may be tried on it now, and might not before.
    pub(super) admits_again: bool,
}

/// The result of a check.
#[derive(Clone, PartialEq, Debug)]
pub struct LastCheck {
    /// When it began, for people.
    pub at: SystemTime,
    /// When it began, for computing with.
    pub begun: Instant,
    /// Why it did not pass; `None` if it did.
    pub fault: Option<String>,
}

/// Everything that is known of a backend's health at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// The last change of state; at first, that it is new.
    pub last: Change,
    /// Attempts that failed in a row, as far as they count.
    pub failures: usize,
    /// Checks that failed in a row.
    pub failed_checks: u32,
    /// The last check; `None` before the first.
    pub check: Option<LastCheck>,
}

impl Condition {
    /// The condition of a new backend.
    pub(super) fn new() -> Self {
        let first = Change {
            from: State::Ready,
            to: State::Ready,
            reason: "new".to_owned(),
            at: SystemTime::now(),
            since: Instant::now(),
        };
        Self {
            known: Mutex::new(Known {
                health: Health::default(),
                last: first,
                check: None,
                drain: Arc::default(),
            }),
            admits: AtomicBool::new(true),
            is_suspect: AtomicBool::new(false),
        }
    }

    /// Whether a new session may be tried on it; one atomic load.
    pub(super) fn admits(&self) -> bool {
        self.admits.load(Ordering::Relaxed)
    }

    /// Whether the next attempt changes something even if it succeeds; one atomic load.
    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> State {
        lock(&self.known).last.to
    }

    pub(super) fn standing(&self) -> Standing {
        let known = lock(&self.known);
        Standing {
            last: known.last.clone(),
            failures: known.health.attempts.failures(),
            failed_checks: known.health.failed_checks(),
            check: known.check.clone(),
        }
    }

    /// What ends the sessions that it has now.
    pub(super) fn drain(&self) -> Arc<Drain> {
        Arc::clone(&lock(&self.known).drain)
    }

    /// Keeps the result of the last check; `None` makes the next check due at once.
    pub(super) fn note_check(&self, check: Option<LastCheck>) {
        lock(&self.known).check = check;
    }

    /// Whether the configuration no longer has it.
    pub(super) fn is_removed(&self) -> bool {
        lock(&self.known).health.is_removed()
    }

    /// Whether it is ejected, and no trial is under way or admitted.
    pub(super) fn is_resting(&self) -> bool {
        lock(&self.known).health.is_resting()
    }

    /// Whether neither checks nor attempts say that something is wrong with it.
    pub(super) fn is_up(&self) -> bool {
        lock(&self.known).health.is_up()
    }

    /// Changes the health. If that changes the state, `reason` is why.
    pub(super) fn alter(
        &self,
        change: impl FnOnce(&mut Health),
        reason: impl FnOnce(&Health) -> String,
    ) -> Altered {
        let mut known = lock(&self.known);
        let from = known.health.state();
        change(&mut known.health);
        let to = known.health.state();
        let may_have_sessions = matches!(to, State::Ready | State::Ejected);
        if may_have_sessions && known.drain.stage() != Stage::Open {
            known.drain = Arc::default();
        }
        let admits = known.health.admits();
        let admitted = self.admits.swap(admits, Ordering::Relaxed);
        let admits_again = admits && !admitted;
        let is_suspect = known.health.is_suspect();
        self.is_suspect.store(is_suspect, Ordering::Relaxed);
        if from == to {
            return Altered {
                change: None,
                admits_again,
            };
        }
        known.last = Change {
            from,
            to,
            reason: reason(&known.health),
            at: SystemTime::now(),
            since: Instant::now(),
        };
        Altered {
            change: Some(known.last.clone()),
            admits_again,
        }
    }
}
