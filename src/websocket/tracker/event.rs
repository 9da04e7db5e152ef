//! What the frame tracker reports.

use super::super::frame::{MAX_CONTROL_PAYLOAD, mask};
use super::super::opcode::Opcode;
use super::super::protocol_error::ProtocolError;
use super::super::short::Short;

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
    Header {
        /// As in the header, so `Continuation` for the later fragments of a message.
        opcode: Opcode,
        /// Whether this is the last fragment of its message.
        fin: bool,
        /// The payload bytes of this frame.
        payload_length: u64,
    },
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlPayload(Short<MAX_CONTROL_PAYLOAD>);

impl ControlPayload {
    /// The payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Copies `masked` and unmasks it.
    pub(super) fn unmask(masked: &[u8], key: Option<[u8; 4]>) -> Self {
        let mut payload = Short::new();
        payload.append(masked);
        if let Some(key) = key {
            mask(payload.as_mut_bytes(), key);
        }
        Self(payload)
    }
}
