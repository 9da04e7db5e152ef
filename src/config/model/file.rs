//! Files that a configuration names.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::config::problems::Place;
use crate::config::reading::Placed;

/// The absolute path of a file, and the place where the configuration names it. Only paths are compared: a file that is
/// named at another line has not changed.
#[derive(Clone, Debug)]
pub struct NamedFile {
    path: PathBuf,
    pub(in crate::config) place: Place,
}

impl NamedFile {
    /// Sets the key to report, if no line of the configuration names the file.
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
