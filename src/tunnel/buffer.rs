//! The read buffer of a thread, which a tunnel borrows while it is polled. What a slow peer does not take is copied to a
//! [`Backlog`](crate::stream::Backlog).

use std::cell::RefCell;

use crate::websocket::FrameTracker;

/// The most bytes one read takes.
pub(super) const LARGEST_READ: usize = 256 * 1024;
/// Room in front of a read for the bytes that were held back before.
const LARGEST_HELD: usize = FrameTracker::MAX_PENDING;

thread_local! {
    /// One buffer for all tunnels of a worker.
    static SCRATCH: RefCell<Box<[u8]>> =
        RefCell::new(vec![0; LARGEST_HELD + LARGEST_READ].into_boxed_slice());
}

/// Runs `work` with the thread's buffer.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}
