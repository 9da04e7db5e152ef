//! What the attempts of real sessions say of a backend.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::PassiveHealth;

/// How often the length of an ejection doubles: the longest is 16 times `eject`.
const MOST_DOUBLINGS: u32 = 4;

/// How long a trial keeps others away. An opening handshake is usually over by then; a plain request may wait for its answer, or
/// send its body, for much longer, and says nothing meanwhile.
const LONGEST_TRIAL: Duration = Duration::from_secs(10);

/// Failures in a row, and the ejections that followed from them.
#[derive(Clone, Default, Debug)]
pub(super) struct Attempts {
    /// When the last failures in a row were; no more than it takes to eject.
    failed: VecDeque<Instant>,
    ejection: Ejection,
    /// How often the length of the last ejection was doubled.
    doublings: u32,
    /// Until then a further ejection is a relapse: as long after the last one as that one was long.
    probation: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Default, Debug)]
enum Ejection {
    #[default]
    None,
    /// No session is tried on it.
    For { until: Instant, length: Duration },
    /// One session at a time is tried on it, until one of them decides.
    Trial {
        /// Since when one is.
        taken: Option<Instant>,
        /// When it was to be tried; one that found no other backend may have been earlier.
        until: Instant,
        length: Duration,
    },
}

impl Attempts {
    pub(super) fn is_ejected(&self) -> bool {
        self.ejection != Ejection::None
    }

    pub(super) fn admit_trial(&self) -> bool {
        matches!(self.ejection, Ejection::Trial { taken: None, .. })
    }

    /// Whether it is left alone: its ejection is not over, and nobody tries it.
    pub(super) fn is_resting(&self) -> bool {
        matches!(self.ejection, Ejection::For { .. })
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.is_ejected() || !self.failed.is_empty()
    }

    pub(super) fn failures(&self) -> usize {
        self.failed.len()
    }

    /// Whether the attempt that begins is a trial: since when.
    pub(super) fn begun(&mut self, now: Instant) -> Option<Instant> {
        let (Ejection::For { until, length } | Ejection::Trial { until, length, .. }) =
            self.ejection
        else {
            return None;
        };
        self.ejection = Ejection::Trial {
            taken: Some(now),
            until,
            length,
        };
        Some(now)
    }

    /// It may be tried now, though its ejection is not over.
    pub(super) fn admit_early_trial(&mut self) {
        if let Ejection::For { until, length } = self.ejection {
            self.ejection = Ejection::Trial {
                taken: None,
                until,
                length,
            };
        }
    }

    pub(super) fn abandoned(&mut self, trial: Option<Instant>, now: Instant) {
        match self.ejection {
            // Another one may be under way where this one took too long.
            Ejection::Trial { taken, .. } if taken == trial => self.give_back(now),
            Ejection::Trial { .. } | Ejection::None | Ejection::For { .. } => {}
        }
    }

    /// Nobody tries it any more. It rests on if its time is not over.
    fn give_back(&mut self, now: Instant) {
        if let Ejection::Trial { until, length, .. } = self.ejection {
            self.ejection = Ejection::For { until, length };
        }
        self.expire(now);
    }

    pub(super) fn succeeded(&mut self, trial: Option<Instant>, now: Instant) {
        match self.ejection {
            // It began before the ejection.
            Ejection::For { .. } | Ejection::Trial { .. } if trial.is_none() => return,
            Ejection::For { length, .. } | Ejection::Trial { length, .. } => {
                self.probation = Some(now + length);
            }
            Ejection::None => {}
        }
        self.ejection = Ejection::None;
        self.failed.clear();
    }

    pub(super) fn failed(
        &mut self,
        trial: Option<Instant>,
        now: Instant,
        settings: &PassiveHealth,
        may_eject: bool,
    ) {
        match self.ejection {
            Ejection::For { .. } => {}
            Ejection::Trial { .. } if trial.is_none() => {}
            Ejection::Trial { until, .. } if now < until => self.give_back(now),
            Ejection::Trial { .. } => self.eject(now, settings, true),
            Ejection::None => {
                self.note(now, settings);
                if may_eject && self.failed.len() >= settings.failures {
                    let is_relapse = self.probation.is_some_and(|until| now < until);
                    self.eject(now, settings, is_relapse);
                }
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
        self.ejection = Ejection::For {
            until: now + length,
            length,
        };
    }

    pub(super) fn expire(&mut self, now: Instant) {
        match self.ejection {
            Ejection::For { until, length } if until <= now => {
                self.ejection = Ejection::Trial {
                    taken: None,
                    until,
                    length,
                };
            }
            Ejection::Trial {
                taken: Some(since), ..
            } if since + LONGEST_TRIAL <= now => self.give_back(now),
            Ejection::None | Ejection::For { .. } | Ejection::Trial { .. } => {}
        }
    }
}
