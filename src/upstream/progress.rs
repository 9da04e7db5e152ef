//! Tells whether a backend that has not answered an opening handshake in time is slow with all of them, or ignores this one.
//!
//! Handshakes are numbered in the order in which they are sent. A backend that works through a long queue answers earlier
//! numbers meanwhile; one that ignores a handshake answers many later ones.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many later handshakes may be answered before this one counts as ignored. Backends work on some side by side.
const OVERTAKERS: usize = 8;

/// The opening handshakes of a backend.
#[derive(Default, Debug)]
pub(super) struct HandshakeProgress {
    sent: AtomicU64,
    answered: AtomicU64,
    /// The highest numbers that have an answer, the highest first.
    furthest: [AtomicU64; OVERTAKERS + 1],
}

/// One handshake that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    number: u64,
    /// How many had been answered before it was sent.
    answered: u64,
}

impl HandshakeProgress {
    /// One more is sent.
    pub(super) fn ask(&self) -> Sent {
        Sent {
            number: self.sent.fetch_add(1, Ordering::Relaxed) + 1,
            answered: self.answered.load(Ordering::Relaxed),
        }
    }

    /// It is answered.
    pub(super) fn answer(&self, sent: Sent) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let mut number = sent.number;
        for place in &self.furthest {
            // Each place keeps the higher one and hands the lower one down.
            let before = place.fetch_max(number, Ordering::Relaxed);
            number = number.min(before);
            if number == 0 {
                break;
            }
        }
    }

    /// Whether others have been answered since it was sent.
    pub(super) fn has_answered_others(&self, sent: Sent) -> bool {
        self.answered.load(Ordering::Relaxed) != sent.answered
    }

    /// Whether it is still waiting behind others: some have been answered since, but not many that were sent later.
    pub(super) fn is_queued(&self, sent: Sent) -> bool {
        let last = self.furthest[OVERTAKERS].load(Ordering::Relaxed);
        self.has_answered_others(sent) && last <= sent.number
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
        let later: Vec<Sent> = (0..9).map(|_| progress.ask()).collect();
        for sent in &later[..8] {
            progress.answer(*sent);
        }
        assert!(progress.is_queued(second));
        progress.answer(later[8]);
        assert!(!progress.is_queued(second), "all others were answered");
    }

    /// A herd that logs in, and one quick handshake behind it.
    #[test]
    fn counts_answers_and_not_how_far_they_are() {
        let progress = HandshakeProgress::default();
        let herd: Vec<Sent> = (0..20).map(|_| progress.ask()).collect();
        progress.answer(progress.ask());
        assert!(herd.iter().all(|sent| progress.is_queued(*sent)));
        // In any order.
        for sent in herd[1..].iter().rev() {
            progress.answer(*sent);
        }
        let queued = herd.iter().filter(|sent| progress.is_queued(**sent));
        assert_eq!(queued.count(), 8, "the last ones are behind few");
        assert!(!progress.is_queued(herd[0]));
    }
}
