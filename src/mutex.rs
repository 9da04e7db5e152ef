//! Locking what threads share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, even if a thread panicked while it held the lock: one task's panic must not spread to all that share the
/// value. This is sound because what our mutexes guard is changed in steps that either do not panic or leave it valid.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
