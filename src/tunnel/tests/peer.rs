//! An end of a session that sends what it has in pieces of any size, reads in pieces of any size, pauses
//! where it likes, and otherwise does what RFC 6455 asks of it.

use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use super::frames::{CLOSE, PING, PONG, close, frame};
use crate::stream::Socket;
use crate::websocket::Side;

/// As long is the payload of the gateway's Pings; no Ping of a peer has this length here.
pub(super) const GATEWAY_PING: usize = 8;

/// What a peer does.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) sender: Side,
    /// Whole frames in their order.
    pub(super) frames: Vec<Vec<u8>>,
    /// Whether it says Close behind the last frame, without having been told one.
    pub(super) closes: bool,
    /// Whether a Close that it is told ends its sending before the last frame.
    pub(super) stops: bool,
    /// Of the sizes and the pauses.
    pub(super) seed: u64,
}

/// What a peer did and met.
pub(super) struct Passed {
    /// What it sent, without the answers to the gateway's Pings and without its Close.
    pub(super) sent: Vec<u8>,
    /// All that it got.
    pub(super) received: Vec<Frame>,
}

/// A frame that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The frame at the beginning of `bytes`, if it is complete.
    fn read(bytes: &[u8], from: Side) -> Option<Self> {
        let second = *bytes.get(1)?;
        let masked = second >= 128;
        assert_eq!(masked, from == Side::Client, "masked on the wrong side");
        let (length, mut at) = match second % 128 {
            126 => (number(bytes.get(2..4)?), 4),
            127 => (number(bytes.get(2..10)?), 10),
            short => (usize::from(short), 2),
        };
        let mut key = [0; 4];
        if masked {
            key.copy_from_slice(bytes.get(at..at + 4)?);
            at += 4;
        }
        let payload = bytes.get(at..at + length)?.iter();
        let payload = payload.zip(key.iter().cycle());
        Some(Self {
            bytes: bytes[..at + length].to_vec(),
            payload: payload.map(|(byte, key)| byte ^ key).collect(),
        })
    }

    pub(super) fn first(&self) -> u8 {
        self.bytes[0]
    }

    pub(super) fn is_gateway_ping(&self) -> bool {
        self.first() == PING && self.payload.len() == GATEWAY_PING
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

enum News {
    Asked(Vec<u8>),
    Closed,
}

impl Script {
    /// Plays it until both halves of `stream` have ended.
    pub(super) async fn play(self, stream: Socket) -> Passed {
        let (reads, writes) = tokio::io::split(stream);
        let (tell, news) = unbounded_channel();
        let reading = read(self.clone(), reads, tell);
        let writing = self.write(writes, news);
        let (received, sent) = tokio::join!(reading, writing);
        Passed { sent, received }
    }

    async fn write(
        self,
        mut writes: WriteHalf<Socket>,
        mut news: UnboundedReceiver<News>,
    ) -> Vec<u8> {
        let mut random = Rng::with_seed(self.seed);
        let mut sent = Vec::new();
        let mut is_told = false;
        for frame in &self.frames {
            while let Ok(one) = news.try_recv() {
                is_told |= self.answer(one, &mut writes).await;
            }
            if is_told && self.stops {
                break;
            }
            write_in_pieces(&mut writes, frame, &mut random).await;
            sent.extend(frame);
        }
        while !is_told && !self.closes {
            let Some(one) = news.recv().await else { break };
            is_told |= self.answer(one, &mut writes).await;
        }
        write_in_pieces(&mut writes, &close(self.sender, 1000), &mut random).await;
        // The channel closes when the other side has ended.
        while news.recv().await.is_some() {}
        let _ = writes.shutdown().await;
        sent
    }

    /// Whether that was a Close.
    async fn answer(&self, news: News, writes: &mut WriteHalf<Socket>) -> bool {
        match news {
            News::Closed => return true,
            News::Asked(payload) => {
                let pong = frame(self.sender, PONG, &payload);
                writes.write_all(&pong).await.expect("the tunnel reads");
            }
        }
        false
    }
}

async fn write_in_pieces(writes: &mut WriteHalf<Socket>, mut bytes: &[u8], random: &mut Rng) {
    while !bytes.is_empty() {
        let most = 1 << random.u32(0..=17);
        let (piece, rest) = bytes.split_at(random.usize(1..=most).min(bytes.len()));
        writes.write_all(piece).await.expect("the tunnel reads");
        pause(random).await;
        bytes = rest;
    }
}

async fn pause(random: &mut Rng) {
    match random.u8(..) {
        0..4 => sleep(Duration::from_millis(random.u64(1..5))).await,
        4..60 => tokio::task::yield_now().await,
        60.. => {}
    }
}

/// Reads whole frames to the end of the stream; a rest that is not a whole frame is a failure.
async fn read(
    script: Script,
    mut reads: ReadHalf<Socket>,
    tell: UnboundedSender<News>,
) -> Vec<Frame> {
    let from = script.sender.other();
    let mut random = Rng::with_seed(!script.seed);
    let mut frames = Vec::new();
    let mut bytes = Vec::new();
    let mut piece = vec![0; 1 << 17];
    loop {
        let most = 1 << random.u32(0..=17);
        let room = random.usize(1..=most);
        let count = reads.read(&mut piece[..room]).await.expect("no reset");
        if count == 0 {
            break;
        }
        bytes.extend(&piece[..count]);
        while let Some(frame) = Frame::read(&bytes, from) {
            bytes.drain(..frame.bytes.len());
            let news = match frame.first() {
                CLOSE => Some(News::Closed),
                _ if frame.is_gateway_ping() => Some(News::Asked(frame.payload.clone())),
                _ => None,
            };
            // The writer may be at its end.
            let _ = news.map(|news| tell.send(news));
            frames.push(frame);
        }
        pause(&mut random).await;
    }
    assert!(bytes.is_empty(), "{} bytes of a broken frame", bytes.len());
    frames
}
