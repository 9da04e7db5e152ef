//! The strategies: which backend of a pool is tried next.
//!
//! A strategy sees the backends as a [`Field`]: a weight for each, 0 for one that may not be chosen. It holds the state that
//! must survive from choice to choice, under the lock of its pool.

mod field;
mod hash;
mod key;
mod least_sessions;
mod lots;
mod round_robin;
#[cfg(test)]
mod tests;

use super::backend::Member;
use crate::config::Strategy;
pub use field::Purpose;
pub(super) use field::{Field, Reach};
use hash::Maglev;
pub(super) use key::key_of;
use least_sessions::LeastSessions;
use lots::Lots;
use round_robin::Rounds;

/// The strategies. Each returns one backend at a time, so that failing over is a loop.
#[derive(Debug)]
pub(super) enum Balancer {
    /// Smooth weighted round robin.
    RoundRobin(Rounds),
    /// The one with the fewest sessions for its weight.
    LeastSessions(LeastSessions),
    /// The less loaded of two random ones.
    TwoChoices(Lots),
    /// A random one.
    Random(Lots),
    /// The same one for the same key.
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

    /// Takes over the state of `previous` for those `members` that had a position among its members, `before`.
    pub(super) fn resume(
        &mut self,
        members: &[Member],
        previous: &Self,
        before: &[Member],
        positions: &[Option<usize>],
    ) {
        match (self, previous) {
            (Self::RoundRobin(new), Self::RoundRobin(old)) => {
                new.resume(members, old, before, positions);
            }
            (Self::LeastSessions(new), Self::LeastSessions(old)) => new.resume(old, positions),
            // The others have no state, and the state of one strategy means nothing to another.
            _ => {}
        }
    }

    /// The index of the backend to try next; `None` if no backend of the field may be chosen.
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
