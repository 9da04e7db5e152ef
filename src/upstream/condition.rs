//! The health of a live backend as all threads see it, and how it came to be so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

use super::health::{Health, State};
use crate::drain::{Drain, Stage};

/// The health of a live backend. Sessions only look at two flags; the lock is for changes.
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
    /// What ends its sessions. One that has begun is over for those who come when it may have sessions again:
    /// they get a new one.
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
    /// When, to reckon with.
    pub since: Instant,
}

/// What a change of what is known came to.
#[derive(Debug)]
pub(super) struct Altered {
    /// The change of state, if it is another one now.
    pub(super) change: Option<Change>,
    /// Whether a new session may be tried on it, and might not before.
    pub(super) admits_again: bool,
}

/// What a check came to.
#[derive(Clone, PartialEq, Debug)]
pub struct LastCheck {
    /// When it began, for people.
    pub at: SystemTime,
    /// When it began, to reckon with.
    pub begun: Instant,
    /// Why it did not pass; none where it did.
    pub fault: Option<String>,
}

/// Everything that is known of a backend's health at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// The last change of state; the first is that it came to be.
    pub last: Change,
    /// Attempts that failed in a row, as far as they count.
    pub failures: usize,
    /// Checks that failed in a row.
    pub failed_checks: u32,
    /// The last check; none where there was none.
    pub check: Option<LastCheck>,
}

impl Condition {
    /// That of a backend of which nothing is known.
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

    /// Whether the next attempt says something new even if it succeeds; one atomic load.
    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> State {
        self.known().last.to
    }

    pub(super) fn standing(&self) -> Standing {
        let known = self.known();
        Standing {
            last: known.last.clone(),
            failures: known.health.failures(),
            failed_checks: known.health.failed_checks(),
            check: known.check.clone(),
        }
    }

    /// What ends the sessions that it has now.
    pub(super) fn drain(&self) -> Arc<Drain> {
        Arc::clone(&self.known().drain)
    }

    /// Keeps what the last check came to; none makes the next one due at once.
    pub(super) fn note_check(&self, check: Option<LastCheck>) {
        self.known().check = check;
    }

    /// Whether the configuration no longer has it.
    pub(super) fn is_removed(&self) -> bool {
        self.known().health.is_removed()
    }

    /// Whether it was ejected, and nobody tries it.
    pub(super) fn is_resting(&self) -> bool {
        self.known().health.is_resting()
    }

    /// Whether nothing is wrong with it, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        self.known().health.is_up()
    }

    /// Changes what is known. The state may be another one then, because of `reason`.
    pub(super) fn alter(
        &self,
        change: impl FnOnce(&mut Health),
        reason: impl FnOnce(&Health) -> String,
    ) -> Altered {
        let mut known = self.known();
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

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
