//! Where bytes stand on their way: borrowed from the thread while in hand, owned only when a peer is slow.

use std::cell::RefCell;

/// The most bytes one read takes.
pub(super) const LARGEST_READ: usize = 256 * 1024;
/// What a read takes at first. Reads that fill it grow up to [`LARGEST_READ`].
pub(super) const SMALLEST_READ: usize = 16 * 1024;
/// Room in front of a read for what was held back before: a control frame but for its last byte.
const LARGEST_HELD: usize = 131;

thread_local! {
    /// One buffer for all tunnels of a worker: a tunnel that is not being polled holds none.
    static SCRATCH: RefCell<Box<[u8]>> =
        RefCell::new(vec![0; LARGEST_HELD + LARGEST_READ].into_boxed_slice());
}

/// Runs `work` with the thread's buffer.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}

/// Bytes that the sink did not take yet; of exactly their size, and freed when they are gone.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Box<[u8]>,
    sent: usize,
}

impl Backlog {
    /// Keeps `bytes` behind what is there already.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let all = [self.rest(), bytes].concat();
        *self = Self {
            bytes: all.into_boxed_slice(),
            sent: 0,
        };
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is still to be sent.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Notes that `count` bytes were sent, and gives the memory back when those were the last.
    pub(super) fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_keeps_the_order_and_gives_its_memory_back() {
        let mut backlog = Backlog::default();
        backlog.append(b"abc");
        backlog.advance(1);
        backlog.append(b"d");
        assert_eq!(backlog.rest(), b"bcd");
        backlog.advance(3);
        assert!(backlog.is_empty());
        assert_eq!(backlog.bytes.len(), 0);
    }
}
