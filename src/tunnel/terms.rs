//! What holds for the tunnels of a route.

use std::time::Duration;

use crate::config::WebSocket;
use crate::websocket::CloseCode;

/// What holds for the tunnels of a route; shared by all of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// For the answer to a Close of the gateway's own.
    pub close: Duration,
    /// For the other side to end once one has.
    pub half_close: Duration,
    /// Keepalive, ages and limits.
    pub websocket: WebSocket,
    /// What sessions are told when something stops.
    pub drain: Words,
}

/// What a Close frame says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// The code.
    pub code: CloseCode,
    /// The reason; at most 123 bytes.
    pub reason: String,
}
