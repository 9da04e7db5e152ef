//! What a tunnel does by the clock: Pings, idle and stall checks, reports of its counts. And how it hears of
//! drains.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::alarm::Alarm;
use super::ending::Ending;
use super::farewell::Step;
use super::{Account, BACKEND, Phase, Tunnel, Watches};
use crate::drain::Stage;
use crate::session::Closure;
use crate::websocket::Side;

/// A session that is this old has the socket options of one that lasts. They would take some 4 % of the time of one that only opens
/// and closes.
const LASTING: Duration = Duration::from_secs(1);
/// How often a busy session adds its counts to the shared counters.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// The delay of the first report after a silence, so that counts of quiet sessions are not late.
const FIRST_REPORT: Duration = Duration::from_millis(100);
/// How often a side that is not read from is checked for a reset.
const BROKEN_INTERVAL: Duration = Duration::from_millis(500);
/// When a Ping that could not be inserted between two frames is tried again.
const PING_RETRY: Duration = Duration::from_secs(1);
/// The idle time is checked in this many parts. A session is idle after all of them passed without data, so it may last
/// one part longer than configured.
const IDLE_PARTS: u8 = 4;

/// How often `half_close` is extended for a client that is slow to take what comes before the answer to its Close: a
/// minute in all with the default. The limit is for backends that never answer and go on sending.
const MAX_HALF_CLOSE_EXTENSIONS: u8 = 5;

impl<G, L> Tunnel<G, L> {
    pub(super) fn set_alarms(&mut self) {
        self.alarms.set(Alarm::Tune, LASTING);
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

    pub(super) fn hear_pongs(&mut self) {
        let client = self.keepalive.answered(Side::Client, &mut self.upward);
        let backend = self.keepalive.answered(Side::Backend, &mut self.downward);
        let Some(account) = &self.account else { return };
        for duration in [client, backend].into_iter().flatten() {
            account.record.ping_answered(duration);
        }
    }

    /// Acts on an alarm. `Some` if that ends the tunnel at once.
    pub(super) fn answer(&mut self, alarm: Alarm) -> Option<Closure> {
        match (alarm, &self.phase) {
            (Alarm::Cut, _) => return Some(self.cut()),
            (Alarm::Close, _) => return self.close(),
            (Alarm::Yield, _) => self.give_up_waiting(Step::Yielding),
            (Alarm::LastAnswer, _) => self.give_up_waiting(Step::Hearing),
            (Alarm::Report, _) => self.report(),
            (Alarm::Tune, _) => self.tune(),
            (Alarm::Drain, _) => self.leave(Ending::Drain),
            (Alarm::MaxAge, _) => self.leave(Ending::MaxAge),
            (Alarm::HalfClose, Phase::HalfOpen(ending)) => self.check_half_close(*ending),
            (Alarm::Ping, Phase::Open) => self.ping(),
            (Alarm::Pong, Phase::Open) => self.check_pongs(),
            (Alarm::Idle, Phase::Open) => self.check_idle(),
            (Alarm::Stall, Phase::Open | Phase::HalfOpen(_)) => self.check_stall(),
            (Alarm::Broken, Phase::Open | Phase::HalfOpen(_)) => self.check_broken(),
            (
                Alarm::HalfClose
                | Alarm::Ping
                | Alarm::Pong
                | Alarm::Idle
                | Alarm::Stall
                | Alarm::Broken,
                _,
            ) => {}
        }
        None
    }

    /// Sets what the system is to do about peers that vanish. The client's connection has its options from the
    /// listening socket.
    fn tune(&self) {
        self.backend.tune_lasting();
        for stream in [&self.client, &self.backend] {
            stream.tolerate_stall(self.terms.websocket.stall);
        }
    }

    fn ping(&mut self) {
        let Some(ping) = self.terms.websocket.ping else {
            return;
        };
        let Self {
            client,
            backend,
            keepalive,
            upward,
            downward,
            ..
        } = self;
        let client = ping.client && keepalive.ask(Side::Client, client, downward, upward);
        let backend = ping.backend && keepalive.ask(Side::Backend, backend, upward, downward);
        if client || backend {
            self.alarms.set(Alarm::Pong, ping.timeout);
            self.alarms.set(Alarm::Ping, ping.interval);
        } else {
            // In the middle of a frame: both sides are alive, as they are sending or taking it.
            self.alarms.set(Alarm::Ping, ping.interval.min(PING_RETRY));
        }
    }

    /// Reports the counts, and again after each interval in which there were any. Ends a session whose TLS keys cannot be
    /// used much longer.
    fn report(&mut self) {
        let Some(account) = &mut self.account else {
            return;
        };
        let is_busy = !self.tally.is_empty();
        account.watches[BACKEND].report_busy(is_busy);
        if is_busy {
            self.tally.report(&mut account.record);
            self.alarms.set(Alarm::Report, REPORT_INTERVAL);
            if self.client.is_key_used_up() || self.backend.is_key_used_up() {
                self.leave(Ending::MaxAge);
            }
        }
    }

    fn check_pongs(&mut self) {
        let Some(ping) = self.terms.websocket.ping else {
            return;
        };
        for side in [Side::Client, Side::Backend] {
            let Self {
                client,
                backend,
                keepalive,
                upward,
                downward,
                ..
            } = self;
            let (stream, from) = match side {
                Side::Client => (client, upward),
                Side::Backend => (backend, downward),
            };
            let acknowledged = || stream.acknowledged();
            if keepalive.is_overdue(side, from, ping.timeout, acknowledged) {
                return self.leave(Ending::PongOverdue(side));
            }
        }
        if let Some(since) = self.keepalive.first_since() {
            self.alarms.set_at(Alarm::Pong, since + ping.timeout);
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

    /// The half-close time is over. It is extended while the client takes bytes, as the awaited Close may come behind them.
    /// It is not extended for a slow backend, as the client could keep that up for as long as it likes.
    fn check_half_close(&mut self, ending: Ending) {
        let may_extend = self.half_close_extensions < MAX_HALF_CLOSE_EXTENSIONS;
        if may_extend && self.downward.writer.take_has_peer_taken(&self.client) {
            self.half_close_extensions += 1;
            self.alarms.set(Alarm::HalfClose, self.terms.half_close);
        } else if let Ending::Finished(side, code) = ending {
            self.leave(Ending::HalfClose(side, code));
        } else {
            self.leave(ending);
        }
    }

    fn check_stall(&mut self) {
        for side in [Side::Client, Side::Backend] {
            let towards = self.relay_from(side.other());
            if !towards.writer.take_has_progress() && !towards.writer.is_clear() {
                return self.leave(Ending::Stalled(side));
            }
        }
    }

    /// Checks sides that are not read from, because the other side is full: a read would find that they are broken. Nothing
    /// more is sent to such a side, but what it had sent is still passed on.
    fn check_broken(&mut self) {
        for side in [Side::Client, Side::Backend] {
            let is_waiting = !self.relay_from(side).writer.is_clear();
            let has_ended = self.relay_from(side.other()).writer.has_ended();
            if is_waiting && !has_ended && self.stream(side).is_broken() {
                self.relay_from(side.other()).lose_sink();
            }
        }
    }

    /// Sets the alarms that are needed only while bytes move or wait.
    pub(super) fn watch_traffic(&mut self) {
        if !self.tally.is_empty() && !self.alarms.is_set(Alarm::Report) {
            self.alarms.set(Alarm::Report, FIRST_REPORT);
        }
        if self.upward.writer.is_clear() && self.downward.writer.is_clear() {
            return;
        }
        if !self.alarms.is_set(Alarm::Broken) {
            self.alarms.set(Alarm::Broken, BROKEN_INTERVAL);
        }
        if let Some(stall) = self.terms.websocket.stall
            && !self.alarms.is_set(Alarm::Stall)
        {
            self.upward.writer.take_has_progress();
            self.downward.writer.take_has_progress();
            self.alarms.set(Alarm::Stall, stall);
        }
    }

    /// Checks whether this session was asked to move to another backend. Costs one atomic load if nobody was.
    pub(super) fn hear_asks(&mut self) {
        let Some(account) = &self.account else { return };
        let asks = account.watches[BACKEND].asks();
        if asks == self.heard_asks {
            return;
        }
        self.heard_asks = asks;
        if account.watches[BACKEND].is_asked() {
            self.leave(Ending::Rebalance);
        }
    }

    /// Checks whether a drain has reached another stage. Costs three atomic loads if none has.
    pub(super) fn hear_drains(&mut self, context: &mut Context<'_>) {
        for place in 0..self.heard.len() {
            let Some(account) = &self.account else { return };
            if self.heard[place] != Some(account.watches[place].stage()) {
                self.hear_drain(place, context);
            }
        }
    }

    #[cold]
    fn hear_drain(&mut self, place: usize, context: &mut Context<'_>) {
        let Some(Account { watches, .. }) = &self.account else {
            return;
        };
        let mut asked = self.heard.iter().flatten();
        let is_first = asked.all(|heard| *heard == Stage::Open);
        let watch = &watches[place];
        let mut stage = Stage::Open;
        while let Poll::Ready(further) = watch.poll_beyond(stage, context) {
            stage = further;
        }
        self.heard[place] = Some(stage);
        match (stage, watch.plan()) {
            (Stage::Open, _) => return,
            (Stage::Draining | Stage::Hastened, Some(plan)) => self
                .alarms
                .set_at(Alarm::Drain, plan.moment(self.drain_share)),
            (Stage::Draining | Stage::Hastened, None) | (Stage::Cut, _) => {
                self.alarms.set_at(Alarm::Cut, Instant::now());
            }
        }
        if is_first {
            count_at(place, watches);
        }
    }
}

/// Has only the drain at `place`, the first to begin, count this session among those that are to end.
fn count_at(place: usize, watches: &Watches) {
    for (other, watch) in watches.iter().enumerate() {
        if other != place {
            watch.count_elsewhere();
        }
    }
}
