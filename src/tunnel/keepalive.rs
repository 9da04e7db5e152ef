//! Asking whether a side is there, and how long its answer takes.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

use super::ending::Side;
use super::relay::Relay;
use crate::websocket::{ControlFrame, Sender};

/// The Pings of one tunnel.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    /// When the Ping to the client went out that is not answered yet.
    client: Option<Instant>,
    backend: Option<Instant>,
}

impl Keepalive {
    /// Puts a Ping into the stream towards `side`, if that stands between two frames and nothing waits there.
    /// Its Pong, read by `from`, will not be forwarded.
    pub(super) fn ask(&mut self, side: Side, towards: &mut Relay, from: &mut Relay) -> bool {
        let payload = NonZeroU64::MIN.saturating_add(fastrand::u64(..));
        let sender = match side {
            Side::Client => Sender::Backend,
            Side::Backend => Sender::Client,
        };
        let ping = ControlFrame::ping(sender, &payload.get().to_be_bytes());
        if !towards.is_clear() || !towards.insert(&ping) {
            return false;
        }
        from.follower.await_pong(payload);
        from.take_has_heard();
        *self.sent(side) = Some(Instant::now());
        true
    }

    /// Whether `side` was asked and has sent no byte since.
    pub(super) fn is_overdue(&mut self, side: Side, from: &mut Relay) -> bool {
        self.sent(side).is_some() && !from.take_has_heard()
    }

    /// The time between the last Ping to `side` and its Pong, if that has just come.
    pub(super) fn answered(&mut self, side: Side, from: &mut Relay) -> Option<Duration> {
        if !from.follower.take_has_pong() {
            return None;
        }
        self.sent(side).take().map(|sent| sent.elapsed())
    }

    fn sent(&mut self, side: Side) -> &mut Option<Instant> {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }
}
