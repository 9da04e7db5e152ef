//! Two open streams until one ends.
//!
//! A [`Tunnel`] is a future written by hand and spawned as a task of its own, because its size is what an
//! idle session costs. It owns everything that a session holds and gives it back when it is dropped.

mod alarm;
mod buffer;
mod ending;
mod farewell;
mod follow;
mod keepalive;
mod relay;
mod tally;
mod terms;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::drain::{DrainWatch, Stage};
use crate::session::{Closure, Initiator, Reason};
use crate::stream::Stream;
use crate::telemetry::SessionRecord;
use crate::websocket::{ControlFrame, Extensions, Sender};
use alarm::{Alarm, Alarms};
use ending::{Ending, Side};
use farewell::{Farewell, Parting};
use follow::{Finding, SeenClose};
use keepalive::Keepalive;
use relay::{Lane, Relay, Verdict};
use tally::Tally;
pub use terms::{Terms, Words};

/// How often a busy session's counts are added to the shared counters.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// When a Ping that could not be put in between two frames is tried again.
const PING_RETRY: Duration = Duration::from_secs(1);
/// Into how many parts the idle time is divided; a session is idle after that many parts without data, so it
/// may last one part longer than it should.
const IDLE_PARTS: u8 = 4;

/// One end of a tunnel: the stream, and the bytes that arrived together with the head.
#[derive(Debug)]
pub struct End<'a> {
    /// The open stream.
    pub stream: Stream,
    /// Bytes that were read behind the head; they belong to the tunnel.
    pub early: &'a [u8],
}

/// What both sides agreed on in the opening handshake.
#[derive(Debug)]
pub struct Agreed {
    /// What holds on the route.
    pub terms: Arc<Terms>,
    /// The extensions of the 101.
    pub extensions: Extensions,
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
    terms: Arc<Terms>,
    alarms: Alarms,
    keepalive: Keepalive,
    tally: Tally,
    phase: Phase,
    /// So many parts of the idle time have passed without data.
    idle_parts: u8,
    watches: Watches,
    /// How far each drain had come when this tunnel last looked; none before the first poll.
    heard: [Option<Stage>; 3],
    record: SessionRecord,
    _guards: G,
}

#[derive(Debug)]
enum Phase {
    /// Bytes pass both ways.
    Open,
    /// One side has said or sent its last; the other may still send.
    HalfOpen(Ending),
    /// The end is decided; both sides are told.
    Leaving(Box<Leaving>),
}

/// The end of a tunnel that is under way.
#[derive(Debug)]
struct Leaving {
    closure: Closure,
    client: Farewell,
    backend: Farewell,
}

impl<G> Tunnel<G> {
    /// A tunnel between `client` and `backend`. The watches are those taken before the 101.
    pub fn new(
        [client, backend]: [End<'_>; 2],
        agreed: Agreed,
        watches: Watches,
        record: SessionRecord,
        guards: G,
    ) -> Self {
        let Agreed { terms, extensions } = agreed;
        let mut tunnel = Self {
            upward: Relay::new(Sender::Client, extensions),
            downward: Relay::new(Sender::Backend, extensions),
            client: client.stream,
            backend: backend.stream,
            alarms: Alarms::default(),
            keepalive: Keepalive::default(),
            tally: Tally::default(),
            phase: Phase::Open,
            idle_parts: 0,
            watches,
            heard: [None; 3],
            record,
            _guards: guards,
            terms,
        };
        tunnel
            .upward
            .begin(client.early, &tunnel.terms, &mut tunnel.tally);
        tunnel
            .downward
            .begin(backend.early, &tunnel.terms, &mut tunnel.tally);
        tunnel.set_alarms();
        tunnel
    }

    fn set_alarms(&mut self) {
        if let Some(ping) = self.terms.websocket.ping {
            self.alarms.set(Alarm::Ping, ping.interval);
        }
        if let Some(idle) = self.terms.websocket.idle {
            self.alarms.set(Alarm::Idle, idle / u32::from(IDLE_PARTS));
        }
        if let Some(age) = self.terms.websocket.max_age {
            let part = 1.0 - self.terms.websocket.max_age_jitter * fastrand::f64();
            self.alarms.set(Alarm::MaxAge, age.mul_f64(part));
        }
    }

    fn poll_closure(&mut self, context: &mut Context<'_>) -> Poll<Closure> {
        self.hear_drains(context);
        loop {
            if !matches!(self.phase, Phase::Leaving(_)) {
                self.pass(context);
            }
            if let Poll::Ready(closure) = self.poll_farewell(context) {
                return Poll::Ready(closure);
            }
            self.watch_traffic();
            let alarm = ready!(self.alarms.poll(context));
            if let Some(closure) = self.answer(alarm) {
                return Poll::Ready(closure);
            }
        }
    }

    /// Moves bytes both ways, and decides on the end when there is nothing more to move.
    fn pass(&mut self, context: &mut Context<'_>) {
        loop {
            let were_ending = self.are_ending();
            self.move_bytes(context);
            // Nothing wakes this task for an end that was just asked for, unless the sink is asked now.
            if self.are_ending() == were_ending || matches!(self.phase, Phase::Leaving(_)) {
                break;
            }
        }
        self.hear_closes();
        self.hear_pongs();
    }

    fn move_bytes(&mut self, context: &mut Context<'_>) {
        let Self {
            client,
            backend,
            terms,
            tally,
            ..
        } = self;
        let mut lane = Lane {
            source: client,
            sink: backend,
            terms,
            tally,
        };
        let upward = self.upward.poll(context, lane.again());
        let downward = self.downward.poll(context, lane.turned());
        if let Poll::Ready(verdict) = upward {
            self.conclude(verdict, Side::Client);
        }
        if let Poll::Ready(verdict) = downward {
            self.conclude(verdict, Side::Backend);
        }
    }

    /// Draws the conclusion from what the direction from `source` came to.
    fn conclude(&mut self, verdict: Verdict, source: Side) {
        match verdict {
            Verdict::SourceEnded => self.pass_end_on(source),
            // What the broken side sent before it broke may still be here: the other direction goes on.
            Verdict::SinkLost => self.half_open(Ending::Lost(source.other())),
            Verdict::SourceLost => self.leave(Ending::Lost(source)),
            Verdict::Stopped(Finding::MessageTooBig) => self.leave(Ending::MessageTooBig(source)),
            Verdict::Stopped(Finding::TooManyMessages) => self.leave(Ending::TooManyMessages),
            Verdict::Stopped(Finding::ProtocolError | Finding::Boundary) => {
                self.leave(Ending::ProtocolError(source));
            }
        }
        if let Phase::HalfOpen(ending) = self.phase
            && self.upward.has_ended()
            && self.downward.has_ended()
        {
            self.leave(ending);
        }
    }

    /// The source's end passes on. If it did not say Close, the gateway says it in its place.
    fn pass_end_on(&mut self, source: Side) {
        let relay = self.relay_from(source);
        if relay.is_ending() {
            return;
        }
        let ending = match relay.follower.close() {
            Some(SeenClose(code)) => Ending::Finished(source, code),
            None => Ending::Lost(source),
        };
        let terms = Arc::clone(&self.terms);
        let relay = self.relay_from(source);
        if let Some(close) = close_frame(ending, source.other(), &terms)
            && relay.follower.held().is_empty()
        {
            relay.insert(&close);
        }
        relay.end_sink();
        self.half_open(ending);
    }

    /// A Close that passed is the end of what its side has to say; two are the end of the session.
    fn hear_closes(&mut self) {
        let closes = (self.upward.follower.close(), self.downward.follower.close());
        match closes {
            (None, None) => {}
            (Some(SeenClose(code)), None) => self.hear_close(Side::Client, code),
            (None, Some(SeenClose(code))) => self.hear_close(Side::Backend, code),
            (Some(SeenClose(code)), Some(_)) => match self.phase {
                Phase::Open => self.leave(Ending::Finished(Side::Client, code)),
                Phase::HalfOpen(first) => self.leave(first),
                Phase::Leaving(_) => {}
            },
        }
    }

    /// `side` said Close, the other has not. That answers the gateway where the other is lost.
    fn hear_close(&mut self, side: Side, code: Option<u16>) {
        match self.phase {
            Phase::Open => self.half_open(Ending::Finished(side, code)),
            Phase::HalfOpen(Ending::Lost(lost)) if lost != side => self.leave(Ending::Lost(lost)),
            Phase::HalfOpen(_) | Phase::Leaving(_) => {}
        }
    }

    fn hear_pongs(&mut self) {
        let client = self.keepalive.answered(Side::Client, &mut self.upward);
        let backend = self.keepalive.answered(Side::Backend, &mut self.downward);
        for duration in [client, backend].into_iter().flatten() {
            self.record.ping_answered(duration);
        }
    }

    fn half_open(&mut self, ending: Ending) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::HalfOpen(ending);
            self.alarms.set(Alarm::HalfClose, self.terms.half_close);
        }
    }

    /// Decides the end: both sides are told, and have `terms.close` to end too.
    fn leave(&mut self, ending: Ending) {
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

    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<Closure> {
        let Phase::Leaving(leaving) = &mut self.phase else {
            return Poll::Pending;
        };
        let Self {
            client,
            backend,
            upward,
            downward,
            terms,
            tally,
            ..
        } = self;
        let mut lane = Lane {
            source: client,
            sink: backend,
            terms,
            tally,
        };
        let Leaving {
            closure,
            client: to_client,
            backend: to_backend,
        } = &mut **leaving;
        // The client comes twice, because the backend's farewell may have kept it waiting.
        for side in [Side::Client, Side::Backend, Side::Client] {
            let (farewell, other, mut parting) = match side {
                Side::Client => {
                    let lane = lane.turned();
                    (
                        &mut *to_client,
                        to_backend.stage(),
                        Parting {
                            towards: downward,
                            from: upward,
                            lane,
                        },
                    )
                }
                Side::Backend => {
                    let lane = lane.again();
                    (
                        &mut *to_backend,
                        to_client.stage(),
                        Parting {
                            towards: upward,
                            from: downward,
                            lane,
                        },
                    )
                }
            };
            let _is_done = farewell.poll(context, &mut parting, other);
        }
        let is_over = [to_client.stage(), to_backend.stage()] == [farewell::Stage::Done; 2];
        if is_over {
            Poll::Ready(*closure)
        } else {
            Poll::Pending
        }
    }

    /// Some when the tunnel is over at once.
    fn answer(&mut self, alarm: Alarm) -> Option<Closure> {
        match (alarm, &self.phase) {
            (Alarm::Cut, _) => return Some(self.cut()),
            (Alarm::Report, _) => self.tally.report(&mut self.record),
            (Alarm::Drain, _) => self.leave(Ending::Drain),
            (Alarm::MaxAge, _) => self.leave(Ending::MaxAge),
            (Alarm::HalfClose, Phase::HalfOpen(Ending::Finished(side, _))) => {
                self.leave(Ending::HalfClose(*side));
            }
            (Alarm::HalfClose, Phase::HalfOpen(ending)) => self.leave(*ending),
            (Alarm::Ping, Phase::Open) => self.ping(),
            (Alarm::Pong, Phase::Open) => self.check_pongs(),
            (Alarm::Idle, Phase::Open) => self.check_idle(),
            (Alarm::Stall, Phase::Open | Phase::HalfOpen(_)) => self.check_stall(),
            (Alarm::HalfClose | Alarm::Ping | Alarm::Pong | Alarm::Idle | Alarm::Stall, _) => {}
        }
        None
    }

    fn ping(&mut self) {
        let Some(ping) = self.terms.websocket.ping else {
            return;
        };
        let Self {
            keepalive,
            upward,
            downward,
            ..
        } = self;
        let client = ping.client && keepalive.ask(Side::Client, downward, upward);
        let backend = ping.backend && keepalive.ask(Side::Backend, upward, downward);
        if client || backend {
            self.alarms.set(Alarm::Pong, ping.timeout);
            self.alarms.set(Alarm::Ping, ping.interval);
        } else {
            // In the middle of a frame: whoever sends it, or takes it, is there.
            self.alarms.set(Alarm::Ping, ping.interval.min(PING_RETRY));
        }
    }

    fn check_pongs(&mut self) {
        let Some(ping) = self.terms.websocket.ping else {
            return;
        };
        for side in [Side::Client, Side::Backend] {
            let Self {
                keepalive,
                upward,
                downward,
                ..
            } = self;
            let from = match side {
                Side::Client => upward,
                Side::Backend => downward,
            };
            if keepalive.is_overdue(side, from, ping.timeout) {
                return self.leave(Ending::PongOverdue(side));
            }
        }
        if let Some(sent) = self.keepalive.first_sent() {
            self.alarms.set_at(Alarm::Pong, sent + ping.timeout);
        }
    }

    fn check_idle(&mut self) {
        let Some(idle) = self.terms.websocket.idle else {
            return;
        };
        let upward = self.upward.follower.take_has_data();
        let downward = self.downward.follower.take_has_data();
        self.idle_parts = if upward || downward {
            0
        } else {
            self.idle_parts + 1
        };
        if self.idle_parts == IDLE_PARTS {
            self.leave(Ending::Idle);
        } else {
            self.alarms.set(Alarm::Idle, idle / u32::from(IDLE_PARTS));
        }
    }

    fn check_stall(&mut self) {
        for side in [Side::Client, Side::Backend] {
            let towards = self.relay_from(side.other());
            if !towards.take_has_progress() && !towards.is_clear() {
                return self.leave(Ending::Stalled(side));
            }
        }
    }

    /// Sets the alarms that are needed only while bytes move, or wait.
    fn watch_traffic(&mut self) {
        if !self.tally.is_empty() && !self.alarms.is_set(Alarm::Report) {
            self.alarms.set(Alarm::Report, REPORT_INTERVAL);
        }
        let is_clear = self.upward.is_clear() && self.downward.is_clear();
        if let Some(stall) = self.terms.websocket.stall
            && !is_clear
            && !self.alarms.is_set(Alarm::Stall)
        {
            self.upward.take_has_progress();
            self.downward.take_has_progress();
            self.alarms.set(Alarm::Stall, stall);
        }
    }

    fn cut(&mut self) -> Closure {
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
        let is_stuck = stages.contains(&farewell::Stage::Finishing);
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

    /// Looks whether a drain has come further. Costs three atomic loads when none has.
    fn hear_drains(&mut self, context: &mut Context<'_>) {
        for (watch, heard) in self.watches.iter().zip(&mut self.heard) {
            if *heard == Some(watch.stage()) {
                continue;
            }
            let mut stage = Stage::Open;
            while let Poll::Ready(further) = watch.poll_beyond(stage, context) {
                stage = further;
            }
            *heard = Some(stage);
            match (stage, watch.plan()) {
                (Stage::Open, _) => {}
                (Stage::Draining, Some(plan)) => self.alarms.set_at(Alarm::Drain, plan.moment()),
                (Stage::Draining, None) | (Stage::Cut, _) => {
                    self.alarms.set_at(Alarm::Cut, Instant::now());
                }
            }
        }
    }

    fn stream(&self, side: Side) -> &Stream {
        match side {
            Side::Client => &self.client,
            Side::Backend => &self.backend,
        }
    }

    /// Whether the end passes on: upward, downward.
    fn are_ending(&self) -> [bool; 2] {
        [self.upward.is_ending(), self.downward.is_ending()]
    }

    fn relay_from(&mut self, source: Side) -> &mut Relay {
        match source {
            Side::Client => &mut self.upward,
            Side::Backend => &mut self.downward,
        }
    }
}

impl<G: Unpin> Future for Tunnel<G> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let closure = ready!(self.poll_closure(context));
        let Self { tally, record, .. } = &mut *self;
        tally.report(record);
        record.close(closure);
        Poll::Ready(())
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

fn close_frame(ending: Ending, side: Side, terms: &Terms) -> Option<ControlFrame> {
    let (code, reason) = ending.told(side, terms)?;
    // Towards the client the gateway stands for the backend, and the other way round.
    let sender = match side {
        Side::Client => Sender::Backend,
        Side::Backend => Sender::Client,
    };
    Some(ControlFrame::close(sender, code, reason))
}
