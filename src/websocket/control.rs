//! Control frames that the gateway itself sends (RFC 6455 section 5.5).

use super::close::CloseCode;
use super::frame::{MAX_CONTROL_FRAME, MAX_CONTROL_PAYLOAD, mask};
use super::opcode::{Opcode, Side};
use super::short::Short;

/// A complete control frame in wire format, at most 131 bytes, stored inline.
#[derive(Clone, Copy, Debug)]
pub struct ControlFrame(Short<MAX_CONTROL_FRAME>);

impl ControlFrame {
    /// A Close with a code and a reason, sent as `sender`. A reason of more than 123 bytes is truncated, between two
    /// characters.
    #[must_use]
    pub fn close(sender: Side, code: CloseCode, reason: &str) -> Self {
        let mut payload = [0; MAX_CONTROL_PAYLOAD];
        let (number, text) = payload.split_at_mut(2);
        number.copy_from_slice(&code.number().to_be_bytes());
        let reason = truncated(reason, text.len());
        text[..reason.len()].copy_from_slice(reason.as_bytes());
        Self::new(sender, Opcode::Close, &payload[..2 + reason.len()])
    }

    /// A Ping, sent as `sender`; only the first 125 bytes of `payload` are used.
    #[must_use]
    pub fn ping(sender: Side, payload: &[u8]) -> Self {
        Self::new(sender, Opcode::Ping, payload)
    }

    /// The frame in wire format.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Frames sent as a client are masked with a fresh random key (section 10.3).
    fn new(sender: Side, opcode: Opcode, payload: &[u8]) -> Self {
        let key = match sender {
            Side::Client => Some(rand::random()),
            Side::Backend => None,
        };
        Self::with_key(key, opcode, payload)
    }

    fn with_key(key: Option<[u8; 4]>, opcode: Opcode, payload: &[u8]) -> Self {
        let payload = &payload[..payload.len().min(MAX_CONTROL_PAYLOAD)];
        let length = u8::try_from(payload.len()).expect("125 bytes at most");
        let first = 0x80 | opcode.number();
        let mut frame = Short::new();
        match key {
            None => {
                frame.append(&[first, length]);
                frame.append(payload);
            }
            Some(key) => {
                frame.append(&[first, 0x80 | length]);
                frame.append(&key);
                let start = frame.len();
                frame.append(payload);
                mask(&mut frame.as_mut_bytes()[start..], key);
            }
        }
        Self(frame)
    }
}

/// The longest prefix of whole characters that fits into `limit` bytes.
fn truncated(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::close::Close;
    use super::super::frame::FrameHeader;
    use super::*;

    /// The header of a frame and its payload, unmasked.
    fn read(frame: &ControlFrame) -> (FrameHeader, Vec<u8>) {
        let header = FrameHeader::parse(frame.as_bytes()).unwrap().unwrap();
        let mut payload = frame.as_bytes()[usize::from(header.header_length)..].to_vec();
        mask(&mut payload, header.mask.unwrap_or_default());
        assert_eq!(header.payload_length, payload.len() as u64);
        (header, payload)
    }

    #[test]
    fn writes_the_examples_of_the_rfc() {
        assert_eq!(
            ControlFrame::ping(Side::Backend, b"Hello").as_bytes(),
            b"\x89\x05Hello"
        );
        let key = Some([0x37, 0xfa, 0x21, 0x3d]);
        let pong = ControlFrame::with_key(key, Opcode::Pong, b"Hello");
        assert_eq!(
            pong.as_bytes(),
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
    }

    #[test]
    fn masks_as_the_client_with_a_fresh_key() {
        let keys = [(); 2].map(|()| read(&ControlFrame::ping(Side::Client, b"x")).0.mask);
        assert!(keys[0].is_some());
        assert_ne!(keys[0], keys[1]);
        assert_eq!(read(&ControlFrame::ping(Side::Backend, b"x")).0.mask, None);
    }

    #[test]
    fn cuts_a_long_reason_between_two_characters() {
        let reason = "é".repeat(100);
        let frame = ControlFrame::close(Side::Client, CloseCode::GOING_AWAY, &reason);
        let (_, payload) = read(&frame);
        let close = Close::parse(&payload).unwrap();
        assert_eq!(close.code, Some(CloseCode::GOING_AWAY));
        assert_eq!(close.reason, "é".repeat(61));
    }

    proptest! {
        #[test]
        fn writes_what_is_read_again(payload: Vec<u8>, masked: bool) {
            let sender = if masked { Side::Client } else { Side::Backend };
            let (header, read_again) = read(&ControlFrame::ping(sender, &payload));
            prop_assert_eq!((header.fin, header.reserved, header.opcode), (true, 0, Opcode::Ping));
            prop_assert_eq!(header.mask.is_some(), masked);
            prop_assert_eq!(&read_again[..], &payload[..payload.len().min(125)]);
        }

        #[test]
        fn keeps_the_beginning_of_a_reason(reason: String) {
            let frame = ControlFrame::close(Side::Backend, CloseCode::NORMAL, &reason);
            let (_, payload) = read(&frame);
            let close = Close::parse(&payload).unwrap();
            prop_assert!(reason.starts_with(close.reason));
            prop_assert!(reason.len() == close.reason.len() || close.reason.len() > 119);
        }
    }
}
