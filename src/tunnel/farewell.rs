//! The last exchange with one side: finish the frame, send Close, hear the answer, end the stream.

use std::task::{Context, Poll, ready};

use super::relay::{Lane, Relay, Verdict, poll_until_end};
use crate::stream::Stream;
use crate::websocket::ControlFrame;

/// The steps of a farewell, in their order; some are skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The frame that is being sent to this side has to end first.
    Finishing,
    /// What is kept for it is being sent, its Close last.
    Telling,
    /// It is to answer with a Close.
    Hearing,
    /// It has sent Close and, as the server, may end its stream first.
    Yielding,
    /// The rest is being sent, and the end of the stream behind it.
    Ending,
    /// It is to end its own stream. Skipped where that is all that can come.
    Waiting,
    /// Over.
    Done,
}

/// The farewell of one side.
#[derive(Debug)]
pub(super) struct Farewell {
    step: Step,
    /// The Close that it is to get.
    close: Option<ControlFrame>,
    /// Whether it is the server of its connection. A server ends the connection first once both have sent Close (RFC 6455
    /// section 7.1.1), because the side that does keeps it in TIME_WAIT for a minute, and with it a local port.
    is_server: bool,
    /// Whether it ended its stream before the gateway did.
    has_ended: bool,
}

/// The two directions as one side sees them.
pub(super) struct Pair<'a> {
    /// The direction towards this side.
    pub(super) towards: &'a mut Relay,
    /// The direction from this side.
    pub(super) from: &'a mut Relay,
    /// The streams and counts, from the other side to this one.
    pub(super) lane: Lane<'a>,
}

impl Farewell {
    /// Begins at `step`; at [`Step::Finishing`] with the `close` that follows the frame.
    pub(super) fn new(step: Step, close: Option<ControlFrame>, is_server: bool) -> Self {
        Self {
            step,
            close,
            is_server,
            has_ended: false,
        }
    }

    pub(super) fn step(&self) -> Step {
        self.step
    }

    /// Whether the frame that is being sent to this side has yet to end.
    pub(super) fn is_finishing(&self) -> bool {
        self.step == Step::Finishing
    }

    /// Whether this side still has to take bytes.
    fn is_being_told(&self) -> bool {
        matches!(self.step, Step::Finishing | Step::Telling | Step::Ending)
    }

    /// Whether this side has got everything but perhaps the end of its stream, so that nothing is lost by closing it.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.step, Step::Yielding | Step::Waiting | Step::Done)
    }

    /// Whether nothing that this side has yet to take is waited for.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.step, Step::Yielding | Step::Done)
    }

    /// If it is still at `step`, goes on to end its stream.
    pub(super) fn end_from(&mut self, step: Step) {
        if self.step == step {
            self.step = Step::Ending;
        }
    }

    fn may_end_first(&self, from: &Relay) -> bool {
        self.is_server && from.follower.has_said_close()
    }

    /// Ready when the farewell is over. `other` is the step of the other side's farewell: while that one finishes a frame,
    /// it reads from this side, so this one must not.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        pair: &mut Pair<'_>,
        other: Step,
    ) -> Poll<()> {
        let polled = self.poll_steps(context, pair, other);
        if self.is_being_told() && other != Step::Finishing {
            // It may not read before it has sent what it is sending.
            let _is_heard = pair.from.poll_drop(context, &mut pair.lane.reversed());
        }
        polled
    }

    fn poll_steps(
        &mut self,
        context: &mut Context<'_>,
        pair: &mut Pair<'_>,
        other: Step,
    ) -> Poll<()> {
        loop {
            self.step = match self.step {
                Step::Finishing => ready!(self.poll_finish(context, pair)),
                Step::Telling | Step::Ending => ready!(self.poll_out(context, pair)),
                Step::Hearing if other == Step::Finishing => return Poll::Pending,
                Step::Hearing => ready!(self.poll_hear(context, pair)),
                Step::Yielding => ready!(self.poll_yield(context, pair)),
                Step::Waiting if self.has_ended || pair.from.has_read_end() => Step::Done,
                Step::Waiting if other == Step::Finishing => return Poll::Pending,
                Step::Waiting => ready!(poll_wait(context, pair)),
                Step::Done => return Poll::Ready(()),
            };
        }
    }

    /// Forwards the rest of the frame that has begun, and queues the Close behind it. If the frame cannot be finished, or
    /// boundaries are unknown, the stream is ended without a Close.
    fn poll_finish(&mut self, context: &mut Context<'_>, pair: &mut Pair<'_>) -> Poll<Step> {
        let Pair { towards, lane, .. } = pair;
        if towards.follower.is_blind() {
            return Poll::Ready(Step::Ending);
        }
        if !towards.follower.at_boundary() {
            match ready!(towards.poll(context, lane.reborrow())) {
                Verdict::Stopped(_) => {}
                Verdict::SinkLost => return Poll::Ready(Step::Done),
                Verdict::SourceEnded | Verdict::SourceLost => return Poll::Ready(Step::Ending),
            }
        }
        let is_told = self.close.take().is_some_and(|close| towards.tell(&close));
        towards.follower.drop_rest();
        Poll::Ready(if is_told { Step::Telling } else { Step::Ending })
    }

    /// Reads and drops what this side still sends, up to its Close.
    fn poll_hear(&self, context: &mut Context<'_>, pair: &mut Pair<'_>) -> Poll<Step> {
        ready!(pair.from.poll_drop(context, &mut pair.lane.reversed()));
        Poll::Ready(if self.may_end_first(pair.from) {
            Step::Yielding
        } else {
            Step::Ending
        })
    }

    fn poll_yield(&mut self, context: &mut Context<'_>, pair: &mut Pair<'_>) -> Poll<Step> {
        if !pair.from.has_read_end() {
            ready!(poll_until_end(context, pair.lane.sink));
        }
        self.has_ended = true;
        Poll::Ready(Step::Ending)
    }

    /// Sends what is kept for this side, and at [`Step::Ending`] the end of its stream.
    fn poll_out(&mut self, context: &mut Context<'_>, pair: &mut Pair<'_>) -> Poll<Step> {
        let Pair { towards, lane, .. } = pair;
        if self.step == Step::Ending {
            towards.writer.end_sink();
        }
        if ready!(towards.writer.poll_out(context, lane.sink)).is_err() {
            return Poll::Ready(Step::Done);
        }
        let is_told = self.step == Step::Telling;
        Poll::Ready(if is_told {
            Step::Hearing
        } else {
            Step::Waiting
        })
    }
}

/// Waits for the end of this side's stream, unless it has sent Close: then no data follows (RFC 6455 section 5.5.1), and
/// what is left to come does not need the socket. Under TLS it does, as a close_notify to a closed socket is answered with
/// a reset.
fn poll_wait(context: &mut Context<'_>, pair: &mut Pair<'_>) -> Poll<Step> {
    let end = poll_until_end(context, pair.lane.sink);
    let has_only_the_end_to_send =
        pair.from.follower.has_said_close() && matches!(pair.lane.sink, Stream::Plain(_));
    if has_only_the_end_to_send {
        return Poll::Ready(Step::Done);
    }
    end.map(|()| Step::Done)
}
