//! Asking whether a side is there, and how long its answer takes.

use std::time::Duration;

use tokio::time::Instant;

use super::ending::Side;
use super::relay::Relay;
use crate::websocket::{ControlFrame, Sender};

/// How late a look at what is due may be without saying anything: timers and busy workers are that inexact.
const LATE: Duration = Duration::from_millis(250);
/// How much longer a side has where the look was later.
const MOMENT: Duration = Duration::from_secs(1);

/// The Pings of one tunnel. While none waits for its Pong this is one pointer.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    asked: Option<Box<Asked>>,
}

/// When the Ping went out that a side has not answered yet.
#[derive(Debug, Default)]
struct Asked {
    client: Option<Instant>,
    backend: Option<Instant>,
}

impl Keepalive {
    /// Puts a Ping into the stream towards `side`. Its Pong, read by `from`, will not be forwarded. False where it has to be
    /// tried again: that stream stands in a frame, or something waits there.
    ///
    /// True also where there is nothing to ask: a side that has not answered the last one is not asked again, nor is one
    /// with a direction that is not followed any more, where its Pong would not be known.
    pub(super) fn ask(&mut self, side: Side, towards: &mut Relay, from: &mut Relay) -> bool {
        if self.sent(side).is_some() || from.follower.is_blind() || towards.follower.is_blind() {
            return true;
        }
        let sender = match side {
            Side::Client => Sender::Backend,
            Side::Backend => Sender::Client,
        };
        let payload = from.follower.await_pong();
        let ping = ControlFrame::ping(sender, &payload);
        if !towards.is_clear() || !towards.insert(&ping) {
            return false;
        }
        from.take_has_heard();
        let now = Some(Instant::now());
        let asked = self.asked.get_or_insert_default();
        match side {
            Side::Client => asked.client = now,
            Side::Backend => asked.backend = now,
        }
        true
    }

    /// Whether `side` was asked so long ago and has sent no byte since. One that sent bytes but no Pong is
    /// there, and may be asked again; so may one that is not read now, because the other side takes nothing: what it
    /// sends is not known.
    ///
    /// Where this is asked late, the whole process was held up (a debugger, a frozen container), and what came meanwhile may
    /// lie unread: such a side has a moment more.
    pub(super) fn is_overdue(&mut self, side: Side, from: &mut Relay, timeout: Duration) -> bool {
        let Some(sent) = self.sent_mut(side) else {
            return false;
        };
        let now = Instant::now();
        let Some(late) = now.checked_duration_since(*sent + timeout) else {
            return false;
        };
        if late > LATE {
            *sent += late + MOMENT;
            return false;
        }
        if from.take_has_heard() || !from.is_clear() {
            self.take_sent(side);
            return false;
        }
        true
    }

    /// The time between the last Ping to `side` and its Pong, if that has just come.
    pub(super) fn answered(&mut self, side: Side, from: &mut Relay) -> Option<Duration> {
        if !from.follower.take_has_pong() {
            return None;
        }
        self.take_sent(side).map(|sent| sent.elapsed())
    }

    /// When the first of the Pings went out that are not answered yet.
    pub(super) fn first_sent(&self) -> Option<Instant> {
        let sent = [self.sent(Side::Client), self.sent(Side::Backend)];
        sent.into_iter().flatten().min()
    }

    fn sent(&self, side: Side) -> Option<Instant> {
        let asked = self.asked.as_deref()?;
        match side {
            Side::Client => asked.client,
            Side::Backend => asked.backend,
        }
    }

    fn sent_mut(&mut self, side: Side) -> Option<&mut Instant> {
        let asked = self.asked.as_deref_mut()?;
        match side {
            Side::Client => asked.client.as_mut(),
            Side::Backend => asked.backend.as_mut(),
        }
    }

    fn take_sent(&mut self, side: Side) -> Option<Instant> {
        let asked = self.asked.as_deref_mut()?;
        let sent = match side {
            Side::Client => asked.client.take(),
            Side::Backend => asked.backend.take(),
        };
        if self.first_sent().is_none() {
            self.asked = None;
        }
        sent
    }
}
