//! Files that a configuration names.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::config::problems::Place;
use crate::config::reading::Placed;

/// The path of a file, made absolute, and where the configuration names it. Two are the same where their paths are: one
/// line more above it changes nothing.
#[derive(Clone, Debug)]
pub struct NamedFile {
    path: PathBuf,
    pub(in crate::config) place: Place,
}

impl NamedFile {
    /// Names the key that means it, where no line of the configuration does.
    pub fn meant_by(&mut self, key: &str) {
        if self.place.path.is_empty() {
            key.clone_into(&mut self.place.path);
        }
    }
}

/// A file that no line of the configuration names.
impl From<PathBuf> for NamedFile {
    fn from(path: PathBuf) -> Self {
        Self {
            path,
            place: Place::nowhere(),
        }
    }
}

impl From<Placed<PathBuf>> for NamedFile {
    fn from(Placed { value: path, place }: Placed<PathBuf>) -> Self {
        Self { path, place }
    }
}

impl Deref for NamedFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl PartialEq for NamedFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for NamedFile {}
