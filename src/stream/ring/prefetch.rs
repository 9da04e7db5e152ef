//! Loading a task's memory ahead of its turn.
//!
//! With many sessions a task's memory has left the caches by the time that something comes for it. The tasks that a
//! look wakes are loaded side by side while it goes on, rather than each when its turn comes.

use std::task::Waker;

/// As much of a task's memory as holds a tunnel.
const TASK: usize = 13 * LINE;
/// What the processor loads at once.
const LINE: usize = 64;

/// Begins to load the task of `waker`; those of tokio point at their tasks.
pub(super) fn prefetch(waker: &Waker) {
    for offset in (0..TASK).step_by(LINE) {
        prefetch_line(waker.data().wrapping_byte_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a hint to the processor")]
fn prefetch_line(address: *const ()) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: nothing is read; a hint may name any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

/// Elsewhere Rust has no such hint yet.
#[cfg(not(target_arch = "x86_64"))]
fn prefetch_line(_: *const ()) {}
