//! Where answers were found, so that one who fails for a moment is not taken for another.

/// Where the answers to a question were found.
#[derive(Clone, Default, Debug)]
pub struct Trail {
    /// The full name, where anything is known.
    name: Option<String>,
}

impl Trail {
    /// Whether it leads to this full name.
    pub(super) fn is_at(&self, full: &str) -> bool {
        self.name.as_deref() == Some(full)
    }

    pub(super) fn found(&mut self, full: String) {
        self.name = Some(full);
    }
}
