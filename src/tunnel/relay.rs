//! One direction of a tunnel: read from the source, follow the frames, write to the sink.
//!
//! A relay moves bytes and returns a verdict; the tunnel decides what follows from it.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::buffer::{LARGEST_READ, with_scratch};
use super::follow::{Finding, Follower};
use super::tally::Tally;
use super::terms::Terms;
use super::writer::{Broken, Writer};
use crate::stream::{Spliced, Stream, can_splice, poll_again};
use crate::websocket::{ControlFrame, Extensions, Side};

/// The size of the first read. Reads that are filled grow up to [`LARGEST_READ`].
const SMALLEST_READ: usize = 16 * 1024;
/// What fits into a packet on any path. A longer end of the stream is sent as it comes.
const ONE_PACKET: usize = 1024;
/// After this many bytes other tasks get their turn. In frames of a few bytes each they take a millisecond.
pub(super) const TURN: u64 = 512 * 1024;
/// From this many bytes of payload on, splicing is cheaper than reading and writing.
const LEAST_SPLICE: u64 = 64 * 1024;

/// One direction of a tunnel.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) follower: Follower,
    sender: Side,
    pub(super) writer: Writer,
    /// Why nothing more is read for the sink.
    verdict: Option<Verdict>,
    /// Whether the source sent bytes since the last [`Relay::take_has_received`].
    has_received: bool,
    /// Whether the source ended within a header or a control frame, whose beginning was passed on.
    is_torn: bool,
    /// Whether the sink is a client that has sent Close: nothing follows the answering Close but the end of the stream.
    pub(super) is_close_last: bool,
    /// The size of the next read, which adapts to what the sink takes.
    read_size: usize,
}

/// The streams, settings and counts that a direction works with.
pub(super) struct Lane<'a> {
    pub(super) source: &'a mut Stream,
    pub(super) sink: &'a mut Stream,
    pub(super) terms: &'a Terms,
    pub(super) tally: &'a mut Tally,
}

impl Lane<'_> {
    /// The same lane, for a call.
    pub(super) fn reborrow(&mut self) -> Lane<'_> {
        Lane {
            source: self.source,
            sink: self.sink,
            terms: self.terms,
            tally: self.tally,
        }
    }

    /// The lane of the other direction.
    pub(super) fn reversed(&mut self) -> Lane<'_> {
        Lane {
            source: self.sink,
            sink: self.source,
            terms: self.terms,
            tally: self.tally,
        }
    }
}

/// Why a direction has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The source ended its sending half.
    SourceEnded,
    /// The source broke.
    SourceLost,
    /// The sink broke.
    SinkLost,
    /// Nothing more may be forwarded.
    Stopped(Finding),
}

impl Relay {
    /// A direction in which `sender` sends.
    pub(super) fn new(sender: Side, extensions: Extensions) -> Self {
        Self {
            follower: Follower::new(sender, extensions),
            sender,
            writer: Writer::default(),
            verdict: None,
            has_received: false,
            is_torn: false,
            is_close_last: false,
            read_size: SMALLEST_READ,
        }
    }

    /// Takes `early` as the first bytes of the source: they arrived together with the head of the handshake.
    pub(super) fn begin(&mut self, early: &[u8], terms: &Terms, tally: &mut Tally) {
        let mut early = early.to_vec();
        if early.is_empty() {
            return;
        }
        let direction = tally.direction(self.sender);
        direction.bytes += early.len() as u64;
        let passage = self.follower.follow(&mut early, 0, terms, direction);
        self.writer.keep(&early[..passage.forward]);
        self.verdict = passage.finding.map(Verdict::Stopped);
    }

    /// Moves bytes until the source has no more or the sink is full. Ready when the direction has stopped and everything
    /// that it forwards is written.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, mut lane: Lane<'_>) -> Poll<Verdict> {
        if ready!(self.writer.poll_out(context, lane.sink)).is_err() {
            return Poll::Ready(self.lose_sink());
        }
        if let Some(verdict) = self.verdict {
            return Poll::Ready(verdict);
        }
        let pass = |scratch: &mut [u8]| self.poll_pass(context, &mut lane, scratch);
        let verdict = ready!(with_scratch(pass));
        if verdict == Verdict::SinkLost {
            return Poll::Ready(self.lose_sink());
        }
        self.verdict = Some(verdict);
        // Flush now: otherwise nothing wakes this task for what is left.
        match ready!(self.writer.poll_out(context, lane.sink)) {
            Ok(()) => Poll::Ready(verdict),
            Err(Broken) => Poll::Ready(self.lose_sink()),
        }
    }

    /// The sink is broken: it gets nothing more, and the next poll says so.
    pub(super) fn lose_sink(&mut self) -> Verdict {
        self.writer.give_up();
        self.verdict = Some(Verdict::SinkLost);
        Verdict::SinkLost
    }

    /// Moves bytes until there is a verdict or other tasks are to get their turn.
    fn poll_pass(
        &mut self,
        context: &mut Context<'_>,
        lane: &mut Lane<'_>,
        scratch: &mut [u8],
    ) -> Poll<Verdict> {
        let enough = lane.tally.bytes(self.sender) + TURN;
        while lane.tally.bytes(self.sender) < enough {
            let most = self.follower.payload_remaining();
            let passed = if most >= LEAST_SPLICE && can_splice(lane.source, lane.sink) {
                self.poll_splice(context, lane, most)
            } else {
                self.poll_chunk(context, lane, scratch)
            };
            if let ControlFlow::Break(verdict) = ready!(passed) {
                return Poll::Ready(verdict);
            }
        }
        poll_again(context)
    }

    /// Reads once, follows the chunk, and writes it.
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
        lane: &mut Lane<'_>,
        scratch: &mut [u8],
    ) -> Poll<ControlFlow<Verdict>> {
        let held = self.follower.held().len();
        scratch[..held].copy_from_slice(self.follower.held());
        let mut buffer = ReadBuf::new(&mut scratch[held..held + self.read_size]);
        let read = match Pin::new(&mut *lane.source).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) => buffer.filled().len(),
            Poll::Ready(Err(_)) => return stop(Verdict::SourceLost),
            Poll::Pending => return self.poll_pause(context, lane.sink),
        };
        if read == 0 {
            self.writer.keep(&scratch[..held]);
            self.is_torn = held > 0;
            return stop(Verdict::SourceEnded);
        }
        self.has_received = true;
        let tally = lane.tally.direction(self.sender);
        tally.bytes += read as u64;
        let chunk = &mut scratch[..held + read];
        let passage = self.follower.follow(chunk, held, lane.terms, tally);
        self.verdict = passage.finding.map(Verdict::Stopped);
        let forward = &chunk[..passage.forward];
        if self.is_close_last && forward.len() <= ONE_PACKET && self.follower.close().is_some() {
            lane.sink.cork();
        }
        let written = self.writer.poll_write(context, lane.sink, forward);
        self.fit_reads(read, written.is_pending());
        if ready!(written).is_err() {
            return stop(Verdict::SinkLost);
        }
        self.go_on()
    }

    /// Splices up to `most` bytes of a payload.
    fn poll_splice(
        &mut self,
        context: &mut Context<'_>,
        lane: &mut Lane<'_>,
        most: u64,
    ) -> Poll<ControlFlow<Verdict>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let Lane { source, sink, .. } = lane;
        let Spliced { taken, given } = match self.writer.poll_splice(context, source, sink, most) {
            Poll::Ready(Ok(spliced)) => spliced,
            Poll::Ready(Err(_)) => return stop(Verdict::SourceLost),
            Poll::Pending => return self.poll_pause(context, sink),
        };
        if taken == 0 {
            return stop(Verdict::SourceEnded);
        }
        self.has_received = true;
        let tally = lane.tally.direction(self.sender);
        tally.bytes += taken as u64;
        let finding = self.follower.skip(taken, lane.terms, tally);
        self.verdict = finding.map(Verdict::Stopped);
        if ready!(given).is_err() {
            return stop(Verdict::SinkLost);
        }
        self.go_on()
    }

    /// Nothing more comes for now: flushes the sink.
    fn poll_pause(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<ControlFlow<Verdict>> {
        match ready!(self.writer.poll_out(context, sink)) {
            Ok(()) => Poll::Pending,
            Err(Broken) => stop(Verdict::SinkLost),
        }
    }

    fn go_on(&self) -> Poll<ControlFlow<Verdict>> {
        let verdict = self.verdict;
        Poll::Ready(verdict.map_or(ControlFlow::Continue(()), ControlFlow::Break))
    }

    /// Doubles the read size after a read that was filled, and halves it when the sink is full.
    fn fit_reads(&mut self, read: usize, is_sink_full: bool) {
        if is_sink_full {
            self.read_size = (self.read_size / 2).max(SMALLEST_READ);
        } else if read == self.read_size {
            self.read_size = (self.read_size * 2).min(LARGEST_READ);
        }
    }

    /// Reads and drops what the source still sends. Ready when it has sent Close, ended or broken, or violated the
    /// protocol: then its Close would not be recognised.
    pub(super) fn poll_drop(&mut self, context: &mut Context<'_>, lane: &mut Lane<'_>) -> Poll<()> {
        self.follower.drop_rest();
        with_scratch(|scratch| self.poll_drop_through(context, lane, scratch))
    }

    fn poll_drop_through(
        &mut self,
        context: &mut Context<'_>,
        lane: &mut Lane<'_>,
        scratch: &mut [u8],
    ) -> Poll<()> {
        let enough = lane.tally.bytes(self.sender) + TURN;
        while !self.follower.has_said_close() && !self.follower.is_lost() {
            if lane.tally.bytes(self.sender) >= enough {
                return poll_again(context);
            }
            let bytes = ready!(poll_bytes(context, lane.source, scratch));
            if bytes.is_empty() {
                break;
            }
            let tally = lane.tally.direction(self.sender);
            tally.bytes += bytes.len() as u64;
            self.follower.follow(bytes, 0, lane.terms, tally);
        }
        Poll::Ready(())
    }

    /// Inserts a frame of the gateway behind what was forwarded. False if that is inside a frame, or if the sink gets
    /// nothing more.
    pub(super) fn insert(&mut self, frame: &ControlFrame) -> bool {
        self.at_boundary() && self.writer.insert(frame)
    }

    /// As [`Relay::insert`], for a Close, after which the sink gets nothing more.
    pub(super) fn tell(&mut self, close: &ControlFrame) -> bool {
        self.at_boundary() && self.writer.tell(close)
    }

    /// Whether a frame of the gateway may be inserted behind what was forwarded.
    fn at_boundary(&self) -> bool {
        !self.is_torn && self.follower.at_boundary()
    }

    /// Whether the end of the source, or its failure, was read.
    pub(super) fn has_read_end(&self) -> bool {
        matches!(
            self.verdict,
            Some(Verdict::SourceEnded | Verdict::SourceLost)
        )
    }

    /// Whether the source sent bytes since the last call.
    pub(super) fn take_has_received(&mut self) -> bool {
        std::mem::take(&mut self.has_received)
    }
}

/// Reads and drops everything until `side` ends or breaks. Closing a socket with unread bytes resets it, and the peer
/// could lose what was sent last.
pub(super) fn poll_until_end(context: &mut Context<'_>, side: &mut Stream) -> Poll<()> {
    with_scratch(|scratch| {
        let mut dropped = 0;
        while dropped < TURN {
            match ready!(poll_bytes(context, side, scratch)).len() as u64 {
                0 => return Poll::Ready(()),
                count => dropped += count,
            }
        }
        poll_again(context)
    })
}

/// Reads the next bytes of `source`; none if it has ended or broken.
fn poll_bytes<'a>(
    context: &mut Context<'_>,
    source: &mut Stream,
    scratch: &'a mut [u8],
) -> Poll<&'a mut [u8]> {
    let mut buffer = ReadBuf::new(scratch);
    let result = ready!(Pin::new(source).poll_read(context, &mut buffer));
    let read = if result.is_ok() {
        buffer.filled().len()
    } else {
        0
    };
    Poll::Ready(&mut scratch[..read])
}

fn stop(verdict: Verdict) -> Poll<ControlFlow<Verdict>> {
    Poll::Ready(ControlFlow::Break(verdict))
}
