//! What the messages carry, so that a wrong, lost, repeated or misdirected byte shows: a stamp of
//! session and message number, then random bytes from a place that depends on both.

use anyhow::{Result, ensure};

const STAMP: usize = 8;
const SHIFTS: usize = 4096;

/// The contents of all messages of a run, all of one size.
pub(crate) struct Payload {
    size: usize,
    noise: Vec<u8>,
}

/// Which message of which session.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) session: u32,
    pub(crate) message: u32,
}

impl Stamp {
    fn bytes(self) -> [u8; STAMP] {
        ((u64::from(self.session) << 32) | u64::from(self.message)).to_be_bytes()
    }

    fn shift(self) -> usize {
        (self
            .session
            .wrapping_mul(31)
            .wrapping_add(self.message.wrapping_mul(7)) as usize)
            % SHIFTS
    }
}

impl Payload {
    /// Messages of `size` bytes, at least as long as the stamp.
    pub(crate) fn new(size: usize) -> Self {
        let size = size.max(STAMP);
        let mut noise = vec![0; size + SHIFTS];
        fastrand::fill(&mut noise);
        Self { size, noise }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Appends the message.
    pub(crate) fn write(&self, stamp: Stamp, output: &mut Vec<u8>) {
        output.extend_from_slice(&stamp.bytes());
        output.extend_from_slice(self.tail(stamp));
    }

    /// Fails unless `bytes` are what the message carries from `at` on.
    pub(crate) fn check(&self, stamp: Stamp, at: usize, bytes: &[u8]) -> Result<()> {
        let (head, tail) = bytes.split_at(STAMP.saturating_sub(at).min(bytes.len()));
        let same_head = head.is_empty() || stamp.bytes()[at..].starts_with(head);
        let place = (at + head.len()).saturating_sub(STAMP);
        let same_tail = tail.is_empty() || self.tail(stamp)[place..].starts_with(tail);
        ensure!(
            same_head && same_tail,
            "message {} of session {} came back changed",
            stamp.message,
            stamp.session
        );
        Ok(())
    }

    fn tail(&self, stamp: Stamp) -> &[u8] {
        &self.noise[stamp.shift()..][..self.size - STAMP]
    }
}
