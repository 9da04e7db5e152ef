//! Where answers were found, so that one who fails for a moment is not taken for another.

use super::message::Kind;

/// So many times in a row the DNS has to say that nothing is there before what is known is given up: name servers say so of a
/// name that is there when they have just started, or were asked too early.
pub const EMPTY_ANSWERS: u32 = 5;

/// Where the answers to a question were found.
#[derive(Clone, Default, Debug)]
pub struct Trail {
    /// The full name and the kind, where anything is known.
    at: Option<(String, Kind)>,
    /// How often in a row nothing was there.
    misses: u32,
}

impl Trail {
    /// Whether it leads to this full name.
    pub(super) fn is_at(&self, full: &str) -> bool {
        self.at.as_ref().is_some_and(|(name, _)| name == full)
    }

    /// Whether it leads to something of this full name that is asked for before `kind`.
    pub(super) fn is_before(&self, full: &str, kind: Kind, kinds: &[Kind]) -> bool {
        let mut before = kinds.iter().take_while(|it| **it != kind);
        self.is_at(full) && before.any(|it| self.at.as_ref().is_some_and(|(_, at)| at == it))
    }

    /// Says that something is here, and nothing where the trail `has_missed` what it leads to. Whether it leads here now.
    pub(super) fn turn(&mut self, full: String, kind: Kind, has_missed: bool) -> bool {
        if has_missed && self.misses + 1 < EMPTY_ANSWERS {
            self.misses += 1;
            return false;
        }
        self.at = Some((full, kind));
        self.misses = 0;
        true
    }

    /// Says that nothing is anywhere.
    pub(super) fn miss(&mut self) {
        self.misses += 1;
        if self.misses >= EMPTY_ANSWERS {
            *self = Self::default();
        }
    }
}
