//! Every way in which a stream of frames can break RFC 6455.

use thiserror::Error;

/// A violation of RFC 6455. With `on_protocol_error: close` its sender gets Close 1002.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[error("{}", self.detail())]
pub enum ProtocolError {
    /// A reserved bit is set that no negotiated extension uses (section 5.2).
    ReservedBits,
    /// The opcode is 3 to 7 or 11 to 15 (section 5.2).
    ReservedOpcode,
    /// A control frame is fragmented (section 5.5).
    FragmentedControl,
    /// A control frame announces more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A frame from the client is not masked (section 5.1).
    Unmasked,
    /// A frame from the backend is masked (section 5.1).
    Masked,
    /// A continuation frame comes while no message is unfinished (section 5.4).
    ContinuationWithoutStart,
    /// A new message begins before the previous one has ended (section 5.4).
    MessageInterrupted,
    /// A length could have been written in fewer bytes (section 5.2).
    LengthNotMinimal,
    /// The top bit of a 64-bit length is set (section 5.2).
    LengthTooLarge,
    /// A Close has a payload of one byte, too short for a code (section 5.5.1).
    ClosePayloadTooShort,
    /// A Close has a code that may not go on the wire (section 7.4).
    CloseCodeInvalid,
    /// The reason of a Close is not UTF-8 (section 5.5.1).
    CloseReasonNotUtf8,
}

impl ProtocolError {
    /// The `detail` of the session's line in the access log.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bit without an extension",
            Self::ReservedOpcode => "reserved opcode",
            Self::FragmentedControl => "fragmented control frame",
            Self::ControlTooLong => "control frame over 125 bytes",
            Self::Unmasked => "unmasked frame from a client",
            Self::Masked => "masked frame from a backend",
            Self::ContinuationWithoutStart => "continuation without a start",
            Self::MessageInterrupted => "message begun inside a message",
            Self::LengthNotMinimal => "length not in its shortest form",
            Self::LengthTooLarge => "length over 63 bits",
            Self::ClosePayloadTooShort => "close payload of one byte",
            Self::CloseCodeInvalid => "invalid close code",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
        }
    }
}
