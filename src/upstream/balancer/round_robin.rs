//! Smooth weighted round robin.

use super::{Field, Purpose};
use crate::upstream::Member;

/// Smooth weighted round robin: every pick credits each backend with its weight, takes the one with the
/// most credit and charges it the sum of the weights. Over a whole round each gets its exact share, and the
/// turns of a heavy backend are spread out.
///
/// Each attempt is a turn: what a dead backend cannot take is shared by all others, instead of going to its successor.
#[derive(Debug)]
pub(in crate::upstream) struct RoundRobin {
    /// One for each member.
    credits: Vec<i64>,
}

/// Separate rounds for sessions and plain requests. In a common one, pages that each make one request and open one socket would
/// have all their sockets at the same backend.
#[derive(Debug)]
pub(in crate::upstream) struct Rounds {
    sessions: RoundRobin,
    requests: RoundRobin,
}

impl Rounds {
    pub(super) fn new(members: usize) -> Self {
        Self {
            sessions: RoundRobin::new(members),
            requests: RoundRobin::new(members),
        }
    }

    pub(super) fn pick(&mut self, field: &Field<'_>) -> Option<usize> {
        match field.purpose {
            Purpose::Session => self.sessions.pick(field),
            Purpose::Request => self.requests.pick(field),
        }
    }

    /// Takes over the credits in both rounds of those `members` that have a position in `before`.
    pub(super) fn resume(
        &mut self,
        members: &[Member],
        previous: &Self,
        before: &[Member],
        positions: &[Option<usize>],
    ) {
        self.sessions
            .resume(members, &previous.sessions, before, positions);
        self.requests
            .resume(members, &previous.requests, before, positions);
    }
}

impl RoundRobin {
    fn new(members: usize) -> Self {
        Self {
            credits: vec![0; members],
        }
    }

    fn pick(&mut self, field: &Field<'_>) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for index in 0..self.credits.len() {
            let weight = i64::from(field.weight(index));
            if weight == 0 {
                continue;
            }
            self.credits[index] += weight;
            total += weight;
            if best.is_none_or(|best| self.credits[index] > self.credits[best]) {
                best = Some(index);
            }
        }
        self.credits[best?] -= total;
        best
    }

    /// Takes over the credits of those `members` that have a position in `before`. Credits are scaled to the new sum of weights,
    /// so that a reload may write the weights on another scale.
    fn resume(
        &mut self,
        members: &[Member],
        previous: &Self,
        before: &[Member],
        positions: &[Option<usize>],
    ) {
        let (was, is) = (whole_round(before), whole_round(members));
        for (credit, position) in self.credits.iter_mut().zip(positions) {
            if let Some(index) = position {
                let scaled = i128::from(previous.credits[*index]) * is / was;
                *credit = i64::try_from(scaled).unwrap_or_default();
            }
        }
    }
}

/// The sum of the full weights, which is what each turn costs if all members take part.
fn whole_round(members: &[Member]) -> i128 {
    let weights = members.iter().map(|member| member.full_weight());
    weights.map(i128::from).sum::<i128>().max(1)
}
