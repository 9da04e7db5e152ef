//! The few bytes that are kept while a header or a control frame is incomplete.

use super::super::frame::{FrameHeader, MAX_CONTROL_FRAME};
use super::super::opcode::Opcode;
use super::super::short::Short;
use super::event::ControlPayload;

/// The first bytes of a header.
pub(super) type HeldHeader = Short<{ FrameHeader::MAX_LENGTH }>;

/// A control frame whose header is complete.
///
/// Most arrive in one chunk and are never stored. One that does not is kept on the heap until it is complete, so that
/// other sessions do not pay for the buffer.
#[derive(Debug)]
pub(super) struct HeldControl {
    partial: Option<Box<Short<MAX_CONTROL_FRAME>>>,
    mask: Option<[u8; 4]>,
    payload_length: u8,
    opcode: Opcode,
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
        self.partial.as_deref().map(Short::as_bytes)
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
            let payload = ControlPayload::unmask(&input[..whole], self.mask);
            return (whole, Some(payload));
        }
        let partial = self.partial.get_or_insert_with(|| {
            let mut partial = Box::new(Short::new());
            partial.append(header.as_bytes());
            partial
        });
        let missing = header.len() + whole - partial.len();
        let taken = partial.append(&input[..input.len().min(missing)]);
        if taken < missing {
            return (taken, None);
        }
        let masked = &partial.as_bytes()[header.len()..];
        (taken, Some(ControlPayload::unmask(masked, self.mask)))
    }
}
