//! The pool of a name that is in force, for requests that hold an earlier one.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::Pool;
use crate::mutex::lock;

/// Which pool of a name is in force; shared by all pools that had the name. The pointer is weak, so that a long request that
/// holds the first pool does not keep later ones alive.
#[derive(Default)]
pub(super) struct InForce(Mutex<Weak<Pool>>);

impl InForce {
    pub(super) fn set(&self, pool: &Arc<Pool>) {
        *self.pointer() = Arc::downgrade(pool);
    }

    /// The pool in force; `own` if it is the first of its name, or if the configuration has no pool of the name any more.
    pub(super) fn or(&self, own: &Arc<Pool>) -> Arc<Pool> {
        let pool = self.pointer().upgrade();
        pool.unwrap_or_else(|| Arc::clone(own))
    }

    fn pointer(&self) -> MutexGuard<'_, Weak<Pool>> {
        lock(&self.0)
    }
}
