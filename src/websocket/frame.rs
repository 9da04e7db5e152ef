//! The header of a frame (RFC 6455 section 5.2).
//!
//! Errors that a single header shows are found here; the [tracker](super::tracker) checks what depends on the sender,
//! the extensions or earlier frames.

use super::opcode::Opcode;
use super::protocol_error::ProtocolError;

/// The most bytes that the payload of a control frame may have (RFC 6455 section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The longest control frame in bytes: a header of two, a masking key of four, the payload.
pub(super) const MAX_CONTROL_FRAME: usize = 2 + 4 + MAX_CONTROL_PAYLOAD;

/// The header of a frame, valid on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// The reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub reserved: u8,
    /// The opcode.
    pub opcode: Opcode,
    /// The masking key; `None` if the payload is not masked.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload in bytes, below 2⁶³.
    pub payload_length: u64,
    /// The length of the header itself in bytes, 2 to 14.
    pub header_length: u8,
}

impl FrameHeader {
    /// The longest header in bytes.
    pub const MAX_LENGTH: usize = 14;

    /// Parses the header at the beginning of `prefix`; `None` if more bytes are needed.
    ///
    /// Once the result is not `None`, more bytes do not change it.
    ///
    /// # Errors
    ///
    /// A reserved opcode, a control frame that is fragmented or too long, a length over 63 bits
    /// or not in its shortest form: the one whose byte comes first.
    #[inline]
    pub fn parse(prefix: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let Some(&first) = prefix.first() else {
            return Ok(None);
        };
        let fin = first & 0x80 != 0;
        let opcode = Opcode::new(first & 0x0f).ok_or(ProtocolError::ReservedOpcode)?;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::FragmentedControl);
        }
        let Some(&second) = prefix.get(1) else {
            return Ok(None);
        };
        if opcode.is_control() && usize::from(second & 0x7f) > MAX_CONTROL_PAYLOAD {
            return Err(ProtocolError::ControlTooLong);
        }
        let Some((payload_length, rest)) = read_length(second & 0x7f, &prefix[2..])? else {
            return Ok(None);
        };
        let masked = second & 0x80 != 0;
        let mask = if masked {
            rest.first_chunk().copied()
        } else {
            None
        };
        if masked && mask.is_none() {
            return Ok(None);
        }
        let reserved = first >> 4 & 0x7;
        let header_length = header_length(second);
        Ok(Some(Self {
            fin,
            reserved,
            opcode,
            mask,
            payload_length,
            header_length,
        }))
    }
}

/// Masks the whole payload of a frame, or unmasks it: the operation is its own inverse (RFC 6455 section 5.3).
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    for (position, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[position % key.len()];
    }
}

/// The payload length, and what follows it. `short` is the low seven bits of the second byte, `rest` follows that byte;
/// `None` if more bytes are needed.
fn read_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (length, minimum, rest) = match short {
        126 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), 126, rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), 1 << 16, rest),
            None => return Ok(None),
        },
        _ => (u64::from(short), 0, rest),
    };
    if length >> 63 != 0 {
        return Err(ProtocolError::LengthTooLarge);
    }
    if length < minimum {
        return Err(ProtocolError::LengthNotMinimal);
    }
    Ok(Some((length, rest)))
}

/// The length of a header with this second byte.
const fn header_length(second: u8) -> u8 {
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + second / 0x80 * 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(prefix: &[u8]) -> FrameHeader {
        FrameHeader::parse(prefix).unwrap().unwrap()
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        let unmasked = parsed(b"\x81\x05Hello");
        assert_eq!(
            (unmasked.fin, unmasked.opcode, unmasked.mask),
            (true, Opcode::Text, None)
        );
        assert_eq!((unmasked.payload_length, unmasked.header_length), (5, 2));

        let masked = parsed(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(masked.mask, Some([0x37, 0xfa, 0x21, 0x3d]));
        assert_eq!((masked.payload_length, masked.header_length), (5, 6));
        let mut payload = *b"\x7f\x9f\x4d\x51\x58";
        mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(&payload, b"Hello");

        let fragment = parsed(b"\x01\x03Hel");
        assert_eq!((fragment.fin, fragment.payload_length), (false, 3));

        let medium = parsed(b"\x82\x7e\x01\x00");
        assert_eq!((medium.payload_length, medium.header_length), (256, 4));
        let large = parsed(b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00");
        assert_eq!((large.payload_length, large.header_length), (65536, 10));
    }

    #[test]
    fn reads_the_reserved_bits() {
        for (first, reserved) in [(0xc1, 4), (0xa1, 2), (0x91, 1), (0xf1, 7)] {
            assert_eq!(parsed(&[first, 0]).reserved, reserved);
        }
    }

    #[test]
    fn refuses_what_one_header_shows_to_be_wrong() {
        for (prefix, error) in [
            (&b"\x83"[..], ProtocolError::ReservedOpcode),
            (b"\x8b", ProtocolError::ReservedOpcode),
            (b"\x09", ProtocolError::FragmentedControl),
            (b"\x89\x7e", ProtocolError::ControlTooLong),
            (b"\x88\xff", ProtocolError::ControlTooLong),
            (b"\x82\x7e\x00\x7d", ProtocolError::LengthNotMinimal),
            (
                b"\x82\x7f\0\0\0\0\0\0\xff\xff",
                ProtocolError::LengthNotMinimal,
            ),
            (
                b"\x82\x7f\x80\0\0\0\0\x01\0\0",
                ProtocolError::LengthTooLarge,
            ),
        ] {
            assert_eq!(
                FrameHeader::parse(prefix),
                Err(error),
                "{}",
                prefix.escape_ascii()
            );
        }
    }

    proptest! {
        #[test]
        fn a_longer_prefix_changes_no_answer(bytes in any::<[u8; 16]>()) {
            let whole = FrameHeader::parse(&bytes);
            for length in 0..bytes.len() {
                let answer = FrameHeader::parse(&bytes[..length]);
                prop_assert!(answer == Ok(None) || answer == whole);
            }
            if let Ok(Some(header)) = whole {
                let length = usize::from(header.header_length);
                prop_assert!(length <= FrameHeader::MAX_LENGTH);
                prop_assert_eq!(FrameHeader::parse(&bytes[..length]), whole);
                prop_assert_eq!(FrameHeader::parse(&bytes[..length - 1]), Ok(None));
            }
        }

        #[test]
        fn masking_twice_changes_nothing(payload: Vec<u8>, key: [u8; 4]) {
            let mut masked = payload.clone();
            mask(&mut masked, key);
            mask(&mut masked, key);
            prop_assert_eq!(masked, payload);
        }
    }
}
