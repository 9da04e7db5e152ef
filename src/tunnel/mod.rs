//! Two open streams, until both have ended.
//!
//! A [`Tunnel`] is a hand-written future, spawned as a task of its own: its size is what an idle session costs. It owns
//! everything that a session holds, and releases it when it is dropped.

mod alarm;
mod buffer;
mod ending;
mod farewell;
mod follow;
mod keepalive;
mod leaving;
mod relay;
mod tally;
mod terms;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::drain::{self, DrainWatch};
use crate::session::Closure;
use crate::stream::Stream;
use crate::telemetry::SessionRecord;
use crate::websocket::{Extensions, Side};
use alarm::{Alarm, Alarms};
use ending::Ending;
use follow::{Finding, SeenClose};
use keepalive::Keepalive;
use leaving::{Leaving, close_frame};
use relay::{Lane, Relay, Verdict};
use tally::Tally;
pub use terms::{Terms, Words};

/// One end of a tunnel: the stream, and the bytes that arrived together with the head of the handshake.
#[derive(Debug)]
pub struct End<'a> {
    /// The open stream.
    pub stream: Stream,
    /// Bytes that were read behind the head; they belong to the tunnel already.
    pub early: &'a [u8],
}

/// What both sides agreed on in the opening handshake.
#[derive(Debug)]
pub struct Agreed {
    /// The settings of the route.
    pub terms: Arc<Terms>,
    /// The extensions of the 101.
    pub extensions: Extensions,
}

/// The drains that may end a session: of its listener, its route and its backend.
pub type Watches = [DrainWatch; 3];
/// The index of the backend's watch.
const BACKEND: usize = 2;

/// A session after both sides agreed. Resolves when both streams have ended.
///
/// Its account is closed as soon as neither side has anything left to say: that releases the lease on the backend and
/// writes the record. How long a peer keeps its socket open after that is not part of the session. `G` is held until
/// the sockets are closed.
pub struct Tunnel<G, L> {
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
    /// How many parts of the idle time have passed without data.
    idle_parts: u8,
    /// How often `half_close` was extended because the client was still taking bytes.
    half_close_extensions: u8,
    /// `None` once the session is settled.
    account: Option<Account<L>>,
    /// The stage of each drain when it was last checked; `None` before the first poll.
    heard: [Option<drain::Stage>; 3],
    /// Where in the window of a drain it ends, from 0 to 1; random.
    drain_share: f32,
    /// The number of [`DrainWatch::asks`] of the backend that was last seen.
    heard_asks: u32,
    _guards: G,
}

/// What a session holds until it is settled.
pub struct Account<L> {
    /// Taken before the 101, so that no drain is missed.
    pub watches: Watches,
    /// Its record.
    pub record: SessionRecord,
    /// Its lease on the backend.
    pub lease: L,
}

#[derive(Debug)]
enum Phase {
    /// Frames are relayed both ways.
    Open,
    /// One side has sent Close or ended; the other may still send.
    HalfOpen(Ending),
    /// The end is decided; both sides are told.
    Leaving(Box<Leaving>),
}

impl<G, L> Tunnel<G, L> {
    /// A tunnel between `client` and `backend`.
    pub fn new(
        [client, backend]: [End<'_>; 2],
        agreed: Agreed,
        account: Account<L>,
        guards: G,
    ) -> Self {
        let Agreed { terms, extensions } = agreed;
        let mut tunnel = Self {
            upward: Relay::new(Side::Client, extensions),
            downward: Relay::new(Side::Backend, extensions),
            client: client.stream,
            backend: backend.stream,
            alarms: Alarms::default(),
            keepalive: Keepalive::default(),
            tally: Tally::default(),
            phase: Phase::Open,
            idle_parts: 0,
            half_close_extensions: 0,
            account: Some(account),
            heard: [None; 3],
            drain_share: fastrand::f32(),
            heard_asks: 0,
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

    fn poll_closure(&mut self, context: &mut Context<'_>) -> Poll<Closure> {
        self.hear_drains(context);
        self.hear_asks();
        loop {
            if !matches!(self.phase, Phase::Leaving(_)) {
                self.pass(context);
            }
            if let Poll::Ready(closure) = self.poll_farewell(context) {
                return Poll::Ready(closure);
            }
            self.limit_farewell();
            self.watch_traffic();
            let alarm = ready!(self.alarms.poll(context));
            if let Some(closure) = self.answer(alarm) {
                return Poll::Ready(closure);
            }
        }
    }

    /// Relays both ways as far as possible, and decides on the end of the tunnel.
    fn pass(&mut self, context: &mut Context<'_>) {
        loop {
            let ending = [
                self.upward.writer.is_ending(),
                self.downward.writer.is_ending(),
            ];
            self.pass_once(context);
            // A Close or an end that was queued just now is written by another pass: nothing else wakes this task for it.
            let is_unchanged = ending
                == [
                    self.upward.writer.is_ending(),
                    self.downward.writer.is_ending(),
                ];
            if is_unchanged || matches!(self.phase, Phase::Leaving(_)) {
                return;
            }
        }
    }

    fn pass_once(&mut self, context: &mut Context<'_>) {
        let upward = self.poll_relay(Side::Client, context);
        // Before the backend is read: if it has answered the client's Close meanwhile, the client's was still first.
        self.hear_closes();
        let downward = self.poll_relay(Side::Backend, context);
        // Before the verdicts: a side that sent Close and then broke has closed, and is not lost.
        self.hear_closes();
        if let Poll::Ready(verdict) = upward {
            self.conclude(verdict, Side::Client);
        }
        if let Poll::Ready(verdict) = downward {
            self.conclude(verdict, Side::Backend);
        }
        self.hear_pongs();
    }

    fn poll_relay(&mut self, source: Side, context: &mut Context<'_>) -> Poll<Verdict> {
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
        match source {
            Side::Client => self.upward.poll(context, lane),
            Side::Backend => self.downward.poll(context, lane.reversed()),
        }
    }

    /// Acts on the verdict of the direction from `source`.
    fn conclude(&mut self, verdict: Verdict, source: Side) {
        if matches!(self.phase, Phase::Leaving(_)) {
            return;
        }
        match verdict {
            Verdict::SourceEnded => self.pass_end_on(source),
            Verdict::SinkLost => self.lose(source.other()),
            // It broke after its Close: that is not a loss.
            Verdict::SourceLost if self.has_closed(source) => self.pass_end_on(source),
            // The other side was lost first, and this one was told.
            Verdict::SourceLost if self.is_lost(source.other()) => {
                self.leave(Ending::Lost(source.other()));
            }
            Verdict::SourceLost => self.leave(Ending::Lost(source)),
            Verdict::Stopped(Finding::MessageTooBig) => self.leave(Ending::MessageTooBig(source)),
            Verdict::Stopped(Finding::TooManyMessages) => self.leave(Ending::TooManyMessages),
            Verdict::Stopped(Finding::ProtocolError(error)) => {
                self.leave(Ending::ProtocolError(source, error));
            }
            // Only a farewell stops at a boundary.
            Verdict::Stopped(Finding::Boundary) => {}
        }
        if let Phase::HalfOpen(ending) = self.phase
            && self.upward.writer.has_ended()
            && self.downward.writer.has_ended()
        {
            self.leave(ending);
        }
    }

    /// `side` takes no more bytes: a write to it failed.
    fn lose(&mut self, side: Side) {
        let is_other_told = self.relay_from(side).writer.is_ending();
        match self.phase {
            // It said Close before, so nothing more comes from either side.
            Phase::HalfOpen(ending) if self.has_closed(side) => self.leave(ending),
            // All that it sent has been passed on, and the other side was told of the loss.
            Phase::HalfOpen(ending) if is_other_told && self.is_lost(side) => self.leave(ending),
            // What it sent before may still be on its way to the other side.
            _ => self.half_open(Ending::Lost(side)),
        }
    }

    /// Passes on that `source` has ended. If it did not send Close, the gateway sends one in its place. A client may answer
    /// that before its stream ends: under TLS, some clients take an end right behind a Close for a broken connection, and
    /// report 1006.
    fn pass_end_on(&mut self, source: Side) {
        let other = source.other();
        let is_other_over = self.relay_from(other).has_read_end();
        if is_other_over && self.is_lost(other) {
            return self.leave(Ending::Lost(other));
        }
        let relay = self.relay_from(source);
        if relay.writer.is_ending() {
            return;
        }
        let ending = match relay.follower.close() {
            Some(SeenClose(code)) => Ending::Finished(source, code),
            None => Ending::Lost(source),
        };
        // The backend, as the server, ends its connection first (RFC 6455 section 7.1.1). Some backends take a client's end
        // right behind its Close for a loss and do not answer; so the end is not passed on before the answer.
        if matches!((source, ending), (Side::Client, Ending::Finished(..))) && !is_other_over {
            self.half_open(ending);
            return;
        }
        let close = close_frame(ending, other, &self.terms);
        let may_answer = other == Side::Client && !self.has_closed(other);
        let relay = self.relay_from(source);
        let awaits_answer = close.is_some_and(|close| relay.tell(&close)) && may_answer;
        if !awaits_answer {
            relay.writer.end_sink();
        }
        self.half_open(ending);
        if awaits_answer {
            let wait = self.terms.close.min(self.terms.half_close);
            self.alarms.set(Alarm::HalfClose, wait);
        }
    }

    /// Looks for Closes that were passed on. One makes the tunnel half-open, two end it.
    fn hear_closes(&mut self) {
        let closes = (self.upward.follower.close(), self.downward.follower.close());
        match closes {
            (None, None) => {}
            (Some(SeenClose(code)), None) => self.hear_close(Side::Client, code),
            (None, Some(SeenClose(code))) => self.hear_close(Side::Backend, code),
            (Some(SeenClose(code)), Some(_)) => match self.phase {
                Phase::Open => self.leave(Ending::Finished(Side::Client, code)),
                Phase::HalfOpen(Ending::HalfClose(side, code)) => {
                    self.leave(Ending::Finished(side, code));
                }
                Phase::HalfOpen(first) => self.leave(first),
                Phase::Leaving(_) => {}
            },
        }
    }

    /// `side` sent Close, the other has not. If the other is lost, this answers the gateway's Close.
    fn hear_close(&mut self, side: Side, code: Option<u16>) {
        match self.phase {
            Phase::Open => {
                self.downward.is_close_last = side == Side::Client;
                self.half_open(Ending::Finished(side, code));
            }
            Phase::HalfOpen(Ending::Lost(lost)) if lost != side => self.leave(Ending::Lost(lost)),
            // It sent Close before it broke; no answer would reach it.
            Phase::HalfOpen(Ending::Lost(_)) => self.leave(Ending::Finished(side, code)),
            Phase::HalfOpen(_) | Phase::Leaving(_) => {}
        }
    }

    fn half_open(&mut self, ending: Ending) {
        match (&self.phase, ending) {
            (Phase::Open, _) => {
                self.phase = Phase::HalfOpen(ending);
                self.alarms.set(Alarm::HalfClose, self.terms.half_close);
            }
            (Phase::HalfOpen(Ending::Finished(first, code)), Ending::Lost(lost))
                if lost != *first =>
            {
                self.phase = Phase::HalfOpen(Ending::HalfClose(*first, *code));
            }
            (Phase::HalfOpen(_) | Phase::Leaving(_), _) => {}
        }
    }

    /// Whether `side` ended or broke first, without a Close.
    fn is_lost(&self, side: Side) -> bool {
        matches!(self.phase, Phase::HalfOpen(Ending::Lost(lost)) if lost == side)
    }

    /// Whether `side` sent a Close that was passed on.
    fn has_closed(&self, side: Side) -> bool {
        let relay = match side {
            Side::Client => &self.upward,
            Side::Backend => &self.downward,
        };
        relay.follower.close().is_some()
    }

    /// Ends the session, unless it has ended: writes its record and releases its lease.
    fn settle(&mut self, closure: Closure) {
        if let Some(mut account) = self.account.take() {
            self.tally.report(&mut account.record);
            account.record.close(closure);
        }
    }

    fn stream(&self, side: Side) -> &Stream {
        match side {
            Side::Client => &self.client,
            Side::Backend => &self.backend,
        }
    }

    fn stream_mut(&mut self, side: Side) -> &mut Stream {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }

    fn relay_from(&mut self, source: Side) -> &mut Relay {
        match source {
            Side::Client => &mut self.upward,
            Side::Backend => &mut self.downward,
        }
    }
}

impl<G: Unpin, L: Unpin> Future for Tunnel<G, L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let closure = ready!(self.poll_closure(context));
        self.settle(closure);
        Poll::Ready(())
    }
}
