//! What a peer does: the frames that it sends, and what happens at each read and write of the gateway.

use std::collections::VecDeque;
use std::time::Duration;

use wsgate::websocket::Side;

use super::input::Input;

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;

/// What a peer does.
pub(crate) struct Script {
    /// What it sends; the answers to the gateway's Pings come between its frames.
    pub(crate) frames: Vec<Vec<u8>>,
    /// How many bytes of the first frames arrived with the head of the handshake.
    pub(crate) early: usize,
    pub(crate) reads: VecDeque<Turn>,
    pub(crate) writes: VecDeque<Turn>,
    pub(crate) end: Finish,
    /// Whether it keeps to RFC 6455, and ends with a Close.
    pub(crate) is_sound: bool,
    pub(crate) side: Side,
}

/// What happens at one read or write of the gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    /// This many bytes are given or taken.
    Bytes(usize),
    /// Nothing, but the next try succeeds.
    Yield,
    /// Nothing for this long.
    Pause(Duration),
    /// A failure.
    Break,
}

/// What is behind the last byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finish {
    End,
    Break,
    Silence,
}

impl Script {
    pub(crate) fn read(side: Side, is_sound: bool, input: &mut Input<'_>) -> Self {
        let frames = match is_sound {
            true => sound_frames(side, input),
            false => vec![input.bytes().to_vec(), input.bytes().to_vec()],
        };
        let length: usize = frames.iter().map(Vec::len).sum();
        let early = input.byte();
        let early = if early & 1 == 0 {
            0
        } else {
            usize::from(early).min(length)
        };
        let mut turns = |is_sound| -> VecDeque<Turn> {
            input
                .bytes()
                .iter()
                .map(|byte| Turn::of(*byte, is_sound))
                .collect()
        };
        let (reads, writes) = (turns(is_sound), turns(is_sound));
        let end = match input.byte() % 3 {
            1 if !is_sound => Finish::Break,
            2 if !is_sound => Finish::Silence,
            _ => Finish::End,
        };
        Self {
            frames,
            early,
            reads,
            writes,
            end,
            is_sound,
            side,
        }
    }

    /// All that it sends, without the answers to the gateway's Pings.
    pub(crate) fn stream(&self) -> Vec<u8> {
        self.frames.concat()
    }

    /// What arrived with the head of the handshake.
    pub(crate) fn early(&self) -> Vec<u8> {
        self.stream()[..self.early].to_vec()
    }

    /// How long it pauses, all together.
    pub(crate) fn pauses(&self) -> Duration {
        let turns = self.reads.iter().chain(&self.writes);
        turns
            .map(|turn| match turn {
                Turn::Pause(time) => *time,
                Turn::Bytes(_) | Turn::Yield | Turn::Break => Duration::ZERO,
            })
            .sum()
    }
}

impl Turn {
    fn of(byte: u8, is_sound: bool) -> Self {
        match byte {
            0..=199 => Self::Bytes(1 << (byte % 18)),
            200..=219 => Self::Bytes(usize::from(byte - 199)),
            220..=234 => Self::Yield,
            255 if !is_sound => Self::Break,
            235.. => Self::Pause(Duration::from_millis(1 << (byte - 235).min(7))),
        }
    }
}

/// Whole messages with control frames in between, and a Close at the end.
fn sound_frames(side: Side, input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut is_within = false;
    for _ in 0..input.byte() % 16 {
        let (kind, length) = (input.byte(), input.byte());
        let is_control = kind & 0x70 == 0;
        let first = match (is_control, kind & 1 == 0) {
            (true, true) => FIN | PING,
            (true, false) => FIN | PONG,
            (false, is_last) => {
                let opcode = match (is_within, kind & 2) {
                    (true, _) => 0,
                    (false, 0) => TEXT,
                    (false, _) => BINARY,
                };
                is_within = !is_last;
                opcode | if is_last { FIN } else { 0 }
            }
        };
        let length = match (is_control, kind & 0x0c) {
            // The gateway's own Pings have eight bytes.
            (true, _) if length % 126 == 8 => 9,
            (true, _) => usize::from(length) % 126,
            (false, 0x0c) => usize::from(length) * 701,
            (false, _) => usize::from(length),
        };
        frames.push(frame(side, first, &vec![kind; length]));
    }
    if is_within {
        frames.push(frame(side, FIN, b"rest"));
    }
    frames.push(frame(side, FIN | CLOSE, b"\x03\xe8bye"));
    frames
}

/// The answer to a Ping.
pub(crate) fn pong(side: Side, payload: &[u8]) -> Vec<u8> {
    frame(side, FIN | PONG, payload)
}

fn frame(side: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    let (mask, key) = match side {
        Side::Client => (0x80, &[0x11, 0x22, 0x33, 0x44][..]),
        Side::Backend => (0, &[][..]),
    };
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(mask | short as u8),
        middle @ 126..=0xffff => {
            frame.push(mask | 126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(mask | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    let masked = payload.iter().enumerate();
    frame.extend(masked.map(|(at, byte)| byte ^ key.get(at % 4).unwrap_or(&0)));
    frame
}
