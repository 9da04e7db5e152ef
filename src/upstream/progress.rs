//! Tells whether a backend that has not answered an opening handshake in time is slow with all of them, or ignores this one.
//!
//! Handshakes are numbered in the order in which they are sent. A backend that works through a long queue answers earlier
//! numbers meanwhile; one that ignores a handshake answers many later ones.

use std::sync::atomic::{AtomicU64, Ordering};

/// How far later handshakes may be answered before this one counts as ignored. Backends work on some side by side.
const OVERTAKERS: u64 = 8;

/// The opening handshakes of a backend.
#[derive(Default, Debug)]
pub(super) struct HandshakeProgress {
    asked: AtomicU64,
    answered: AtomicU64,
    /// The highest number that has an answer.
    furthest: AtomicU64,
}

/// One handshake that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    number: u64,
    /// How many had been answered before it was sent.
    answered: u64,
}

impl HandshakeProgress {
    /// One more is sent.
    pub(super) fn ask(&self) -> Asked {
        Asked {
            number: self.asked.fetch_add(1, Ordering::Relaxed) + 1,
            answered: self.answered.load(Ordering::Relaxed),
        }
    }

    /// It is answered.
    pub(super) fn answer(&self, asked: Asked) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.furthest.fetch_max(asked.number, Ordering::Relaxed);
    }

    /// Whether others have been answered since it was sent.
    pub(super) fn has_answered_others(&self, asked: Asked) -> bool {
        self.answered.load(Ordering::Relaxed) != asked.answered
    }

    /// Whether it is still waiting behind others: some have been answered since, but none that was sent much later.
    pub(super) fn is_queued(&self, asked: Asked) -> bool {
        let furthest = self.furthest.load(Ordering::Relaxed);
        self.has_answered_others(asked) && furthest <= asked.number + OVERTAKERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_handshake_behind_others_from_one_that_is_ignored() {
        let progress = HandshakeProgress::default();
        let first = progress.ask();
        let second = progress.ask();
        assert!(!progress.is_queued(second), "nobody is answered");
        progress.answer(first);
        assert!(progress.is_queued(second));
        let later: Vec<Asked> = (0..9).map(|_| progress.ask()).collect();
        for asked in &later[..8] {
            progress.answer(*asked);
        }
        assert!(progress.is_queued(second));
        progress.answer(later[8]);
        assert!(!progress.is_queued(second), "all others were answered");
    }
}
