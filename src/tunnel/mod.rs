//! Two open streams until both have ended.
//!
//! A [`Tunnel`] is a future written by hand and spawned as a task of its own, because its size is what an
//! idle session costs. It owns everything that a session holds and gives it back when it is dropped.

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
/// Which of them is the backend.
const BACKEND: usize = 2;

/// A session after both sides agreed. Resolves when both streams have ended.
///
/// Its account is closed, which gives the claim on the backend back and writes the record, when both sides have said their last:
/// how long a peer leaves its socket open behind that is no part of the session. `G` is what is held for as long as the
/// sockets are open.
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
    /// So many parts of the idle time have passed without data.
    idle_parts: u8,
    /// So many times the other side was given as long again, as the client was still taking.
    half_close_extensions: u8,
    /// What the session counts for; none once both sides have said their last.
    account: Option<Account<L>>,
    /// How far each drain had come when this tunnel last looked; none before the first poll.
    heard: [Option<drain::Stage>; 3],
    /// Where in the window of a drain it ends, from 0 to 1; random.
    drain_share: f32,
    /// How many rounds of asking at the backend's drain it has seen.
    heard_asks: u32,
    _guards: G,
}

/// Where a session is counted.
pub struct Account<L> {
    /// Those taken before the 101.
    pub watches: Watches,
    /// Its record.
    pub record: SessionRecord,
    /// Its claim on the backend.
    pub lease: L,
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
        for stream in [&tunnel.client, &tunnel.backend] {
            stream.tolerate_stall(tunnel.terms.websocket.stall);
        }
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

    /// Moves bytes both ways, and decides on the end when there is nothing more to move.
    fn pass(&mut self, context: &mut Context<'_>) {
        loop {
            let ending = [
                self.upward.writer.is_ending(),
                self.downward.writer.is_ending(),
            ];
            self.pass_once(context);
            // An end that was passed on just now is put before the sink here, since nothing else wakes this
            // task for it.
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
        // A backend can answer a Close, and end, while this looks: the client's was first all the same.
        self.hear_closes();
        let downward = self.poll_relay(Side::Backend, context);
        // What a side said last counts before that it broke then.
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

    /// Draws the conclusion from what the direction from `source` came to.
    fn conclude(&mut self, verdict: Verdict, source: Side) {
        if matches!(self.phase, Phase::Leaving(_)) {
            return;
        }
        match verdict {
            Verdict::SourceEnded => self.pass_end_on(source),
            Verdict::SinkLost => self.lose(source.other()),
            // Its last words are said; that it breaks then is no loss.
            Verdict::SourceLost if self.has_closed(source) => self.pass_end_on(source),
            // The other one was lost first, and this one was told.
            Verdict::SourceLost if self.is_lost(source.other()) => {
                self.leave(Ending::Lost(source.other()));
            }
            Verdict::SourceLost => self.leave(Ending::Lost(source)),
            Verdict::Stopped(Finding::MessageTooBig) => self.leave(Ending::MessageTooBig(source)),
            Verdict::Stopped(Finding::TooManyMessages) => self.leave(Ending::TooManyMessages),
            Verdict::Stopped(Finding::ProtocolError(error)) => {
                self.leave(Ending::ProtocolError(source, error));
            }
            // Only a farewell asks for one.
            Verdict::Stopped(Finding::Boundary) => {}
        }
        if let Phase::HalfOpen(ending) = self.phase
            && self.upward.writer.has_ended()
            && self.downward.writer.has_ended()
        {
            self.leave(ending);
        }
    }

    /// `side` takes nothing any more.
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

    /// The source's end passes on. If it did not say Close, the gateway says it in its place, and a client is let answer that
    /// before the end: under TLS some take an end right behind a Close for a loss, and have no other word of it.
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
        // It is the backend that ends first (RFC 6455 section 7.1.1). Some take a client's end right behind its
        // Close for a loss, and do not answer the Close; so they are let answer before the end passes on.
        if matches!((source, ending), (Side::Client, Ending::Finished(..))) && !is_other_over {
            self.half_open(ending);
            return;
        }
        let close = close_frame(ending, other, &self.terms);
        let may_answer = other == Side::Client && !self.has_closed(other);
        let relay = self.relay_from(source);
        let close = close.filter(|_| relay.follower.held().is_empty());
        let is_asked = close.is_some_and(|close| relay.tell(&close)) && may_answer;
        if !is_asked {
            relay.writer.end_sink();
        }
        self.half_open(ending);
        if is_asked {
            let patience = self.terms.close.min(self.terms.half_close);
            self.alarms.set(Alarm::HalfClose, patience);
        }
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
                Phase::HalfOpen(Ending::HalfClose(side, code)) => {
                    self.leave(Ending::Finished(side, code));
                }
                Phase::HalfOpen(first) => self.leave(first),
                Phase::Leaving(_) => {}
            },
        }
    }

    /// `side` said Close, the other has not. That answers the gateway where the other is lost.
    fn hear_close(&mut self, side: Side, code: Option<u16>) {
        match self.phase {
            Phase::Open => {
                self.downward.is_close_last = side == Side::Client;
                self.half_open(Ending::Finished(side, code));
            }
            Phase::HalfOpen(Ending::Lost(lost)) if lost != side => self.leave(Ending::Lost(lost)),
            // It said Close before it broke; no answer would reach it.
            Phase::HalfOpen(Ending::Lost(_)) => self.leave(Ending::Finished(side, code)),
            Phase::HalfOpen(_) | Phase::Leaving(_) => {}
        }
    }

    fn half_open(&mut self, ending: Ending) {
        match (&self.phase, ending) {
            (Phase::Open, _) => {
                self.phase = Phase::HalfOpen(ending);
                let _before = self.downward.writer.take_is_progressing();
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

    /// Whether a Close of `side` was passed on.
    fn has_closed(&self, side: Side) -> bool {
        let relay = match side {
            Side::Client => &self.upward,
            Side::Backend => &self.downward,
        };
        relay.follower.close().is_some()
    }

    /// The session is over, once.
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
