//! What a chunk of one direction contains, before any of it is forwarded.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use tokio::time::Instant;

use super::terms::Terms;
use crate::config::OnProtocolError;
use crate::telemetry::DirectionTraffic;
use crate::websocket::{
    Close, CloseCode, ControlPayload, Event, Extensions, FrameHeader, FrameTracker, Opcode,
    ProtocolError, Side,
};

/// Follows one direction and draws conclusions from its frames.
#[derive(Debug)]
pub(super) struct Follower {
    tracker: FrameTracker,
    sender: Side,
    mode: Mode,
    /// Whether a finding keeps the next frame back, so that what was forwarded ends before it.
    has_stopped: bool,
    /// The payload of the gateway's own Pings to the source, the same in all of them: their Pongs are not
    /// forwarded, however late they come.
    awaited: Option<NonZeroU64>,
    /// Whether such a Pong came.
    has_pong: bool,
    /// The first Close that was passed on.
    close: Option<SeenClose>,
    /// Whether the source said Close, passed on or not.
    has_said_close: bool,
    /// Whether bytes of a data frame came since this was last asked.
    has_data: bool,
    /// Only where the route limits messages per second.
    rate: Option<Box<MessageRate>>,
}

/// What happens to the frames of a direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// They are forwarded.
    Forward,
    /// The frame that has begun is forwarded to its end, no more.
    FinishFrame,
    /// They are dropped; only a Close still matters.
    Drop,
    /// The stream broke the protocol and is forwarded unseen.
    Blind,
}

/// A Close frame that passed, and its code if it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SeenClose(pub(super) Option<u16>);

/// What a chunk comes to.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Passage {
    /// So many bytes at the front of the chunk go out.
    pub(super) forward: usize,
    /// Why the passage ends there; what lies behind is not forwarded.
    pub(super) finding: Option<Finding>,
}

/// Why nothing more of a direction is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// The frame that was to be finished is.
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

    /// Bytes that were read but wait for the rest of their header or control frame.
    pub(super) fn held(&self) -> &[u8] {
        if self.mode == Mode::Blind {
            &[]
        } else {
            self.tracker.pending()
        }
    }

    /// Whether what has been forwarded ends between two frames, so that another may be put in.
    pub(super) fn at_boundary(&self) -> bool {
        let is_between = self.tracker.at_boundary() || !self.tracker.pending().is_empty();
        self.mode != Mode::Blind && (self.has_stopped || is_between)
    }

    /// The first Close that the source sent and that was passed on.
    pub(super) fn close(&self) -> Option<SeenClose> {
        self.close
    }

    /// Whether the source said Close, also where that was not passed on.
    pub(super) fn has_said_close(&self) -> bool {
        self.has_said_close
    }

    /// Whether bytes of a data frame came since the last call.
    pub(super) fn take_has_data(&mut self) -> bool {
        std::mem::take(&mut self.has_data)
    }

    /// Whether the stream is not followed any more.
    pub(super) fn is_blind(&self) -> bool {
        self.mode == Mode::Blind
    }

    /// Whether the source broke the protocol: where its frames end, and whether it says Close, is not known
    /// any more.
    pub(super) fn is_lost(&self) -> bool {
        self.tracker.is_invalid()
    }

    /// Awaits Pongs; what the Pings have to say.
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

    /// So many bytes at least are forwarded next, whatever they are.
    pub(super) fn payload_remaining(&self) -> u64 {
        match self.mode {
            Mode::Forward | Mode::FinishFrame => self.tracker.remaining(),
            Mode::Drop | Mode::Blind => 0,
        }
    }

    /// As [`Follower::follow`], for `count` bytes that nobody looks at, of those that are [payload_remaining](Self::payload_remaining).
    pub(super) fn skip(
        &mut self,
        count: usize,
        terms: &Terms,
        tally: &mut DirectionTraffic,
    ) -> Option<Finding> {
        self.tracker.skip(count as u64);
        self.follow(&mut [], 0, terms, tally).finding
    }

    /// Looks through `chunk`, whose first `held` bytes are those that [`Follower::held`] named before.
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

    /// Goes on behind a finding, in what is not forwarded: the source's last Close may be there, and what
    /// comes in later chunks is only understood by who has seen all before.
    #[cold]
    fn follow_dropped(&mut self, walk: &mut Walk<'_>, terms: &Terms, tally: &mut DirectionTraffic) {
        self.mode = Mode::Drop;
        while self.step(walk, terms, tally).is_none() {}
    }

    /// One event further. Some where the walk through the chunk is over.
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
                // While frames are dropped, held bytes are not in the chunk.
                let forward = walk
                    .chunk
                    .len()
                    .saturating_sub(self.tracker.pending().len());
                Some(self.passage(forward, None))
            }
            Event::Header(header) => {
                let finding = self.check(&header, terms)?;
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

    /// The limits that are decided by a header, before any of its payload is forwarded.
    #[inline]
    fn check(&mut self, header: &FrameHeader, terms: &Terms) -> Option<Finding> {
        if header.opcode.is_control() || self.mode == Mode::Drop {
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
        if self.sender == Side::Backend || header.opcode == Opcode::Continuation {
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

    /// Notes what a control frame means, and takes the Pong to the gateway's own Ping out of the chunk. False
    /// for that one.
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

/// The way through a chunk.
struct Walk<'a> {
    chunk: &'a mut [u8],
    /// Where the next step looks.
    at: usize,
    /// Where the current frame begins, if it began in this chunk.
    frame: usize,
    /// Up to here all that is forwarded has been moved over the frames that were taken out.
    settled: usize,
    /// How many bytes those had.
    gap: usize,
}

impl Walk<'_> {
    #[inline]
    fn rest(&self) -> &[u8] {
        &self.chunk[self.at..]
    }

    /// Takes out the frame that ends here. What follows is moved over it later, once, however many frames are taken out.
    fn remove_frame(&mut self) {
        self.settle(self.frame);
        self.gap += self.at - self.frame;
        self.settled = self.at;
    }

    /// Moves what lies in front of `end` over the frames that were taken out; where it ends then.
    #[inline]
    fn settle(&mut self, end: usize) -> usize {
        if self.gap > 0 && end > self.settled {
            let to = self.settled - self.gap;
            self.chunk.copy_within(self.settled..end, to);
            self.settled = end;
        }
        // Nothing at all is forwarded where frames are dropped.
        end.saturating_sub(self.gap)
    }
}

/// Counts messages against a limit, in seconds that begin with the first message counted in them.
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
