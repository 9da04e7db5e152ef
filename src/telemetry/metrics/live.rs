//! The handles in use, by the names that identify them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::families::{Catalogue, Registrar};
use super::family::AnyFamily;
use crate::config::Name;
use crate::mutex::lock;

/// Hands out one handle per identity, and removes the series of handles that nobody holds.
///
/// The labels of all `families` begin with the names that identify a handle.
///
/// Handles do not remove their series on drop: the drop of an old handle could remove the series of a new one with the same
/// identity. They are removed under the same lock under which handles are created.
pub(super) struct Live<F, H> {
    pub(super) families: F,
    /// The same families one by one.
    each: Vec<Box<dyn AnyFamily>>,
    handles: Mutex<HashMap<Box<[Name]>, Arc<H>>>,
}

impl<F, H> Live<F, H> {
    /// Registers the families; there are no handles yet.
    pub(super) fn new(
        catalogue: &mut Catalogue,
        register: impl FnOnce(&mut Registrar<'_>) -> F,
    ) -> Self {
        let mut registrar = Registrar::new(catalogue);
        Self {
            families: register(&mut registrar),
            each: registrar.registered(),
            handles: Mutex::default(),
        }
    }

    /// The handle of `identity`, created if there is none.
    pub(super) fn handle(&self, identity: &[&Name], make: impl FnOnce(&F) -> H) -> Arc<H> {
        let key: Box<[Name]> = identity.iter().map(|&name| Arc::clone(name)).collect();
        let mut handles = lock(&self.handles);
        let handle = handles.entry(key);
        Arc::clone(handle.or_insert_with(|| Arc::new(make(&self.families))))
    }

    /// Removes handles that are held nowhere else, with their series.
    pub(super) fn sweep(&self) {
        lock(&self.handles).retain(|identity, handle| {
            // A count of one cannot grow meanwhile, as handles are only given out under the lock.
            let held = Arc::strong_count(handle) > 1;
            if !held {
                self.each.iter().for_each(|family| family.remove(identity));
            }
            held
        });
    }
}
