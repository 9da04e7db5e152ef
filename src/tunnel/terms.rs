//! What holds for the tunnels of a route.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::websocket::CloseCode;

/// What holds for the tunnels of a route; shared by all of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// For the answer to a Close of the gateway's own.
    pub close: Duration,
    /// For the other side to end once one has.
    pub half_close: Duration,
    /// No data frame either way for that long ends the session; `None` lets it be.
    pub idle: Option<Duration>,
    /// How the gateway asks whether a side is there; `None` where it does not.
    pub ping: Option<Ping>,
    /// Payload bytes of a message on the wire.
    pub max_message_size: Option<u64>,
    /// Messages that a client may begin in one second.
    pub max_messages_per_second: Option<NonZeroU32>,
    /// How long a session may last.
    pub max_age: Option<MaxAge>,
    /// How long a side that takes no byte is waited for.
    pub stall: Option<Duration>,
    /// What follows from a stream that breaks the protocol.
    pub on_protocol_error: OnProtocolError,
    /// What sessions are told when something stops.
    pub drain: Words,
}

/// How the gateway asks whether a side is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ping {
    /// Between two Pings.
    pub interval: Duration,
    /// A side that sent no byte for that long after a Ping is taken for lost.
    pub timeout: Duration,
    /// Whether the client is asked.
    pub client: bool,
    /// Whether the backend is asked.
    pub backend: bool,
}

/// How long a session may last.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MaxAge {
    /// The longest.
    pub age: Duration,
    /// The part of it, 0 to 1, over which the ends of sessions are spread, so that those who came together
    /// do not leave together.
    pub jitter: f64,
}

/// What follows from a stream that breaks the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnProtocolError {
    /// Its frames are followed no longer; the tunnel goes on.
    Pass,
    /// The session ends with Close 1002.
    Close,
}

/// What a Close frame says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// The code.
    pub code: CloseCode,
    /// The reason; at most 123 bytes.
    pub reason: String,
}
