//! Close codes and the payload of a Close frame (RFC 6455 sections 5.5.1 and 7.4).

use super::protocol_error::ProtocolError;

/// A close code that may go on the wire: 1000 to 1003, 1007 to 1014 and 3000 to 4999.
///
/// 1005, 1006 and 1015 are for local use only, and never sent (section 7.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The sender leaves.
    pub const GOING_AWAY: Self = Self(1001);
    /// The other side broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The other side broke a rule that has no code of its own.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message is larger than the sender takes.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// The server restarts; the client may reconnect.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server is overloaded; the client may reconnect later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code of this number; `None` if it may not go on the wire.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number as it goes on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The payload of a Close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Close<'a> {
    /// The code; `None` if the payload is empty.
    pub code: Option<CloseCode>,
    /// The reason; often empty.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Reads the unmasked payload of a Close frame.
    ///
    /// # Errors
    ///
    /// A payload of one byte, a code that may not go on the wire, or a reason that is not UTF-8: the first fault found.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        if payload.is_empty() {
            return Ok(Self {
                code: None,
                reason: "",
            });
        }
        let (number, reason) = payload
            .split_first_chunk()
            .ok_or(ProtocolError::ClosePayloadTooShort)?;
        let code = CloseCode::new(u16::from_be_bytes(*number));
        Ok(Self {
            code: Some(code.ok_or(ProtocolError::CloseCodeInvalid)?),
            reason: str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?,
        })
    }
}

/// Every value of [`code_label`], for metrics that start at 0.
pub const CODE_LABELS: [&str; 16] = [
    "1000", "1001", "1002", "1003", "1007", "1008", "1009", "1010", "1011", "1012", "1013", "1014",
    "3xxx", "4xxx", "other", "none",
];

/// The value of the `code` label for the code of a Close, one of [`CODE_LABELS`]; `none` if there was no Close or it
/// had no code.
#[must_use]
pub fn code_label(code: Option<u16>) -> &'static str {
    match code {
        None => "none",
        Some(1000) => "1000",
        Some(1001) => "1001",
        Some(1002) => "1002",
        Some(1003) => "1003",
        Some(1007) => "1007",
        Some(1008) => "1008",
        Some(1009) => "1009",
        Some(1010) => "1010",
        Some(1011) => "1011",
        Some(1012) => "1012",
        Some(1013) => "1013",
        Some(1014) => "1014",
        Some(3000..=3999) => "3xxx",
        Some(4000..=4999) => "4xxx",
        Some(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sends_no_code_that_is_reserved_or_only_local() {
        for number in [
            0,
            999,
            1004,
            1005,
            1006,
            1015,
            1016,
            2000,
            2999,
            5000,
            u16::MAX,
        ] {
            assert_eq!(CloseCode::new(number), None, "{number}");
        }
        for number in [1000, 1003, 1007, 1014, 3000, 4999] {
            assert_eq!(CloseCode::new(number).map(CloseCode::number), Some(number));
        }
    }

    #[test]
    fn reads_code_and_reason() {
        assert_eq!(
            Close::parse(b""),
            Ok(Close {
                code: None,
                reason: ""
            })
        );
        let code = Some(CloseCode::NORMAL);
        assert_eq!(Close::parse(b"\x03\xe8"), Ok(Close { code, reason: "" }));
        assert_eq!(
            Close::parse(b"\x03\xe8bye"),
            Ok(Close {
                code,
                reason: "bye"
            })
        );
    }

    #[test]
    fn refuses_a_payload_that_says_nothing_sound() {
        assert_eq!(
            Close::parse(b"\x03"),
            Err(ProtocolError::ClosePayloadTooShort)
        );
        assert_eq!(
            Close::parse(b"\x03\xed"),
            Err(ProtocolError::CloseCodeInvalid)
        );
        assert_eq!(
            Close::parse(b"\x03\xe8\xff"),
            Err(ProtocolError::CloseReasonNotUtf8)
        );
    }

    #[test]
    fn every_label_is_listed_and_reached() {
        let reached: BTreeSet<_> = (0..=u16::MAX)
            .map(Some)
            .chain([None])
            .map(code_label)
            .collect();
        assert_eq!(reached, CODE_LABELS.into_iter().collect());
    }

    proptest! {
        #[test]
        fn every_valid_code_has_a_label_of_its_own(number in any::<u16>()) {
            let sound = CloseCode::new(number).is_some();
            prop_assert_eq!(sound, code_label(Some(number)) != "other");
        }
    }
}
