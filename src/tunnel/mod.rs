//! Two open streams until one ends.
//!
//! A [`Tunnel`] is a future written by hand and spawned as a task of its own, because its size is what an
//! idle session costs. It owns everything that a session holds and gives it back when it is dropped.

mod alarm;
mod buffer;
mod farewell;
mod relay;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::drain::{DrainWatch, Stage};
use crate::session::{Closure, Initiator, Reason};
use crate::stream::Stream;
use crate::telemetry::{SessionRecord, Traffic};
use alarm::{Alarm, Alarms};
use farewell::poll_farewell;
use relay::{Fault, Relay};

/// How often a busy session's counts are added to the shared counters.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// One end of a tunnel: the stream, and the bytes that arrived together with the head.
#[derive(Debug)]
pub struct End<'a> {
    /// The open stream.
    pub stream: Stream,
    /// Bytes that were read behind the head; they belong to the tunnel.
    pub early: &'a [u8],
}

/// Deadlines of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadlines {
    /// For the other side to end once one has.
    pub half_close: Duration,
    /// For a side to answer the gateway's own end.
    pub close: Duration,
}

/// Those who may ask a session to end: its listener, its route, its backend.
pub type Watches = [DrainWatch; 3];

/// A session after both sides agreed. Resolves when it has ended and its record is written.
///
/// `G` is what the session holds besides: it is given back when the tunnel is dropped.
pub struct Tunnel<G> {
    client: Stream,
    backend: Stream,
    /// From the client to the backend.
    upward: Relay,
    /// From the backend to the client.
    downward: Relay,
    alarms: Alarms,
    deadlines: Deadlines,
    phase: Phase,
    watches: Watches,
    /// How far each drain had come when this tunnel last looked; none before the first poll.
    heard: [Option<Stage>; 3],
    record: SessionRecord,
    _guards: G,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Bytes pass both ways.
    Relaying,
    /// This side ended or broke first; the other may still send.
    HalfOpen(Initiator, Reason),
    /// The end is decided; both sides are told.
    Leaving(Closure),
}

impl<G> Tunnel<G> {
    /// A tunnel between `client` and `backend`. The watches are those taken before the 101.
    pub fn new(
        [client, backend]: [End<'_>; 2],
        deadlines: Deadlines,
        watches: Watches,
        record: SessionRecord,
        guards: G,
    ) -> Self {
        Self {
            upward: Relay::new(client.early),
            downward: Relay::new(backend.early),
            client: client.stream,
            backend: backend.stream,
            alarms: Alarms::default(),
            deadlines,
            phase: Phase::Relaying,
            watches,
            heard: [None; 3],
            record,
            _guards: guards,
        }
    }

    fn poll_closure(&mut self, context: &mut Context<'_>) -> Poll<Closure> {
        self.hear_drains(context);
        loop {
            if let Phase::Leaving(closure) = self.poll_phase(context) {
                let client = poll_farewell(context, &mut self.downward, &mut self.client);
                let backend = poll_farewell(context, &mut self.upward, &mut self.backend);
                if client.is_ready() && backend.is_ready() {
                    return Poll::Ready(closure);
                }
            }
            let alarm = ready!(self.alarms.poll(context));
            if let Some(closure) = self.answer(alarm) {
                return Poll::Ready(closure);
            }
        }
    }

    /// Moves bytes both ways, unless the end is decided; and decides it when there is nothing more to move.
    fn poll_phase(&mut self, context: &mut Context<'_>) -> Phase {
        if !matches!(self.phase, Phase::Leaving(_)) {
            let upward = self
                .upward
                .poll(context, &mut self.client, &mut self.backend);
            let downward = self
                .downward
                .poll(context, &mut self.backend, &mut self.client);
            self.plan_report();
            self.note(upward, Initiator::Client, Initiator::Backend);
            self.note(downward, Initiator::Backend, Initiator::Client);
        }
        self.phase
    }

    /// Draws the conclusion from what one direction came to.
    fn note(&mut self, direction: Poll<Result<(), Fault>>, source: Initiator, sink: Initiator) {
        match direction {
            Poll::Pending => return,
            Poll::Ready(Ok(())) => self.half_open(source, Reason::Finished),
            // What the broken side sent before it broke may still be here, so the other direction goes on.
            Poll::Ready(Err(Fault::Sink)) => self.half_open(sink, Reason::Lost),
            Poll::Ready(Err(Fault::Source)) => return self.leave(source, Reason::Lost),
        }
        if let Phase::HalfOpen(initiator, reason) = self.phase
            && self.upward.has_ended()
            && self.downward.has_ended()
        {
            self.leave(initiator, reason);
        }
    }

    fn half_open(&mut self, initiator: Initiator, reason: Reason) {
        if matches!(self.phase, Phase::Relaying) {
            self.phase = Phase::HalfOpen(initiator, reason);
            self.alarms
                .set_sooner(Alarm::HalfClose, Instant::now() + self.deadlines.half_close);
        }
    }

    /// Decides the end: both sides are told, and have `deadlines.close` to end too.
    fn leave(&mut self, initiator: Initiator, reason: Reason) {
        if matches!(self.phase, Phase::Leaving(_)) {
            return;
        }
        self.phase = Phase::Leaving(Closure {
            initiator,
            code: None,
            reason,
        });
        self.upward.end();
        self.downward.end();
        self.alarms
            .set_sooner(Alarm::Cut, Instant::now() + self.deadlines.close);
    }

    /// Some when the tunnel is over at once.
    fn answer(&mut self, alarm: Alarm) -> Option<Closure> {
        match alarm {
            Alarm::Report => self.report(),
            Alarm::HalfClose => {
                if let Phase::HalfOpen(initiator, _) = self.phase {
                    self.leave(initiator, Reason::HalfClose);
                }
            }
            Alarm::Drain => self.leave(Initiator::Gateway, Reason::Drain),
            Alarm::Cut => return Some(self.cut()),
        }
        None
    }

    fn cut(&mut self) -> Closure {
        self.client.socket().reset_on_close();
        self.backend.socket().reset_on_close();
        match self.phase {
            Phase::Leaving(closure) => closure,
            Phase::Relaying | Phase::HalfOpen(..) => Closure {
                initiator: Initiator::Gateway,
                code: None,
                reason: Reason::Cut,
            },
        }
    }

    /// Looks whether a drain has come further. Costs three atomic loads when none has.
    fn hear_drains(&mut self, context: &mut Context<'_>) {
        for index in 0..self.watches.len() {
            let watch = &self.watches[index];
            if self.heard[index] == Some(watch.stage()) {
                continue;
            }
            let mut stage = Stage::Open;
            while let Poll::Ready(further) = watch.poll_beyond(stage, context) {
                stage = further;
            }
            self.heard[index] = Some(stage);
            let plan = watch.plan();
            match (stage, plan) {
                (Stage::Open, _) => {}
                (Stage::Draining, Some(plan)) => {
                    self.alarms.set_sooner(Alarm::Drain, plan.moment());
                }
                (Stage::Draining, None) | (Stage::Cut, _) => {
                    self.alarms.set_sooner(Alarm::Cut, Instant::now());
                }
            }
        }
    }

    fn plan_report(&mut self) {
        let counted = self.upward.has_bytes() || self.downward.has_bytes();
        if counted && !self.alarms.is_set(Alarm::Report) {
            self.alarms
                .set_sooner(Alarm::Report, Instant::now() + REPORT_INTERVAL);
        }
    }

    fn report(&mut self) {
        let mut traffic = Traffic::default();
        traffic.client_to_backend.bytes = self.upward.take_bytes();
        traffic.backend_to_client.bytes = self.downward.take_bytes();
        self.record.add_traffic(&traffic);
    }
}

impl<G: Unpin> Future for Tunnel<G> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let closure = ready!(self.poll_closure(context));
        self.report();
        self.record.close(closure);
        Poll::Ready(())
    }
}
