//! One client: connects, upgrades, sends messages and compares what comes back.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::frames::{self, FrameReader, Header, Piece};
use super::handshake;
use super::payload::{Payload, Stamp};
use super::wire::{Received, Scratch, Wire};

/// What a client does after its first echo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It waits until it is told to send.
    Quiet,
    /// The next message follows every echo.
    PingPong,
    /// It closes, politely.
    Once,
}

/// What all clients of a generator have done so far.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// Messages that came back unchanged.
    pub(crate) echoes: u64,
    /// Sessions that ended with both Close frames.
    pub(crate) finished: u64,
    /// For messages sent on schedule: nanoseconds from the moment planned to the echo.
    pub(crate) latencies: Vec<u64>,
}

/// What a client needs of its generator while it works.
pub(crate) struct Tools<'a> {
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) payload: &'a Payload,
    pub(crate) tally: &'a mut Tally,
}

enum Stage {
    /// Waiting for the 101 with this accept value.
    Upgrading {
        accept: String,
        head: Vec<u8>,
    },
    Open,
    /// Close was sent, and perhaps answered.
    Closing {
        answered: bool,
    },
}

/// A session as its client sees it.
pub(crate) struct Client {
    wire: Wire,
    plan: Plan,
    /// A broken frame goes ahead of all messages, and has to come back.
    unfollowed: bool,
    stage: Stage,
    reader: FrameReader,
    /// The payload of a Ping under way.
    ping: Vec<u8>,
    session: u32,
    sent: u32,
    received: u32,
    /// When the messages under way were to be sent, of those that have a schedule.
    planned: VecDeque<Instant>,
}

impl Client {
    pub(crate) fn new(mut wire: Wire, session: u32, plan: Plan, unfollowed: bool) -> Self {
        let accept = handshake::request(wire.outgoing());
        Self {
            wire,
            plan,
            unfollowed,
            stage: Stage::Upgrading {
                accept,
                head: Vec::new(),
            },
            reader: FrameReader::default(),
            ping: Vec::new(),
            session,
            sent: 0,
            received: 0,
            planned: VecDeque::new(),
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.wire.socket()
    }

    /// Sends the next message; one with a schedule has its latency recorded.
    pub(crate) fn send(&mut self, payload: &Payload, planned: Option<Instant>) -> Result<()> {
        self.planned.extend(planned);
        self.write_message(payload);
        self.wire.flush().map(drop)
    }

    /// Begins to send message after message.
    pub(crate) fn start_ping_pong(&mut self, payload: &Payload) -> Result<()> {
        self.plan = Plan::PingPong;
        self.send(payload, None)
    }

    /// Does what the socket allows; false when the session has ended as it should.
    pub(crate) fn ready(&mut self, tools: &mut Tools<'_>, hung_up: bool) -> Result<bool> {
        self.wire.flush()?;
        let Tools {
            scratch,
            payload,
            tally,
        } = tools;
        let mut drained = false;
        while !drained {
            match self.wire.receive(scratch)? {
                Received::Bytes(bytes, more) => {
                    drained = !more && !hung_up;
                    self.take(bytes, payload, tally)?;
                    self.wire.flush()?;
                }
                Received::Nothing => drained = true,
                Received::End => return self.end(tally).map(|()| false),
            }
        }
        Ok(true)
    }

    fn end(&self, tally: &mut Tally) -> Result<()> {
        ensure!(
            matches!(self.stage, Stage::Closing { answered: true }),
            "session {} was ended before it was closed",
            self.session
        );
        tally.finished += 1;
        Ok(())
    }

    fn take(&mut self, mut bytes: &[u8], payload: &Payload, tally: &mut Tally) -> Result<()> {
        if let Stage::Upgrading { accept, head } = &mut self.stage {
            let before = head.len();
            head.extend_from_slice(bytes);
            let Some(size) = handshake::check_answer(head, accept)? else {
                return Ok(());
            };
            bytes = &bytes[size - before..];
            self.stage = Stage::Open;
            if self.unfollowed {
                self.write(frames::RESERVED, &[]);
            } else {
                self.write_message(payload);
            }
        }
        while let Some(piece) = self.reader.next(&mut bytes) {
            ensure!(
                piece.header.mask.is_none(),
                "a masked frame reached the client"
            );
            match piece.header.opcode {
                frames::BINARY => self.take_message(&piece, payload, tally)?,
                frames::RESERVED if self.unfollowed && self.sent == 0 => {
                    self.write_message(payload);
                }
                frames::PING => self.take_ping(&piece),
                frames::CLOSE => self.take_close(&piece)?,
                other => bail!("a frame with opcode {other:#x} reached the client"),
            }
        }
        Ok(())
    }

    fn take_message(
        &mut self,
        piece: &Piece<'_>,
        payload: &Payload,
        tally: &mut Tally,
    ) -> Result<()> {
        let stamp = Stamp {
            session: self.session,
            message: self.received,
        };
        ensure!(
            self.received != self.sent,
            "session {} got an echo too many",
            self.session
        );
        ensure!(
            piece.header.length == payload.size(),
            "a message came back with another length"
        );
        payload.check(stamp, piece.at, piece.bytes)?;
        if !piece.is_last() {
            return Ok(());
        }
        self.received = self.received.wrapping_add(1);
        tally.echoes += 1;
        if let Some(planned) = self.planned.pop_front() {
            let latency = planned.elapsed().as_nanos();
            tally
                .latencies
                .push(u64::try_from(latency).context("a latency out of all bounds")?);
        }
        match self.plan {
            Plan::Quiet => {}
            Plan::PingPong => self.write_message(payload),
            Plan::Once => {
                self.write(frames::CLOSE, &1000_u16.to_be_bytes());
                self.stage = Stage::Closing { answered: false };
            }
        }
        Ok(())
    }

    /// A gateway may ask whether the client lives.
    fn take_ping(&mut self, piece: &Piece<'_>) {
        self.ping.extend_from_slice(piece.bytes);
        if piece.is_last() {
            let payload = std::mem::take(&mut self.ping);
            self.write(frames::PONG, &payload);
        }
    }

    fn take_close(&mut self, piece: &Piece<'_>) -> Result<()> {
        let Stage::Closing { answered } = &mut self.stage else {
            bail!("session {} was closed: {:?}", self.session, piece.bytes);
        };
        *answered = piece.is_last();
        Ok(())
    }

    fn write_message(&mut self, payload: &Payload) {
        let stamp = Stamp {
            session: self.session,
            message: self.sent,
        };
        self.sent = self.sent.wrapping_add(1);
        let key = self.write_header(frames::BINARY, payload.size());
        let output = self.wire.outgoing();
        let start = output.len();
        payload.write(stamp, output);
        frames::mask(&mut output[start..], key, 0);
    }

    fn write(&mut self, opcode: u8, payload: &[u8]) {
        let key = self.write_header(opcode, payload.len());
        let output = self.wire.outgoing();
        let start = output.len();
        output.extend_from_slice(payload);
        frames::mask(&mut output[start..], key, 0);
    }

    fn write_header(&mut self, opcode: u8, length: usize) -> [u8; 4] {
        let key = fastrand::u32(..).to_ne_bytes();
        Header {
            opcode,
            length,
            mask: Some(key),
        }
        .write(self.wire.outgoing());
        key
    }
}
