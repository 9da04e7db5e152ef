//! The extensions that both ends agreed on (RFC 6455 section 9).

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use super::opcode::Opcode;
use crate::fields::list_items;

/// Which extensions a session uses, as far as that matters to the frame tracker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extensions {
    /// None: no reserved bit may be set.
    None,
    /// permessage-deflate: RSV1 marks the first frame of a compressed message (RFC 7692
    /// section 6).
    PermessageDeflate,
    /// At least one that the gateway does not know: any reserved bit may be set.
    Unknown,
}

impl Extensions {
    /// The extensions in the Sec-WebSocket-Extensions of a 101.
    #[must_use]
    pub fn agreed(answer: &HeaderMap) -> Self {
        let mut agreed = Self::None;
        for extension in list_items(answer, &SEC_WEBSOCKET_EXTENSIONS) {
            let name = extension
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default();
            if !name
                .trim_ascii()
                .eq_ignore_ascii_case(b"permessage-deflate")
            {
                return Self::Unknown;
            }
            agreed = Self::PermessageDeflate;
        }
        agreed
    }

    /// Whether a frame of this opcode may have these reserved bits set (RSV1 is 4).
    #[must_use]
    pub fn allow(self, reserved: u8, opcode: Opcode) -> bool {
        match self {
            Self::None => reserved == 0,
            Self::PermessageDeflate => {
                let starts_message = matches!(opcode, Opcode::Text | Opcode::Binary);
                reserved == 0 || reserved == 4 && starts_message
            }
            Self::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn agreed(values: &[&'static str]) -> Extensions {
        let fields = values
            .iter()
            .map(|value| (SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(value)));
        Extensions::agreed(&fields.collect())
    }

    #[test]
    fn reads_what_was_agreed() {
        assert_eq!(agreed(&[]), Extensions::None);
        assert_eq!(agreed(&["", " , "]), Extensions::None);
        for value in [
            "permessage-deflate",
            "Permessage-Deflate ; client_max_window_bits=15",
        ] {
            assert_eq!(agreed(&[value]), Extensions::PermessageDeflate);
        }
        assert_eq!(
            agreed(&["permessage-deflate", "x-other"]),
            Extensions::Unknown
        );
        assert_eq!(
            agreed(&["x-other, permessage-deflate"]),
            Extensions::Unknown
        );
    }

    #[test]
    fn allows_the_bits_that_have_a_meaning() {
        assert!(!Extensions::None.allow(4, Opcode::Text));
        assert!(Extensions::PermessageDeflate.allow(4, Opcode::Binary));
        for opcode in [
            Opcode::Continuation,
            Opcode::Close,
            Opcode::Ping,
            Opcode::Pong,
        ] {
            assert!(!Extensions::PermessageDeflate.allow(4, opcode));
        }
        for reserved in [1, 2, 5, 6, 7] {
            assert!(!Extensions::PermessageDeflate.allow(reserved, Opcode::Text));
            assert!(Extensions::Unknown.allow(reserved, Opcode::Ping));
        }
    }
}
