//! Pings to both sides: whether a side is alive, and how long its Pong takes.

use std::time::Duration;

use tokio::time::Instant;

use super::relay::Relay;
use crate::stream::Stream;
use crate::websocket::{ControlFrame, Side};

/// How late a check may be without meaning anything: timers and busy workers are that imprecise.
const LATE: Duration = Duration::from_millis(250);
/// How much more time a side gets if the check was later than that.
const MOMENT: Duration = Duration::from_secs(1);

/// The Pings of one tunnel. While none is unanswered, this is one pointer.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    asked: Option<Box<Asked>>,
}

/// The Pings that were not answered yet.
#[derive(Debug, Default)]
struct Asked {
    client: Option<Ping>,
    backend: Option<Ping>,
}

/// A Ping that was sent.
#[derive(Clone, Copy, Debug)]
struct Ping {
    sent: Instant,
    /// When the time for its Pong began: as it was sent, or later if the process was suspended or the side was taking what
    /// is in front of the Ping.
    since: Instant,
    /// How many bytes the side had acknowledged in all at the last look; 0 if that is not known.
    acknowledged: u64,
    /// How many it will have acknowledged once it has taken what is in front of the Ping.
    in_front: u64,
}

impl Keepalive {
    /// Inserts a Ping into `stream`, towards `side`. Its Pong, which `from` reads, will not be forwarded. False if the
    /// caller has to try again later: the stream is inside a frame, or bytes wait for the side.
    ///
    /// True also if no Ping is needed: the last one is still unanswered, or frames are no longer followed in one of the
    /// directions, so that the Pong would not be recognised.
    pub(super) fn ask(
        &mut self,
        side: Side,
        stream: &Stream,
        towards: &mut Relay,
        from: &mut Relay,
    ) -> bool {
        if self.asked(side).is_some() || from.follower.is_blind() || towards.follower.is_blind() {
            return true;
        }
        let payload = from.follower.await_pong();
        let ping = ControlFrame::ping(side.other(), &payload);
        if !towards.writer.is_clear() || !towards.insert(&ping) {
            return false;
        }
        from.take_has_received();
        let now = Instant::now();
        let waiting = stream.unacknowledged() as u64;
        let known = (waiting > 0).then(|| stream.acknowledged()).flatten();
        let acknowledged = known.unwrap_or(0);
        let asked = self.asked.get_or_insert_default();
        *asked.of(side) = Some(Ping {
            sent: now,
            since: now,
            acknowledged,
            in_front: acknowledged + waiting,
        });
        true
    }

    /// Whether `side` has sent no byte within `timeout` of its Ping. A side that sent bytes but no Pong is alive, and may be
    /// asked again. So may one that is not read, because the other side is full: what it sent is not known. One that has taken
    /// some of what is in front of the Ping, as `acknowledged` shows, gets the time once more.
    ///
    /// If the check itself is late, the whole process was suspended (a debugger, a frozen container), and a Pong may wait
    /// unread: such a side gets a moment more.
    pub(super) fn is_overdue(
        &mut self,
        side: Side,
        from: &mut Relay,
        timeout: Duration,
        acknowledged: impl FnOnce() -> Option<u64>,
    ) -> bool {
        let asked = self.asked.as_deref_mut();
        let Some(ping) = asked.and_then(|asked| asked.of(side).as_mut()) else {
            return false;
        };
        let now = Instant::now();
        let Some(late) = now.checked_duration_since(ping.since + timeout) else {
            return false;
        };
        if late > LATE {
            ping.since += late + MOMENT;
            return false;
        }
        if from.take_has_received() || !from.writer.is_clear() {
            self.take(side);
            return false;
        }
        if ping.is_nearer(acknowledged().unwrap_or(0)) {
            ping.since = now;
            return false;
        }
        true
    }

    /// The time between the Ping to `side` and its Pong, if that has just come.
    pub(super) fn answered(&mut self, side: Side, from: &mut Relay) -> Option<Duration> {
        if !from.follower.take_has_pong() {
            return None;
        }
        self.take(side).map(|ping| ping.sent.elapsed())
    }

    /// When the time for the first of the awaited Pongs began.
    pub(super) fn first_since(&self) -> Option<Instant> {
        let asked = [self.asked(Side::Client), self.asked(Side::Backend)];
        asked.into_iter().flatten().map(|ping| ping.since).min()
    }

    fn asked(&self, side: Side) -> Option<Ping> {
        let asked = self.asked.as_deref()?;
        match side {
            Side::Client => asked.client,
            Side::Backend => asked.backend,
        }
    }

    /// Has the Ping to `side` stand behind `waiting` bytes.
    #[cfg(test)]
    pub(super) fn put_behind(&mut self, side: Side, waiting: u64) {
        let ping = self
            .asked
            .as_deref_mut()
            .and_then(|asked| asked.of(side).as_mut());
        ping.expect("there is one").in_front = waiting;
    }

    fn take(&mut self, side: Side) -> Option<Ping> {
        let ping = self.asked.as_deref_mut()?.of(side).take();
        if self.first_since().is_none() {
            self.asked = None;
        }
        ping
    }
}

impl Ping {
    /// Whether the side, which had not taken all that is in front of the Ping at the last look, has taken some since.
    fn is_nearer(&mut self, acknowledged: u64) -> bool {
        let before = std::mem::replace(&mut self.acknowledged, acknowledged);
        before < self.in_front && before < acknowledged
    }
}

impl Asked {
    fn of(&mut self, side: Side) -> &mut Option<Ping> {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }
}
