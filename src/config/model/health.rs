//! Which backends of a pool get sessions.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

/// Which backends of a pool get sessions, and what becomes of open ones.
#[derive(Clone, PartialEq, Debug)]
pub struct Health {
    /// Active checks; `None` for none.
    pub active: Option<ActiveHealth>,
    /// Ejection after failed attempts; `None` for never.
    pub passive: Option<PassiveHealth>,
    /// What becomes of the open sessions of a backend that checks call down.
    pub on_unhealthy: OnUnhealthy,
}

/// Active checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActiveHealth {
    /// What a check does.
    pub check: Check,
    /// From the beginning of a check to that of the next; more than 0.
    pub interval: Duration,
    /// For a whole check; more than 0.
    pub timeout: Duration,
    /// Checks in a row that must pass for a backend that is down; at least 1.
    pub healthy_threshold: u32,
    /// Checks in a row that must fail for one that is up; at least 1.
    pub unhealthy_threshold: u32,
}

/// What a check does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Check {
    /// Connects, with TLS where the backend speaks it.
    Tcp,
    /// Sends a GET and looks at the status.
    Http(CheckRequest, Vec<RangeInclusive<u16>>),
    /// Opens a session, sends a Ping, waits for its Pong, and says Close.
    WebSocket(CheckRequest),
}

/// What a check asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckRequest {
    /// Path and query.
    pub path: String,
    /// The field Host; the backend's address where there is none.
    pub host: Option<String>,
    /// Further fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Ejection after attempts that fail in a row.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PassiveHealth {
    /// Failed attempts that eject a backend; at least 1.
    pub failures: usize,
    /// The longest time between the first and the last of them; more than 0.
    pub window: Duration,
    /// How long it gets no sessions, doubled with each relapse; more than 0.
    pub eject: Duration,
    /// The share of the pool's backends that may be ejected at once, 0 to 1.
    pub max_ejected: f64,
}

/// What becomes of the open sessions of a backend that checks call down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnUnhealthy {
    /// Nothing.
    Keep,
    /// They end as at any drain.
    Drain,
    /// They end at once.
    Close,
}
