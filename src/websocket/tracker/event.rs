//! What the frame tracker reports.

use std::fmt;

use super::super::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, mask};
use super::super::opcode::Opcode;
use super::super::protocol_error::ProtocolError;

/// The result of one step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// How many bytes of the input precede the event.
    pub consumed: usize,
    /// What comes after them.
    pub event: Event,
}

/// What comes next in a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The input is used up; continue with the next chunk.
    NeedMore,
    /// A header is complete; nothing of the payload is consumed yet.
    Header(FrameHeader),
    /// A data frame is complete.
    DataEnd {
        /// Whether its message is text or binary.
        opcode: Opcode,
        /// Whether its message is complete, too.
        fin: bool,
        /// The payload bytes of its message so far, as on the wire.
        message_length: u64,
    },
    /// A control frame is complete.
    Control {
        /// Close, Ping or Pong.
        opcode: Opcode,
        /// Its payload, unmasked; that of a Close is valid.
        payload: ControlPayload,
    },
    /// The sender broke the protocol. Consumes nothing; every further step returns it again.
    Violation(ProtocolError),
}

/// The unmasked payload of a control frame, at most 125 bytes.
#[derive(Clone, Copy)]
pub struct ControlPayload {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    length: u8,
}

impl ControlPayload {
    /// The payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Copies `length` bytes from the beginning of `masked` and unmasks them.
    pub(super) fn unmask(masked: &[u8], length: u8, key: Option<[u8; 4]>) -> Self {
        let mut payload = Self {
            bytes: [0; MAX_CONTROL_PAYLOAD],
            length,
        };
        let used = &mut payload.bytes[..usize::from(length)];
        used.copy_from_slice(&masked[..usize::from(length)]);
        if let Some(key) = key {
            mask(used, key);
        }
        payload
    }
}

impl PartialEq for ControlPayload {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ControlPayload {}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.as_bytes().escape_ascii())
    }
}
