//! The backend with the fewest sessions for its weight.

use super::Field;

/// The counts are those of the live backends, so a backend that has just joined gets the next sessions. Of several with equal
/// counts the one is chosen that was chosen the longest ago.
#[derive(Debug)]
pub(in crate::upstream) struct LeastSessions {
    /// The number of the last turn of each member; 0 for never.
    turns: Vec<u64>,
    /// The number of the last turn.
    turn: u64,
}

impl LeastSessions {
    pub(super) fn new(members: usize) -> Self {
        Self {
            turns: vec![0; members],
            turn: 0,
        }
    }

    pub(super) fn pick(&mut self, field: &Field<'_>) -> Option<usize> {
        let mut best: Option<Bid> = None;
        for index in 0..self.turns.len() {
            let weight = u64::from(field.weight(index));
            if weight == 0 {
                continue;
            }
            let bid = Bid {
                index,
                load: field.load(index) + 1,
                weight,
                turn: self.turns[index],
            };
            if best.as_ref().is_none_or(|best| bid.precedes(best)) {
                best = Some(bid);
            }
        }
        let Bid { index, .. } = best?;
        self.turn += 1;
        self.turns[index] = self.turn;
        Some(index)
    }

    /// Takes over the turns of those members that have one of `positions` in `previous`.
    pub(super) fn resume(&mut self, previous: &Self, positions: &[Option<usize>]) {
        self.turn = previous.turn;
        for (turn, position) in self.turns.iter_mut().zip(positions) {
            if let Some(index) = position {
                *turn = previous.turns[*index];
            }
        }
    }
}

/// A backend as it would be with one more session.
struct Bid {
    index: usize,
    load: u64,
    weight: u64,
    turn: u64,
}

impl Bid {
    fn precedes(&self, other: &Self) -> bool {
        // Load divided by weight, compared as products so that nothing is rounded.
        let (own, others) = (self.load * other.weight, other.load * self.weight);
        (own, self.turn) < (others, other.turn)
    }
}
