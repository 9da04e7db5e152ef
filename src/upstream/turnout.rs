//! Whether a backend that does not answer an opening handshake is slow with all of them, or silent.

use std::sync::atomic::{AtomicU64, Ordering};

/// So many who asked later may be answered before somebody whom the backend is only slow with: it may do some side by side.
const OVERTAKERS: u64 = 8;

/// The opening handshakes of a backend, in the order of asking.
#[derive(Default, Debug)]
pub(super) struct Turnout {
    asked: AtomicU64,
    answered: AtomicU64,
    /// The number of the last one asked that has an answer.
    furthest: AtomicU64,
}

/// One handshake that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    number: u64,
    /// How many had been answered before.
    answered: u64,
}

impl Turnout {
    /// One more is asked.
    pub(super) fn ask(&self) -> Asked {
        Asked {
            number: self.asked.fetch_add(1, Ordering::Relaxed) + 1,
            answered: self.answered.load(Ordering::Relaxed),
        }
    }

    /// It has an answer.
    pub(super) fn answer(&self, asked: Asked) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.furthest.fetch_max(asked.number, Ordering::Relaxed);
    }

    /// Whether others have been answered meanwhile.
    pub(super) fn has_moved(&self, asked: Asked) -> bool {
        self.answered.load(Ordering::Relaxed) != asked.answered
    }

    /// Whether its turn is yet to come: others have been answered meanwhile, but few who asked later.
    pub(super) fn is_yet_to_come(&self, asked: Asked) -> bool {
        let furthest = self.furthest.load(Ordering::Relaxed);
        self.has_moved(asked) && furthest <= asked.number + OVERTAKERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_who_is_behind_others_from_who_is_passed_over() {
        let turnout = Turnout::default();
        let first = turnout.ask();
        let second = turnout.ask();
        assert!(!turnout.is_yet_to_come(second), "nobody is answered");
        turnout.answer(first);
        assert!(turnout.is_yet_to_come(second));
        let later: Vec<Asked> = (0..9).map(|_| turnout.ask()).collect();
        for asked in &later[..8] {
            turnout.answer(*asked);
        }
        assert!(turnout.is_yet_to_come(second));
        turnout.answer(later[8]);
        assert!(!turnout.is_yet_to_come(second), "all others were answered");
    }
}
