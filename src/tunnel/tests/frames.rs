//! Frames as bytes.

use crate::websocket::{Side, mask};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(super) const TEXT: u8 = 0x81;
pub(super) const TEXT_BEGUN: u8 = 0x01;
pub(super) const CONTINUED: u8 = 0x00;
pub(super) const ENDED: u8 = 0x80;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8a;

/// A frame with this first byte, as `sender` sends it.
pub(super) fn frame(sender: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ ..=125) => frame.extend(length.to_be_bytes().get(1)),
        Ok(length) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if sender == Side::Backend {
        frame.extend(payload);
        return frame;
    }
    frame[1] |= 0x80;
    frame.extend(KEY);
    let start = frame.len();
    frame.extend(payload);
    mask(&mut frame[start..], KEY);
    frame
}

/// A Close with this code.
pub(super) fn close(sender: Side, code: u16) -> Vec<u8> {
    frame(sender, CLOSE, &code.to_be_bytes())
}
