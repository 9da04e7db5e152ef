//! What holds for sessions once they are open.

use std::num::NonZeroU32;
use std::time::Duration;

/// What holds for a session once it is open; `None` where there is no such limit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WebSocket {
    /// The session ends after this long without a data frame either way.
    pub idle: Option<Duration>,
    /// Pings of the gateway's own; `None` where no end gets them.
    pub ping: Option<Ping>,
    /// Bytes of a message as they pass, over all of its frames.
    pub max_message_size: Option<u64>,
    /// Messages from the client in a second.
    pub max_messages_per_second: Option<NonZeroU32>,
    /// The session ends at this age.
    pub max_age: Option<Duration>,
    /// The share of `max_age` by which ends are spread, 0 to 1.
    pub max_age_jitter: f64,
    /// The session ends when one end has taken no byte for this long while bytes wait for it.
    pub stall: Option<Duration>,
    /// What becomes of a session with frames against RFC 6455.
    pub on_protocol_error: OnProtocolError,
    /// The code of the Close that a client gets whose backend is lost; `None` where it gets none.
    pub backend_lost_code: Option<u16>,
}

/// Pings of the gateway's own; at least one end gets them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ping {
    /// Between two Pings; more than 0.
    pub interval: Duration,
    /// The session ends after this long without any byte since a Ping; more than 0.
    pub timeout: Duration,
    /// Whether the client gets them.
    pub client: bool,
    /// Whether the backend gets them.
    pub backend: bool,
}

/// What becomes of a session with frames against RFC 6455.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnProtocolError {
    /// Frames are no longer followed, bytes pass on.
    Pass,
    /// It ends.
    Close,
}
