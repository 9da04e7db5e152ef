//! Pings to both sides: whether a side is alive, and how long its Pong takes.

use std::time::Duration;

use tokio::time::Instant;

use super::owed::Owed;
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
    /// What the side had yet to take then.
    owed: Owed,
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
        let asked = self.asked.get_or_insert_default();
        *asked.of(side) = Some(Ping {
            sent: now,
            since: now,
            owed: Owed::of(stream.unacknowledged()),
        });
        true
    }

    /// Whether `side` has sent no byte within `timeout` of its Ping. A side that sent bytes but no Pong is alive, and may be
    /// asked again. So may one that is not read, because the other side is full: what it sent is not known. One that has taken
    /// some of what the kernel holds in front of the Ping, and has yet to take `owed`, gets the time once more.
    ///
    /// If the check itself is late, the whole process was suspended (a debugger, a frozen container), and a Pong may wait
    /// unread: such a side gets a moment more.
    pub(super) fn is_overdue(
        &mut self,
        side: Side,
        from: &mut Relay,
        timeout: Duration,
        owed: impl FnOnce() -> usize,
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
        if ping.owed.shrinks_to(owed()) {
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

    /// What `side` had yet to take when it was asked.
    #[cfg(test)]
    pub(super) fn owed_by(&mut self, side: Side) -> Option<&mut Owed> {
        let ping = self.asked.as_deref_mut()?.of(side).as_mut()?;
        Some(&mut ping.owed)
    }

    fn take(&mut self, side: Side) -> Option<Ping> {
        let ping = self.asked.as_deref_mut()?.of(side).take();
        if self.first_since().is_none() {
            self.asked = None;
        }
        ping
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
