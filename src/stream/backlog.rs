//! Bytes that wait: as many as they are, in an allocation of just that size.

use tokio::io::ReadBuf;

/// Bytes that could not be passed on yet. Freed when the last of them is.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: Box<[u8]>,
    sent: usize,
}

impl Backlog {
    /// Keeps `bytes` behind what is there already.
    pub fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let all = [self.rest(), bytes].concat();
        *self = Self {
            bytes: all.into_boxed_slice(),
            sent: 0,
        };
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What waits.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Puts as much as there is room for into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.rest().len().min(buffer.remaining());
        buffer.put_slice(&self.rest()[..count]);
        self.advance(count);
    }

    /// Notes that `count` bytes were passed on, and gives the memory back when those were the last.
    pub fn advance(&mut self, count: usize) {
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
