//! The few bytes that are kept while a header or a control frame is incomplete.

use super::super::frame::{FrameHeader, MAX_CONTROL_FRAME};
use super::super::opcode::Opcode;
use super::event::ControlPayload;

/// The first bytes of a header.
#[derive(Default, Debug)]
pub(super) struct HeldHeader {
    bytes: [u8; FrameHeader::MAX_LENGTH],
    length: u8,
}

impl HeldHeader {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends as much of `input` as fits.
    pub(super) fn fill(&mut self, input: &[u8]) {
        self.length += append(&mut self.bytes, self.length, input);
    }

    pub(super) fn truncate(&mut self, length: u8) {
        self.length = self.length.min(length);
    }
}

/// A control frame whose header is complete.
///
/// Most arrive in one chunk and are never stored. One that does not is kept on the heap until it is complete, so that
/// other sessions do not pay for the buffer.
#[derive(Debug)]
pub(super) struct HeldControl {
    partial: Option<Box<PartialControl>>,
    mask: Option<[u8; 4]>,
    payload_length: u8,
    opcode: Opcode,
}

#[derive(Debug)]
struct PartialControl {
    bytes: [u8; MAX_CONTROL_FRAME],
    length: u8,
}

impl HeldControl {
    pub(super) fn new(header: &FrameHeader) -> Self {
        let payload_length = u8::try_from(header.payload_length);
        Self {
            partial: None,
            mask: header.mask,
            payload_length: payload_length.expect("a control frame has at most 125 bytes"),
            opcode: header.opcode,
        }
    }

    pub(super) fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// The bytes of the frame so far; `None` if nothing but the header has come.
    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        let partial = self.partial.as_deref()?;
        Some(&partial.bytes[..usize::from(partial.length)])
    }

    /// Consumes bytes of the payload from `input`: returns how many, and the payload once it is complete. `header` is
    /// that of this frame.
    pub(super) fn take(
        &mut self,
        header: &HeldHeader,
        input: &[u8],
    ) -> (usize, Option<ControlPayload>) {
        let whole = usize::from(self.payload_length);
        if self.partial.is_none() && input.len() >= whole {
            let payload = ControlPayload::unmask(input, self.payload_length, self.mask);
            return (whole, Some(payload));
        }
        let partial = self
            .partial
            .get_or_insert_with(|| Box::new(PartialControl::new(header)));
        let frame_length = header.length + self.payload_length;
        let missing = usize::from(frame_length - partial.length);
        let taken = &input[..input.len().min(missing)];
        partial.length += append(&mut partial.bytes, partial.length, taken);
        if partial.length < frame_length {
            return (taken.len(), None);
        }
        let masked = &partial.bytes[usize::from(header.length)..];
        let payload = ControlPayload::unmask(masked, self.payload_length, self.mask);
        (taken.len(), Some(payload))
    }
}

impl PartialControl {
    fn new(header: &HeldHeader) -> Self {
        let mut partial = Self {
            bytes: [0; MAX_CONTROL_FRAME],
            length: 0,
        };
        partial.length = append(&mut partial.bytes, 0, header.as_bytes());
        partial
    }
}

/// Copies as much of `input` as fits behind the first `length` bytes of `buffer`; returns how many bytes that is.
fn append(buffer: &mut [u8], length: u8, input: &[u8]) -> u8 {
    let room = &mut buffer[usize::from(length)..];
    let count = room.len().min(input.len());
    room[..count].copy_from_slice(&input[..count]);
    u8::try_from(count).expect("the buffers are shorter than 256 bytes")
}
