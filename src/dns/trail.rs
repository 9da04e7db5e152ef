//! Where in the search list an answer was found, so that a failure there does not turn to the records of another name.

use super::message::Kind;

/// How many empty answers in a row it takes until what was found before is given up. Name servers that have just started
/// return empty answers for names that exist.
pub const EMPTY_ANSWERS: u32 = 5;

/// Where the last answer to a question was found.
#[derive(Clone, Default, Debug)]
pub struct Trail {
    /// The full name and the kind of its records.
    at: Option<(String, Kind)>,
    /// How often in a row these were not found.
    misses: u32,
}

impl Trail {
    /// Whether the last answer was found at this full name.
    pub(super) fn is_at(&self, full: &str) -> bool {
        self.at.as_ref().is_some_and(|(name, _)| name == full)
    }

    /// Whether the last answer was found at this full name, with a kind that comes before `kind` in `kinds`.
    pub(super) fn is_before(&self, full: &str, kind: Kind, kinds: &[Kind]) -> bool {
        let mut before = kinds.iter().take_while(|it| **it != kind);
        self.is_at(full) && before.any(|it| self.at.as_ref().is_some_and(|(_, at)| at == it))
    }

    /// Records were found here, and none at the name and kind of before if it `has_missed`. Returns whether these are accepted.
    pub(super) fn turn(&mut self, full: String, kind: Kind, has_missed: bool) -> bool {
        if has_missed && self.misses + 1 < EMPTY_ANSWERS {
            self.misses += 1;
            return false;
        }
        self.at = Some((full, kind));
        self.misses = 0;
        true
    }

    /// No records were found at all.
    pub(super) fn miss(&mut self) {
        self.misses += 1;
        if self.misses >= EMPTY_ANSWERS {
            *self = Self::default();
        }
    }
}
