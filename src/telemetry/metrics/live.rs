//! The handles in use, by identity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::families::Families;
use crate::config::Name;

/// Metrics with resolved labels whose series go when nobody holds them any more.
pub(super) trait Series {
    /// Takes the series out of their families.
    fn remove(&self, families: &Families);
}

/// Hands out one handle per identity and takes back the series of those that nobody holds.
///
/// Handles have no Drop of their own: what is gone is found under the lock under which handles are made,
/// so that a handle made anew cannot lose its series to the end of an older one.
pub(super) struct Live<H> {
    handles: Mutex<HashMap<Box<[Name]>, Arc<H>>>,
}

impl<H: Series> Live<H> {
    pub(super) fn new() -> Self {
        Self {
            handles: Mutex::new(HashMap::new()),
        }
    }

    /// The handle of `identity`, made where there is none.
    pub(super) fn handle(&self, identity: &[&Name], make: impl FnOnce() -> H) -> Arc<H> {
        let key: Box<[Name]> = identity.iter().map(|&name| Arc::clone(name)).collect();
        Arc::clone(self.lock().entry(key).or_insert_with(|| Arc::new(make())))
    }

    /// Removes the series of handles that are held nowhere else.
    pub(super) fn sweep(&self, families: &Families) {
        self.lock().retain(|_, handle| {
            // Handles are only made under the lock, so a count of one cannot grow meanwhile.
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
