//! The end of a tunnel once it is decided.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::alarm::Alarm;
use super::ending::{Ending, Side};
use super::farewell::{Farewell, Parting, Stage};
use super::relay::{Lane, Relay};
use super::terms::Terms;
use super::{Phase, Tunnel};
use crate::session::{Closure, Initiator, Reason};
use crate::websocket::{ControlFrame, Sender};

/// The end of a tunnel that is under way.
#[derive(Debug)]
pub(super) struct Leaving {
    closure: Closure,
    client: Farewell,
    backend: Farewell,
}

impl<G> Tunnel<G> {
    /// Decides the end: both sides are told, and have `terms.close` to end too.
    pub(super) fn leave(&mut self, ending: Ending) {
        if matches!(self.phase, Phase::Leaving(_)) {
            return;
        }
        if let Ending::PongOverdue(gone) | Ending::Stalled(gone) = ending {
            self.stream(gone).socket().reset_on_close();
        }
        let terms = Arc::clone(&self.terms);
        let leaving = Leaving {
            closure: ending.closure(&terms),
            client: farewell(ending, Side::Client, &mut self.downward, &terms),
            backend: farewell(ending, Side::Backend, &mut self.upward, &terms),
        };
        self.phase = Phase::Leaving(Box::new(leaving));
        self.alarms.set(Alarm::Cut, terms.close);
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
        // The client comes twice, because the backend's farewell may have kept it waiting.
        for side in [Side::Client, Side::Backend, Side::Client] {
            let _is_done = match side {
                Side::Client => {
                    let other = leaving.backend.stage();
                    let lane = lane.turned();
                    let mut parting = Parting {
                        towards: downward,
                        from: upward,
                        lane,
                    };
                    leaving.client.poll(context, &mut parting, other)
                }
                Side::Backend => {
                    let other = leaving.client.stage();
                    let lane = lane.again();
                    let mut parting = Parting {
                        towards: upward,
                        from: downward,
                        lane,
                    };
                    leaving.backend.poll(context, &mut parting, other)
                }
            };
        }
        match [leaving.client.stage(), leaving.backend.stage()] {
            [Stage::Done, Stage::Done] => Poll::Ready(leaving.closure),
            _ => Poll::Pending,
        }
    }

    /// Resets what has not ended, now.
    pub(super) fn cut(&mut self) -> Closure {
        let Phase::Leaving(leaving) = &self.phase else {
            self.client.socket().reset_on_close();
            self.backend.socket().reset_on_close();
            return Closure {
                initiator: Initiator::Gateway,
                code: None,
                reason: Reason::Cut,
            };
        };
        for (farewell, stream) in [
            (&leaving.client, &self.client),
            (&leaving.backend, &self.backend),
        ] {
            if !farewell.is_settled() {
                stream.socket().reset_on_close();
            }
        }
        let stages = [leaving.client.stage(), leaving.backend.stage()];
        let is_stuck = stages.contains(&Stage::Finishing);
        let reason = if is_stuck {
            Reason::Stuck
        } else {
            leaving.closure.reason
        };
        Closure {
            reason,
            ..leaving.closure
        }
    }
}

/// How `side` is parted from. One that has got a Close or its end already is told nothing more; one that
/// broke is left.
fn farewell(ending: Ending, side: Side, towards: &mut Relay, terms: &Terms) -> Farewell {
    let is_told = towards.is_ending() || towards.follower.close().is_some();
    match (close_frame(ending, side, terms), ending) {
        (Some(close), _) if !is_told => Farewell::telling(close, towards),
        (Some(_), _) | (None, Ending::Finished(..) | Ending::HalfClose(_)) => Farewell::silent(),
        (None, _) => Farewell::done(),
    }
}

pub(super) fn close_frame(ending: Ending, side: Side, terms: &Terms) -> Option<ControlFrame> {
    let (code, reason) = ending.told(side, terms)?;
    // Towards the client the gateway stands for the backend, and the other way round.
    let sender = match side {
        Side::Client => Sender::Backend,
        Side::Backend => Sender::Client,
    };
    Some(ControlFrame::close(sender, code, reason))
}
