//! What the attempts of real sessions say of a backend: failures in a row eject it, and a trial ends the ejection.
//!
//! An ejected backend gets no sessions until its ejection is over. Then one session at a time is let through as a trial: if it
//! succeeds the ejection ends, if it fails the backend is ejected for twice as long. A trial may also be made before the
//! ejection is over; if that fails nothing changes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::PassiveHealth;

/// How often the length of an ejection doubles: the longest is 16 times `eject`.
const MOST_DOUBLINGS: u32 = 4;

/// How long a trial may take before the gateway asks the backend itself. An opening handshake is usually over by then; a plain
/// request may wait for its answer, or send its body, for much longer.
const LONGEST_TRIAL: Duration = Duration::from_secs(10);

/// Failures in a row, and the ejections that followed from them.
#[derive(Clone, Default, Debug)]
pub(in crate::upstream) struct Attempts {
    /// When the last failures in a row were; no more than it takes to eject.
    failed: VecDeque<Instant>,
    ejection: Option<Ejection>,
    /// How often the length of the last ejection was doubled.
    doublings: u32,
    /// A further ejection before this moment is a relapse: for as long after the end of the last ejection as that one lasted.
    probation: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Ejection {
    until: Instant,
    length: Duration,
    trial: Trial,
}

/// Whether an ejected backend may be tried.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Trial {
    /// No.
    Closed,
    /// Yes, by the next session.
    Open,
    /// One is trying it since this moment, and keeps the others away.
    Taken(Instant),
}

impl Attempts {
    pub(super) fn is_ejected(&self) -> bool {
        self.ejection.is_some()
    }

    /// Whether the next session may be a trial.
    pub(super) fn admits_trial(&self) -> bool {
        self.ejection.is_some_and(|it| it.trial == Trial::Open)
    }

    /// Whether it is ejected and no trial is under way or admitted.
    pub(super) fn is_resting(&self) -> bool {
        self.ejection.is_some_and(|it| it.trial == Trial::Closed)
    }

    /// Whether the next attempt changes something even if it succeeds.
    pub(super) fn is_suspect(&self) -> bool {
        self.is_ejected() || !self.failed.is_empty()
    }

    /// Attempts that failed in a row, as far as they count.
    pub(in crate::upstream) fn failures(&self) -> usize {
        self.failed.len()
    }

    /// An attempt begins. If the backend is ejected it is a trial, identified by when it began.
    pub(in crate::upstream) fn begun(&mut self, now: Instant) -> Option<Instant> {
        let ejection = self.ejection.as_mut()?;
        ejection.trial = Trial::Taken(now);
        Some(now)
    }

    /// A trial may be made although the ejection is not over.
    pub(in crate::upstream) fn admit_early_trial(&mut self) {
        if let Some(ejection) = &mut self.ejection
            && ejection.trial == Trial::Closed
        {
            ejection.trial = Trial::Open;
        }
    }

    /// An attempt ended that says nothing of the backend.
    pub(in crate::upstream) fn abandoned(&mut self, trial: Option<Instant>, now: Instant) {
        if let Some(Ejection { trial: taken, .. }) = self.ejection
            // If this one took too long another trial may have begun.
            && trial.is_some_and(|begun| taken == Trial::Taken(begun))
        {
            self.end_trial(now);
        }
    }

    /// An attempt reached the backend.
    pub(in crate::upstream) fn succeeded(&mut self, trial: Option<Instant>, now: Instant) {
        if let Some(ejection) = self.ejection {
            // It began before the ejection.
            if trial.is_none() {
                return;
            }
            self.probation = Some(now + ejection.length);
        }
        self.ejection = None;
        self.failed.clear();
    }

    /// An attempt failed by the backend's fault. The backend is ejected if there have been enough in a row, and if `may_eject`.
    pub(in crate::upstream) fn failed(
        &mut self,
        trial: Option<Instant>,
        now: Instant,
        settings: &PassiveHealth,
        may_eject: bool,
    ) {
        let Some(ejection) = self.ejection else {
            self.note(now, settings);
            if may_eject && self.failed.len() >= settings.failures {
                let is_relapse = self.probation.is_some_and(|until| now < until);
                self.eject(now, settings, is_relapse);
            }
            return;
        };
        // Otherwise it began before the ejection, or took too long as a trial.
        if trial.is_some() && ejection.trial != Trial::Closed {
            match now < ejection.until {
                true => self.end_trial(now),
                false => self.eject(now, settings, true),
            }
        }
    }

    fn note(&mut self, now: Instant, settings: &PassiveHealth) {
        self.failed.push_back(now);
        let is_past = |failed: &Instant| now.saturating_duration_since(*failed) > settings.window;
        while self.failed.len() > settings.failures || self.failed.front().is_some_and(is_past) {
            self.failed.pop_front();
        }
    }

    fn eject(&mut self, now: Instant, settings: &PassiveHealth, is_relapse: bool) {
        self.doublings = if is_relapse {
            MOST_DOUBLINGS.min(self.doublings + 1)
        } else {
            0
        };
        let length = settings.eject * 2_u32.pow(self.doublings);
        self.ejection = Some(Ejection {
            until: now + length,
            length,
            trial: Trial::Closed,
        });
    }

    /// The trial decided nothing: the ejection goes on as before it.
    fn end_trial(&mut self, now: Instant) {
        if let Some(ejection) = &mut self.ejection {
            ejection.trial = Trial::Closed;
        }
        self.expire(now);
    }

    /// Admits a trial where the ejection is over by `now`. Returns the one that is under way, if that has taken too long: it keeps
    /// others away until something is known about the backend.
    pub(in crate::upstream) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let ejection = self.ejection.as_mut()?;
        match ejection.trial {
            Trial::Taken(since) => return (since + LONGEST_TRIAL <= now).then_some(since),
            Trial::Closed if ejection.until <= now => ejection.trial = Trial::Open,
            Trial::Closed | Trial::Open => {}
        }
        None
    }
}
