//! The settings of tunnels.

use std::time::Duration;

use crate::config::WebSocket;
use crate::websocket::CloseCode;

/// The settings of the tunnels of a route, shared by all of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// The time for the answer to a Close of the gateway (`timeouts.close`).
    pub close: Duration,
    /// The time for one side to follow when the other has closed (`timeouts.half_close`).
    pub half_close: Duration,
    /// Keepalive, maximum age and limits.
    pub websocket: WebSocket,
    /// What sides are told at a drain.
    pub drain: Words,
}

/// The content of a Close frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// The code.
    pub code: CloseCode,
    /// The reason; at most 123 bytes.
    pub reason: String,
}
