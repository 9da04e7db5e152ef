//! Which backend of a pool is to be tried next.
//!
//! A strategy sees the backends as a [`Field`]: a weight for each, 0 for one that may not be chosen. What must not
//! be forgotten between two choices is in the strategy; it stands behind the lock of its pool.

mod field;
mod hash;
mod key;
mod least_sessions;
mod lots;
mod round_robin;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod workshop;

use std::sync::Arc;

use super::backend::Member;
use crate::config::Strategy;
pub use field::Purpose;
pub(super) use field::{Field, Reach};
use hash::Maglev;
pub(super) use key::key_of;
use least_sessions::LeastSessions;
use lots::Lots;
use round_robin::Rounds;

/// The strategies. Each names one backend at a time, so that failing over is a loop.
#[derive(Debug)]
pub(super) enum Balancer {
    /// In turn, smooth by weight.
    RoundRobin(Rounds),
    /// The one with the fewest sessions for its weight.
    LeastSessions(LeastSessions),
    /// The better of two that are drawn by lot.
    TwoChoices(Lots),
    /// By lot.
    Random(Lots),
    /// The same for the same key.
    Hash(Maglev),
}

impl Balancer {
    pub(super) fn new(strategy: &Strategy, members: &[Member]) -> Self {
        match strategy {
            Strategy::RoundRobin => Self::RoundRobin(Rounds::new(members.len())),
            Strategy::LeastSessions => Self::LeastSessions(LeastSessions::new(members.len())),
            Strategy::TwoChoices => Self::TwoChoices(Lots::new(members)),
            Strategy::Random => Self::Random(Lots::new(members)),
            Strategy::Hash(_) => Self::Hash(Maglev::new(members)),
        }
    }

    /// Takes over where `previous` stood for those `members` that were there `before`.
    pub(super) fn resume(&mut self, members: &[Member], previous: &Self, before: &[Member]) {
        let position = |member: &Member| {
            let same = |other: &Member| Arc::ptr_eq(member.backend(), other.backend());
            before.iter().position(same)
        };
        match (self, previous) {
            (Self::RoundRobin(new), Self::RoundRobin(old)) => {
                new.resume(members, old, before, position);
            }
            (Self::LeastSessions(new), Self::LeastSessions(old)) => {
                new.resume(members, old, position);
            }
            // Lots and tables remember nothing, and one strategy's memory means nothing to another.
            _ => {}
        }
    }

    /// The backend to try next, as an index into the members; none where no weight is left in the field.
    pub(super) fn pick(&mut self, field: &Field<'_>) -> Option<usize> {
        match self {
            Self::RoundRobin(rounds) => rounds.pick(field),
            Self::LeastSessions(least_sessions) => least_sessions.pick(field),
            Self::TwoChoices(lots) => lots.better_of_two(field),
            Self::Random(lots) => lots.draw(field, None),
            Self::Hash(maglev) => maglev.pick(field),
        }
    }
}
