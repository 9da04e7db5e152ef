//! Bytes that wait, in an allocation of exactly their size.

use tokio::io::ReadBuf;

/// Bytes that could not be passed on yet. Freed when the last of them is.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: Box<[u8]>,
    sent: usize,
}

impl From<Vec<u8>> for Backlog {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes: bytes.into_boxed_slice(),
            sent: 0,
        }
    }
}

impl Backlog {
    /// Adds `bytes` at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        *self = [self.rest(), bytes].concat().into();
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

    /// Moves as much as fits into `buffer`.
    pub fn read(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.rest().len().min(buffer.remaining());
        buffer.put_slice(&self.rest()[..count]);
        self.advance(count);
    }

    /// Drops `count` bytes from the front, and frees the memory when none are left.
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
