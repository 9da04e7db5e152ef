//! A few bytes, stored inline.

use std::fmt;

/// At most `N` bytes, below 256.
#[derive(Clone, Copy)]
pub(super) struct Short<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Short<N> {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    pub(super) fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.length)]
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Appends as much of `input` as fits; returns how many bytes that is.
    pub(super) fn append(&mut self, input: &[u8]) -> usize {
        let room = &mut self.bytes[usize::from(self.length)..];
        let count = room.len().min(input.len());
        room[..count].copy_from_slice(&input[..count]);
        self.length += u8::try_from(count).expect("the buffer is shorter than 256 bytes");
        count
    }

    pub(super) fn truncate(&mut self, length: u8) {
        self.length = self.length.min(length);
    }
}

impl<const N: usize> PartialEq for Short<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for Short<N> {}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.as_bytes().escape_ascii())
    }
}
