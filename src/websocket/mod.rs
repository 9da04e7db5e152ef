//! RFC 6455 and RFC 8441 without I/O: opening handshakes, frame headers, control frames, close codes.
//!
//! Nothing here reads a socket, waits, or stores a payload other than that of a control frame (at most 125 bytes).

mod answer;
mod close;
mod connect;
mod control;
mod extensions;
mod frame;
mod handshake;
mod key;
mod opcode;
mod protocol_error;
mod short;
mod tracker;

pub use answer::{AnswerError, verify_answer};
pub use close::{CODE_LABELS, Close, CloseCode, code_label};
pub use connect::{BroughtKey, into_get};
pub use control::ControlFrame;
pub use extensions::Extensions;
pub use frame::{FrameHeader, MAX_CONTROL_PAYLOAD, mask};
pub use handshake::{
    HandshakeError, VERSION, asks_for_websocket, looks_like_websocket, read_handshake,
};
pub use key::{Key, accept_key};
pub use opcode::{Opcode, Side};
pub use protocol_error::ProtocolError;
pub use tracker::{ControlPayload, Event, FrameTracker, Step};
