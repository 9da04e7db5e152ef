//! What a frame is, and which side sends it.

/// One of the two sides of a session. A client masks the frames that it sends, a backend does not (RFC 6455 section
/// 5.1).
///
/// The gateway speaks to each side as the [other](Side::other) one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The client.
    Client,
    /// The backend.
    Backend,
}

impl Side {
    /// The opposite side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }
}

enumeration! {
    /// What a frame is.
    pub enum Opcode {
        /// A further fragment of a message.
        Continuation => "continuation",
        /// A text message, or its first fragment.
        Text => "text",
        /// A binary message, or its first fragment.
        Binary => "binary",
        /// The last frame that its sender sends.
        Close => "close",
        /// Asks for a Pong.
        Ping => "ping",
        /// Answers a Ping, or is unsolicited.
        Pong => "pong",
    }
    /// The value of the `opcode` label and log field.
    pub fn label;
}

impl Opcode {
    /// The opcode of this number; `None` if it is reserved.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    /// The number in the low four bits of a header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Whether this is a control frame (section 5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_opcodes_fit() {
        for opcode in Opcode::ALL {
            assert_eq!(Opcode::new(opcode.number()), Some(opcode));
        }
        let reserved = (0..16).filter(|number| Opcode::new(*number).is_none());
        assert_eq!(
            reserved.collect::<Vec<_>>(),
            [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
        );
    }
}
