//! The end of a tunnel once it is decided.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::alarm::Alarm;
use super::ending::Ending;
use super::farewell::{Farewell, Pair, Step};
use super::relay::{Lane, Relay};
use super::terms::Terms;
use super::{Phase, Tunnel};
use crate::session::{Closure, Reason};
use crate::websocket::{ControlFrame, Side};

/// How long a backend may take to end its connection after both Closes. Then the gateway ends it.
const YIELD: Duration = Duration::from_secs(1);
/// How long the answer to a Close is awaited if the other side is lost: the answer cannot be passed on.
const LAST_ANSWER: Duration = Duration::from_millis(500);
/// How often `terms.close` begins again for a frame that moves, where nothing is wrong with the session: a minute in all
/// with the default. A frame may be without end.
const MAX_FRAME_EXTENSIONS: u8 = 11;

/// The state of a tunnel that is ending.
#[derive(Debug)]
pub(super) struct Leaving {
    ending: Ending,
    /// The side that had sent Close by then, if one had, and the code of that Close.
    said: Option<(Side, Option<u16>)>,
    client: Farewell,
    backend: Farewell,
    /// Whether a frame was being finished when `terms.close` began; `None` before.
    was_finishing: Option<bool>,
    /// How often `terms.close` began again for a frame.
    frame_extensions: u8,
}

impl<G, L> Tunnel<G, L> {
    /// Begins the end, unless it has begun: both sides are told, and have `terms.close` to end as well. If a drain ends
    /// the tunnel, a frame that has begun may take until the deadline of the drain.
    pub(super) fn leave(&mut self, ending: Ending) {
        if matches!(self.phase, Phase::Leaving(_)) {
            return;
        }
        if let Ending::PongOverdue(gone) = ending {
            self.stream_mut(gone).reset_on_close();
        }
        let said = match self.phase {
            Phase::HalfOpen(Ending::Finished(side, code) | Ending::HalfClose(side, code)) => {
                Some((side, code))
            }
            _ => None,
        };
        let terms = Arc::clone(&self.terms);
        let leaving = Leaving {
            ending,
            said,
            client: farewell(
                ending,
                Side::Client,
                &mut self.downward,
                &self.upward,
                &terms,
            ),
            backend: farewell(
                ending,
                Side::Backend,
                &mut self.upward,
                &self.downward,
                &terms,
            ),
            was_finishing: None,
            frame_extensions: 0,
        };
        self.phase = Phase::Leaving(Box::new(leaving));
    }

    /// Sets the alarms of the farewell: for the cut, and for steps that must not wait that long. Most farewells are over
    /// before they come here, and do not pay for a look at what their sides take.
    pub(super) fn limit_farewell(&mut self) {
        let Phase::Leaving(leaving) = &mut self.phase else {
            return;
        };
        if leaving.steps().contains(&Step::Yielding) {
            self.alarms.set(Alarm::Yield, YIELD);
        }
        if matches!(leaving.ending, Ending::Lost(_)) && leaving.steps().contains(&Step::Hearing) {
            self.alarms.set(Alarm::LastAnswer, LAST_ANSWER);
        }
        let is_finishing = leaving.is_finishing();
        if leaving.was_finishing.replace(is_finishing) == Some(is_finishing) {
            return;
        }
        // A frame and the Close behind it have their time each; at a drain a frame has until the deadline.
        if !(is_finishing && leaving.ending == Ending::Drain) {
            self.alarms.clear(Alarm::Close);
            self.alarms.set(Alarm::Close, self.terms.close);
            let _before = self.take_has_moved();
        }
    }

    /// `terms.close` is over: cuts, unless a side is still taking what waits for it. That only shrinks, so it ends. A frame
    /// that has begun may not, so it is waited for again only if nothing is wrong, it moves, and that not for too long.
    pub(super) fn close(&mut self) -> Option<Closure> {
        let has_moved = self.take_has_moved();
        let Phase::Leaving(leaving) = &mut self.phase else {
            return Some(self.cut());
        };
        if !has_moved || leaving.is_finishing() && !leaving.may_extend_frame() {
            return Some(self.cut());
        }
        self.alarms.set(Alarm::Close, self.terms.close);
        None
    }

    /// Whether a side took some of what waits for it since the last call, or bytes of a frame that has to be finished came.
    fn take_has_moved(&mut self) -> bool {
        let Phase::Leaving(leaving) = &self.phase else {
            return false;
        };
        let sides = [
            (&leaving.client, &mut self.downward, &self.client),
            (&leaving.backend, &mut self.upward, &self.backend),
        ];
        let mut has_moved = false;
        for (farewell, towards, stream) in sides {
            has_moved |= towards.take_has_received();
            has_moved |= !farewell.is_given_up() && towards.writer.take_has_peer_taken(stream);
        }
        has_moved
    }

    /// Ends the streams of sides that are still at `step`.
    pub(super) fn give_up_waiting(&mut self, step: Step) {
        if let Phase::Leaving(leaving) = &mut self.phase {
            leaving.client.end_from(step);
            leaving.backend.end_from(step);
        }
    }

    pub(super) fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<Closure> {
        let Self {
            client,
            backend,
            upward,
            downward,
            terms,
            tally,
            phase,
            ..
        } = self;
        let Phase::Leaving(leaving) = phase else {
            return Poll::Pending;
        };
        let mut lane = Lane {
            source: client,
            sink: backend,
            terms,
            tally,
        };
        loop {
            let before = leaving.steps();
            let mut pair = Pair {
                towards: downward,
                from: upward,
                lane: lane.reversed(),
            };
            let other = leaving.backend.step();
            let _is_done = leaving.client.poll(context, &mut pair, other);
            let mut pair = Pair {
                towards: upward,
                from: downward,
                lane: lane.reborrow(),
            };
            let other = leaving.client.step();
            let _is_done = leaving.backend.poll(context, &mut pair, other);
            // One side may wait for a step of the other, and nothing else wakes this task for that.
            if leaving.steps() == before {
                break;
            }
        }
        let (steps, ending) = (leaving.steps(), leaving.ending);
        if leaving.is_settled() {
            let closure = self.closure(ending);
            self.settle(closure);
        }
        match steps {
            [Step::Done, Step::Done] => Poll::Ready(self.closure(ending)),
            _ => Poll::Pending,
        }
    }

    /// Ends the tunnel now: resets the sides that have not got everything.
    pub(super) fn cut(&mut self) -> Closure {
        let Phase::Leaving(leaving) = &self.phase else {
            self.client.reset_on_close();
            self.backend.reset_on_close();
            return Closure::CUT;
        };
        for (farewell, stream) in [
            (&leaving.client, &mut self.client),
            (&leaving.backend, &mut self.backend),
        ] {
            if !farewell.is_settled() {
                stream.reset_on_close();
            }
        }
        // For a stalled side an unfinished frame is to be expected: the reason stays.
        let is_stuck = leaving.is_finishing() && !matches!(leaving.ending, Ending::Stalled(_));
        let mut closure = self.closure(leaving.ending);
        if is_stuck {
            closure.reason = Reason::Stuck;
        }
        closure
    }

    fn closure(&self, ending: Ending) -> Closure {
        let said = match &self.phase {
            Phase::Leaving(leaving) => leaving.said,
            Phase::Open | Phase::HalfOpen(_) => None,
        };
        let ending = match (ending, said) {
            // It broke instead of an answer: the end was begun by the side that had sent Close.
            (Ending::Lost(lost), Some((first, code))) if lost != first => {
                Ending::HalfClose(first, code)
            }
            _ => ending,
        };
        let mut closure = ending.closure(&self.terms, |side| match side {
            Side::Client => self.downward.writer.has_sent_close(),
            Side::Backend => self.upward.writer.has_sent_close(),
        });
        if let Some((_, code)) = said {
            closure.code = code;
        }
        // A side may have broken the protocol although that did not end the tunnel.
        let faults = [&self.upward, &self.downward].map(|relay| relay.follower.passed_fault());
        if closure.detail.is_empty()
            && let Some(fault) = faults.into_iter().flatten().next()
        {
            closure.detail = fault.detail();
        }
        closure
    }
}

impl Leaving {
    /// Whether a frame that has begun has to be finished.
    fn is_finishing(&self) -> bool {
        self.client.is_finishing() || self.backend.is_finishing()
    }

    /// Whether a frame may be given more time, once more. At a drain it has all the time until the deadline anyway.
    fn may_extend_frame(&mut self) -> bool {
        let is_planned = matches!(self.ending, Ending::MaxAge | Ending::Rebalance);
        self.frame_extensions += 1;
        is_planned && self.frame_extensions <= MAX_FRAME_EXTENSIONS
    }

    /// Whether neither side has anything left to get or to send.
    fn is_settled(&self) -> bool {
        self.client.is_settled() && self.backend.is_settled()
    }

    fn steps(&self) -> [Step; 2] {
        [self.client.step(), self.backend.step()]
    }
}

/// The farewell of `side`. One that has got a Close or its end already gets no other Close; one that gets no Close
/// still gets what is kept for it, unless its Pong is overdue.
fn farewell(
    ending: Ending,
    side: Side,
    towards: &mut Relay,
    from: &Relay,
    terms: &Terms,
) -> Farewell {
    let is_server = side == Side::Backend;
    let is_told = towards.writer.is_ending() || towards.follower.close().is_some();
    let has_said_close = from.follower.has_said_close();
    let owes_answer = towards.writer.may_be_answered() && !from.has_read_end() && !has_said_close;
    let close = close_frame(ending, side, terms).filter(|_| !is_told);
    let step = if close.is_some() {
        towards.follower.finish_frame();
        Step::Finishing
    } else if matches!(ending, Ending::PongOverdue(gone) if gone == side) {
        Step::Done
    } else if owes_answer || is_told && is_server && has_said_close {
        // It is to answer the Close, or as the server to end its connection first.
        Step::Telling
    } else {
        Step::Ending
    };
    Farewell::new(step, close, is_server)
}

/// The Close that `side` gets for this ending, if any.
pub(super) fn close_frame(ending: Ending, side: Side, terms: &Terms) -> Option<ControlFrame> {
    let (code, reason) = ending.told(side, terms)?;
    // The gateway speaks to each side as the other one.
    Some(ControlFrame::close(side.other(), code, reason))
}
