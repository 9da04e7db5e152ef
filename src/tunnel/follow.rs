//! Follows the frames of one direction, and decides what of each chunk is forwarded.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use tokio::time::Instant;

use super::terms::Terms;
use crate::config::OnProtocolError;
use crate::telemetry::DirectionTraffic;
use crate::websocket::{
    Close, CloseCode, ControlPayload, Event, Extensions, FrameTracker, Opcode, ProtocolError, Side,
};

/// Follows the frames of one direction.
#[derive(Debug)]
pub(super) struct Follower {
    tracker: FrameTracker,
    sender: Side,
    mode: Mode,
    /// Whether a finding stopped the direction in front of a frame, so that what was forwarded ends at a boundary.
    has_stopped: bool,
    /// The payload of all Pings of the gateway to the source: their Pongs are not forwarded, however late they come.
    awaited: Option<NonZeroU64>,
    /// Whether such a Pong came.
    has_pong: bool,
    /// The first Close that was forwarded.
    close: Option<SeenClose>,
    /// Whether the source sent Close, forwarded or not.
    has_said_close: bool,
    /// Whether bytes of a data frame came since the last [`Follower::take_has_data`].
    has_data: bool,
    /// Used only if the route limits messages per second.
    rate: Option<Box<MessageRate>>,
}

/// What happens to the frames of a direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// They are forwarded.
    Forward,
    /// The frame that has begun is forwarded to its end, then nothing more.
    FinishFrame,
    /// They are dropped; only a Close is noted.
    Drop,
    /// The stream broke the protocol and is forwarded without being followed.
    Blind,
}

/// A Close frame that was forwarded, and its code if it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SeenClose(pub(super) Option<u16>);

/// What to do with a chunk.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Passage {
    /// How many bytes at the front of the chunk to forward.
    pub(super) forward: usize,
    /// Why forwarding stops behind them, if it does.
    pub(super) finding: Option<Finding>,
}

/// Why nothing more of a direction is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// The frame that was to be finished has ended.
    Boundary,
    /// The next frame makes a message larger than allowed.
    MessageTooBig,
    /// The next frame begins more messages than allowed.
    TooManyMessages,
    /// The next frame breaks the protocol.
    ProtocolError(ProtocolError),
}

impl Follower {
    pub(super) fn new(sender: Side, extensions: Extensions) -> Self {
        Self {
            tracker: FrameTracker::new(sender, extensions),
            sender,
            mode: Mode::Forward,
            has_stopped: false,
            awaited: None,
            has_pong: false,
            close: None,
            has_said_close: false,
            has_data: false,
            rate: None,
        }
    }

    /// Bytes that are held back until the rest of their header or control frame comes.
    pub(super) fn held(&self) -> &[u8] {
        if self.mode == Mode::Blind {
            &[]
        } else {
            self.tracker.pending()
        }
    }

    /// Whether what was forwarded ends between two frames, so that a frame of the gateway may be inserted.
    pub(super) fn at_boundary(&self) -> bool {
        let is_between = self.tracker.at_boundary() || !self.tracker.pending().is_empty();
        self.mode != Mode::Blind && (self.has_stopped || is_between)
    }

    /// The first Close of the source that was forwarded.
    pub(super) fn close(&self) -> Option<SeenClose> {
        self.close
    }

    /// Whether the source sent Close, forwarded or not.
    pub(super) fn has_said_close(&self) -> bool {
        self.has_said_close
    }

    /// Whether bytes of a data frame came since the last call.
    pub(super) fn take_has_data(&mut self) -> bool {
        std::mem::take(&mut self.has_data)
    }

    /// Whether frames are no longer followed.
    pub(super) fn is_blind(&self) -> bool {
        self.mode == Mode::Blind
    }

    /// Whether the source broke the protocol: from there on, frames and Closes cannot be recognised.
    pub(super) fn is_lost(&self) -> bool {
        self.tracker.violation().is_some()
    }

    /// How the source broke the protocol, if its frames are passed on all the same.
    pub(super) fn passed_fault(&self) -> Option<ProtocolError> {
        self.tracker.violation().filter(|_| self.is_blind())
    }

    /// The payload for a Ping to the source, whose Pong will be recognised by it.
    pub(super) fn await_pong(&mut self) -> [u8; 8] {
        let random = || fastrand::u64(1..).try_into().expect("it is at least 1");
        let payload = self.awaited.get_or_insert_with(random);
        payload.get().to_be_bytes()
    }

    /// Whether an awaited Pong came since the last call.
    pub(super) fn take_has_pong(&mut self) -> bool {
        std::mem::take(&mut self.has_pong)
    }

    /// Forwards no frame that has not begun.
    pub(super) fn finish_frame(&mut self) {
        if self.mode == Mode::Forward {
            self.mode = Mode::FinishFrame;
        }
    }

    /// Forwards nothing more.
    pub(super) fn drop_rest(&mut self) {
        if self.mode != Mode::Blind {
            self.mode = Mode::Drop;
        }
    }

    /// How many bytes of payload come next that are forwarded whatever they are.
    pub(super) fn payload_remaining(&self) -> u64 {
        match self.mode {
            Mode::Forward | Mode::FinishFrame => self.tracker.remaining(),
            Mode::Drop | Mode::Blind => 0,
        }
    }

    /// As [`Follower::follow`], for `count` bytes of the [remaining payload](Self::payload_remaining), which are not read.
    pub(super) fn skip(
        &mut self,
        count: usize,
        terms: &Terms,
        tally: &mut DirectionTraffic,
    ) -> Option<Finding> {
        self.tracker.skip(count as u64);
        self.follow(&mut [], 0, terms, tally).finding
    }

    /// Follows `chunk`, whose first `held` bytes are those that [`Follower::held`] returned before.
    pub(super) fn follow(
        &mut self,
        chunk: &mut [u8],
        held: usize,
        terms: &Terms,
        tally: &mut DirectionTraffic,
    ) -> Passage {
        if self.mode == Mode::Blind {
            self.has_data = true;
            return Passage {
                forward: chunk.len(),
                finding: None,
            };
        }
        let mut walk = Walk {
            chunk,
            at: held,
            frame: 0,
            settled: 0,
            gap: 0,
        };
        let mut passage = loop {
            if let Some(passage) = self.step(&mut walk, terms, tally) {
                break passage;
            }
        };
        passage.forward = walk.settle(passage.forward);
        if passage.finding.is_some() {
            self.follow_dropped(&mut walk, terms, tally);
        }
        passage
    }

    /// Follows what comes behind a finding and is not forwarded: the Close of the source may be there, and later chunks
    /// can be followed only if nothing was skipped.
    #[cold]
    fn follow_dropped(&mut self, walk: &mut Walk<'_>, terms: &Terms, tally: &mut DirectionTraffic) {
        self.mode = Mode::Drop;
        while self.step(walk, terms, tally).is_none() {}
    }

    /// Handles the next event. `Some` when the chunk is done with.
    #[inline]
    fn step(
        &mut self,
        walk: &mut Walk<'_>,
        terms: &Terms,
        tally: &mut DirectionTraffic,
    ) -> Option<Passage> {
        let step = self.tracker.step(walk.rest());
        walk.at += step.consumed;
        match step.event {
            Event::NeedMore => {
                self.has_data |= self.tracker.is_in_data();
                // While frames are dropped, the held bytes may not be in this chunk: hence saturating.
                let forward = walk
                    .chunk
                    .len()
                    .saturating_sub(self.tracker.pending().len());
                Some(self.passage(forward, None))
            }
            Event::Header { opcode, .. } => {
                let finding = self.check(opcode, terms)?;
                Some(self.stop(walk.frame, finding))
            }
            Event::DataEnd {
                opcode,
                fin,
                message_length,
            } => {
                self.has_data = true;
                if fin && self.mode != Mode::Drop {
                    tally.message(opcode, message_length);
                }
                walk.frame = walk.at;
                self.stop_at_boundary(walk.at)
            }
            Event::Control { opcode, payload } => {
                if self.note_control(opcode, &payload, walk) {
                    tally.control(opcode);
                }
                self.stop_at_boundary(walk.at)
            }
            Event::Violation(error) => Some(self.violated(error, walk, terms, tally)),
        }
    }

    fn passage(&self, forward: usize, finding: Option<Finding>) -> Passage {
        let forward = if self.mode == Mode::Drop { 0 } else { forward };
        Passage { forward, finding }
    }

    /// Checks the limits that a header is enough to decide, before any of its payload is forwarded.
    #[inline]
    fn check(&mut self, opcode: Opcode, terms: &Terms) -> Option<Finding> {
        if opcode.is_control() || self.mode == Mode::Drop {
            return None;
        }
        if terms
            .websocket
            .max_message_size
            .is_some_and(|max| self.tracker.message_length() > max)
        {
            return Some(Finding::MessageTooBig);
        }
        let limit = terms.websocket.max_messages_per_second?;
        if self.sender == Side::Backend || opcode == Opcode::Continuation {
            return None;
        }
        let rate = self.rate.get_or_insert_with(Box::default);
        (!rate.allows(limit)).then_some(Finding::TooManyMessages)
    }

    #[inline]
    fn stop_at_boundary(&mut self, at: usize) -> Option<Passage> {
        (self.mode == Mode::FinishFrame).then(|| self.stop(at, Finding::Boundary))
    }

    fn stop(&mut self, forward: usize, finding: Finding) -> Passage {
        self.has_stopped = true;
        self.passage(forward, Some(finding))
    }

    /// Notes a Close, and removes the Pong to a Ping of the gateway from the chunk. False for that Pong.
    #[cold]
    fn note_control(
        &mut self,
        opcode: Opcode,
        payload: &ControlPayload,
        walk: &mut Walk<'_>,
    ) -> bool {
        let payload = payload.as_bytes();
        if opcode == Opcode::Close {
            self.note_close(payload);
        }
        let is_awaited = |awaited: NonZeroU64| payload == awaited.get().to_be_bytes();
        let is_own = opcode == Opcode::Pong && self.awaited.is_some_and(is_awaited);
        if is_own {
            self.has_pong = true;
            walk.remove_frame();
        }
        walk.frame = walk.at;
        !is_own
    }

    fn note_close(&mut self, payload: &[u8]) {
        self.has_said_close = true;
        if self.close.is_none() && self.mode != Mode::Drop {
            let code = Close::parse(payload).ok().and_then(|close| close.code);
            self.close = Some(SeenClose(code.map(CloseCode::number)));
        }
    }

    #[cold]
    fn violated(
        &mut self,
        error: ProtocolError,
        walk: &Walk<'_>,
        terms: &Terms,
        tally: &mut DirectionTraffic,
    ) -> Passage {
        if self.mode == Mode::Drop {
            return self.passage(0, None);
        }
        tally.protocol_error();
        match terms.websocket.on_protocol_error {
            OnProtocolError::Pass => {
                self.mode = Mode::Blind;
                self.passage(walk.chunk.len(), None)
            }
            OnProtocolError::Close => self.stop(walk.frame, Finding::ProtocolError(error)),
        }
    }
}

/// The position in a chunk, and what was removed from it.
struct Walk<'a> {
    chunk: &'a mut [u8],
    /// Where the next step begins.
    at: usize,
    /// Where the current frame begins, if it began in this chunk.
    frame: usize,
    /// Up to here, what stays has been moved over the removed frames.
    settled: usize,
    /// The length of all removed frames.
    gap: usize,
}

impl Walk<'_> {
    #[inline]
    fn rest(&self) -> &[u8] {
        &self.chunk[self.at..]
    }

    /// Removes the frame that ends here. What follows is moved over it later, and only once, however many frames are
    /// removed.
    fn remove_frame(&mut self) {
        self.settle(self.frame);
        self.gap += self.at - self.frame;
        self.settled = self.at;
    }

    /// Moves what is in front of `end` over the removed frames. Returns where it ends then.
    #[inline]
    fn settle(&mut self, end: usize) -> usize {
        if self.gap > 0 && end > self.settled {
            let to = self.settled - self.gap;
            self.chunk.copy_within(self.settled..end, to);
            self.settled = end;
        }
        // `end` is 0 while frames are dropped.
        end.saturating_sub(self.gap)
    }
}

/// Counts messages against a limit, in windows of a second that begin with a message.
#[derive(Default, Debug)]
struct MessageRate {
    begun: Option<Instant>,
    count: u32,
}

impl MessageRate {
    const WINDOW: Duration = Duration::from_secs(1);

    fn allows(&mut self, limit: NonZeroU32) -> bool {
        let now = Instant::now();
        if self.begun.is_none_or(|begun| now - begun >= Self::WINDOW) {
            self.begun = Some(now);
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count <= limit.get()
    }
}
