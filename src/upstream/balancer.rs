//! In which order the backends of a pool are tried.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::Member;
use crate::config::Strategy;

/// The strategies. Each yields one candidate after the other, so that failing over is a loop.
#[derive(Debug)]
pub(super) enum Balancer {
    /// In turn, smooth by weight.
    RoundRobin(RoundRobin),
}

impl Balancer {
    pub(super) fn new(strategy: Strategy, members: usize) -> Self {
        match strategy {
            Strategy::RoundRobin => Self::RoundRobin(RoundRobin::new(members)),
        }
    }

    /// Takes over where `previous` stood for those `members` that were there before.
    pub(super) fn resume(&self, members: &[Member], previous: &Self, before: &[Member]) {
        let (Self::RoundRobin(new), Self::RoundRobin(old)) = (self, previous);
        new.resume(members, old, before);
    }

    /// The next candidate that is not in `tried`, as an index into `members`.
    fn pick(&self, members: &[Member], tried: &[usize]) -> Option<usize> {
        match self {
            Self::RoundRobin(round_robin) => round_robin.pick(members, tried),
        }
    }
}

/// The candidates for one session, each once, at most `attempts` of them.
pub(super) struct Candidates<'a> {
    balancer: &'a Balancer,
    members: &'a [Member],
    tried: Vec<usize>,
    attempts: usize,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(balancer: &'a Balancer, members: &'a [Member], attempts: usize) -> Self {
        Self {
            balancer,
            members,
            tried: Vec::new(),
            attempts: attempts.min(members.len()),
        }
    }

    /// How many may still follow.
    pub(super) fn left(&self) -> usize {
        self.attempts - self.tried.len()
    }
}

impl<'a> Iterator for Candidates<'a> {
    type Item = &'a Member;

    fn next(&mut self) -> Option<&'a Member> {
        if self.left() == 0 {
            return None;
        }
        let index = self.balancer.pick(self.members, &self.tried)?;
        self.tried.push(index);
        Some(&self.members[index])
    }
}

/// Smooth weighted round robin: every pick credits each backend with its weight, takes the one with the
/// most credit and charges it the sum of the weights. Over a whole round each gets its exact share, and the
/// turns of a heavy backend are spread out.
///
/// Each attempt is a turn of its own: what a dead backend cannot take is shared by all others, not given
/// to its successor.
#[derive(Debug)]
pub(super) struct RoundRobin {
    /// One for each member; a lock held for a few nanoseconds, once per session.
    credits: Mutex<Vec<i64>>,
}

impl RoundRobin {
    fn new(members: usize) -> Self {
        Self {
            credits: Mutex::new(vec![0; members]),
        }
    }

    fn credits(&self) -> MutexGuard<'_, Vec<i64>> {
        self.credits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, members: &[Member], tried: &[usize]) -> Option<usize> {
        let mut credits = self.credits();
        let mut total = 0;
        let mut best: Option<usize> = None;
        for (index, member) in members.iter().enumerate() {
            if tried.contains(&index) || !member.is_ready() {
                continue;
            }
            credits[index] += i64::from(member.weight());
            total += i64::from(member.weight());
            if best.is_none_or(|best| credits[index] > credits[best]) {
                best = Some(index);
            }
        }
        credits[best?] -= total;
        best
    }

    fn resume(&self, members: &[Member], previous: &Self, before: &[Member]) {
        let old = previous.credits().clone();
        let mut credits = self.credits();
        for (credit, member) in credits.iter_mut().zip(members) {
            let same = |other: &Member| Arc::ptr_eq(member.backend(), other.backend());
            if let Some(index) = before.iter().position(same) {
                *credit = old[index];
            }
        }
    }
}
