//! Drawing backends at random, with probabilities by weight.

use super::Field;
use crate::upstream::Member;

/// How many draws may fail before the whole field is scanned. As long as half of the weight may be chosen, that happens in one of
/// 65,000 choices.
const DRAWS: usize = 16;

/// Draws by the configured weights, found by binary search. If the backend drawn may not be chosen, or has a lower weight at
/// the moment (slow start) and loses a second draw by that, another one is drawn.
#[derive(Debug)]
pub(in crate::upstream) struct Lots {
    /// For each member the sum of the full weights up to and including it.
    sums: Vec<u64>,
}

impl Lots {
    pub(super) fn new(members: &[Member]) -> Self {
        let sum = |sum: &mut u64, member: &Member| {
            *sum += u64::from(member.full_weight());
            Some(*sum)
        };
        Self {
            sums: members.iter().scan(0, sum).collect(),
        }
    }

    /// Draws one, but not `other`.
    pub(super) fn draw(&self, field: &Field<'_>, other: Option<usize>) -> Option<usize> {
        let total = *self.sums.last()?;
        for _ in 0..DRAWS {
            let lot = fastrand::u64(0..total);
            let index = self.sums.partition_point(|sum| *sum <= lot);
            let is_taken = fastrand::u32(0..field.full_weight(index)) < field.weight(index);
            if is_taken && Some(index) != other {
                return Some(index);
            }
        }
        draw_exactly(field, other)
    }

    /// Draws two and returns the one with fewer sessions for its weight.
    pub(super) fn better_of_two(&self, field: &Field<'_>) -> Option<usize> {
        let first = self.draw(field, None)?;
        match self.draw(field, Some(first)) {
            Some(second) if field.is_lighter(second, first) => Some(second),
            Some(_) | None => Some(first),
        }
    }
}

/// Draws by the weights of the moment, which takes two scans of the field.
fn draw_exactly(field: &Field<'_>, other: Option<usize>) -> Option<usize> {
    let weights = |(index, sum): (usize, u64)| -> u64 {
        match other {
            Some(other) if other == index => sum,
            Some(_) | None => sum + u64::from(field.weight(index)),
        }
    };
    let total = (0..field.len()).fold(0, |sum, index| weights((index, sum)));
    if total == 0 {
        return None;
    }
    let lot = fastrand::u64(0..total);
    let mut sum = 0;
    (0..field.len()).find(|index| {
        sum = weights((*index, sum));
        sum > lot
    })
}
