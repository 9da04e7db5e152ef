//! Prefetching the memory of tasks that are about to run.
//!
//! With many sessions, the memory of a task is no longer in the caches when something comes for it. While the driver
//! handles completions, the tasks that it is going to wake are loaded in parallel, rather than each when it runs.

use std::task::Waker;

/// How much of a task's memory a tunnel takes.
const TASK: usize = 13 * LINE;
/// The size of a cache line.
const LINE: usize = 64;

/// Prefetches the task of `waker`: the wakers of tokio point at their tasks.
pub(super) fn prefetch(waker: &Waker) {
    for offset in (0..TASK).step_by(LINE) {
        prefetch_line(waker.data().wrapping_byte_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a hint to the processor")]
fn prefetch_line(address: *const ()) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing, and any address is allowed.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

/// Rust has no stable prefetch for other architectures.
#[cfg(not(target_arch = "x86_64"))]
fn prefetch_line(_: *const ()) {}
