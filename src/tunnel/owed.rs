//! Whether a side takes what waits for it, in the gateway and in the kernel.
//!
//! A write shows that only where the kernel was full, and then in large steps. What the kernel holds behind the last write
//! shows it to the end; while more is being written, what the side has acknowledged in all does.

use crate::stream::Stream;

/// How many bytes a side had yet to take at the last look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owed(u32);

impl Owed {
    /// There was no look yet, or more is being added: the next look counts as progress if there is something to take.
    pub(super) const UNKNOWN: Self = Self(u32::MAX);

    /// As a first look.
    pub(super) fn of(bytes: usize) -> Self {
        Self(u32::try_from(bytes).unwrap_or(u32::MAX - 1))
    }

    /// Whether the side has taken some since the last look, as now it has yet to take `bytes`.
    pub(super) fn shrinks_to(&mut self, bytes: usize) -> bool {
        let before = std::mem::replace(self, Self::of(bytes));
        match before {
            Self::UNKNOWN => bytes > 0,
            before => self.0 < before.0,
        }
    }
}

/// How many bytes a side had acknowledged in all at the last look.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Acknowledged(Option<u64>);

impl Acknowledged {
    /// Whether the side has acknowledged some since the last look; at the first, whether it has yet to.
    pub(super) fn has_grown(&mut self, stream: &Stream) -> bool {
        let now = stream.acknowledged();
        match std::mem::replace(&mut self.0, now) {
            None => stream.unacknowledged() > 0,
            before => before < now,
        }
    }
}
