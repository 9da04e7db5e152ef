//! Asking whether a side is there, and how long its answer takes.

use std::time::Duration;

use tokio::time::Instant;

use super::relay::Relay;
use crate::websocket::{ControlFrame, Side};

/// How late a look at what is due may be without saying anything: timers and busy workers are that inexact.
const LATE: Duration = Duration::from_millis(250);
/// How much longer a side has where the look was later.
const MOMENT: Duration = Duration::from_secs(1);

/// The Pings of one tunnel. While none waits for its Pong this is one pointer.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    asked: Option<Box<Asked>>,
}

/// The Pings that the sides have not answered yet.
#[derive(Debug, Default)]
struct Asked {
    client: Option<Ping>,
    backend: Option<Ping>,
}

/// A Ping that has gone out.
#[derive(Clone, Copy, Debug)]
struct Ping {
    sent: Instant,
    /// From when the time of its answer counts; later where the process was held up.
    since: Instant,
}

impl Keepalive {
    /// Puts a Ping into the stream towards `side`. Its Pong, read by `from`, will not be forwarded. False where it has to be
    /// tried again: that stream stands in a frame, or something waits there.
    ///
    /// True also where there is nothing to ask: a side that has not answered the last one is not asked again, nor is one
    /// with a direction that is not followed any more, where its Pong would not be known.
    pub(super) fn ask(&mut self, side: Side, towards: &mut Relay, from: &mut Relay) -> bool {
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
        });
        true
    }

    /// Whether `side` was asked so long ago and has sent no byte since. One that sent bytes but no Pong is
    /// there, and may be asked again; so may one that is not read now, because the other side takes nothing: what it
    /// sends is not known.
    ///
    /// Where this is asked late, the whole process was held up (a debugger, a frozen container), and what came meanwhile may
    /// lie unread: such a side has a moment more.
    pub(super) fn is_overdue(&mut self, side: Side, from: &mut Relay, timeout: Duration) -> bool {
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
        true
    }

    /// The time between the last Ping to `side` and its Pong, if that has just come.
    pub(super) fn answered(&mut self, side: Side, from: &mut Relay) -> Option<Duration> {
        if !from.follower.take_has_pong() {
            return None;
        }
        self.take(side).map(|ping| ping.sent.elapsed())
    }

    /// From when the time of the first of the answers counts that are awaited.
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
