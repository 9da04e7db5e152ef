//! The handles in use, by the names that identify them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::families::Families;
use crate::config::Name;

/// A handle whose series are removed when nobody holds it any more.
pub(super) trait Series {
    /// Removes its series from their families.
    fn remove(&self, families: &Families);
}

/// Hands out one handle per identity, and removes the series of handles that nobody holds.
///
/// Handles do not remove their series on drop: the drop of an old handle could remove the series of a new one with the same
/// identity. They are removed under the same lock under which handles are created.
pub(super) struct Live<H> {
    handles: Mutex<HashMap<Box<[Name]>, Arc<H>>>,
}

impl<H: Series> Live<H> {
    pub(super) fn new() -> Self {
        Self {
            handles: Mutex::new(HashMap::new()),
        }
    }

    /// The handle of `identity`, created if there is none.
    pub(super) fn handle(&self, identity: &[&Name], make: impl FnOnce() -> H) -> Arc<H> {
        let key: Box<[Name]> = identity.iter().map(|&name| Arc::clone(name)).collect();
        Arc::clone(self.lock().entry(key).or_insert_with(|| Arc::new(make())))
    }

    /// Removes handles that are held nowhere else, with their series.
    pub(super) fn sweep(&self, families: &Families) {
        self.lock().retain(|_, handle| {
            // A count of one cannot grow meanwhile, as handles are only given out under the lock.
            let held = Arc::strong_count(handle) > 1;
            if !held {
                handle.remove(families);
            }
            held
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[Name]>, Arc<H>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
