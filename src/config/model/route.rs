//! What requests a route takes and what becomes of them.

use std::time::Duration;

use super::{FieldRules, HeaderRules, Http, Name, Redirect, WebSocket};
use crate::config::host::HostPattern;
use crate::config::origin::Origins;

/// What requests a route takes and what becomes of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// Which requests it takes.
    pub matcher: RouteMatch,
    /// What answers.
    pub target: Target,
    /// What its answers say to clients in fields, be they the gateway's or a backend's.
    pub answer: FieldRules,
}

/// Which requests a route takes; all that is given must fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteMatch {
    /// Host patterns; empty takes any host.
    pub hosts: Vec<HostPattern>,
    /// The path, beginning with a slash.
    pub path: String,
    /// Whether the path must be equal; otherwise it is a prefix on segment borders.
    pub exact: bool,
    /// The listeners it answers on; empty stands for all.
    pub listeners: Vec<Name>,
}

impl RouteMatch {
    /// Whether it answers on a listener.
    pub(in crate::config) fn is_on(&self, listener: &Name) -> bool {
        self.listeners.is_empty() || self.listeners.contains(listener)
    }
}

/// What answers a route's requests.
#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    /// WebSocket sessions and plain HTTP requests to a pool.
    Pool(Box<PoolTarget>),
    /// A fixed answer.
    Respond(FixedAnswer),
    /// The name of another place.
    Redirect(Redirect),
}

impl Target {
    /// The pool, where there is one behind it.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolTarget> {
        match self {
            Self::Pool(target) => Some(target.as_ref()),
            Self::Respond(_) | Self::Redirect(_) => None,
        }
    }
}

/// WebSocket sessions and plain HTTP requests to a pool; one of them at least.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolTarget {
    /// The pool; it exists.
    pub pool: Name,
    /// Whether WebSocket sessions are accepted.
    pub takes_websocket: bool,
    /// What holds for plain HTTP requests; `None` where they are not accepted.
    pub http: Option<Http>,
    /// What is said to backends in fields.
    pub headers: HeaderRules,
    /// Whether the route's path is removed before the request goes to a backend.
    pub strip_prefix: bool,
    /// What is put before the path after that; without a slash at its end.
    pub add_prefix: Option<String>,
    /// Which origins may open sessions; none where no sessions are accepted.
    pub origins: Origins,
    /// Deadlines of a session.
    pub timeouts: SessionTimeouts,
    /// What holds for sessions once they are open.
    pub websocket: WebSocket,
}

/// A fixed answer.
#[derive(Clone, PartialEq, Debug)]
pub struct FixedAnswer {
    /// The status, 200 to 599.
    pub status: http::StatusCode,
    /// The body, as plain text.
    pub body: String,
}

/// Deadlines of a session.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SessionTimeouts {
    /// To connect to one backend.
    pub connect: Duration,
    /// To the backend's 101, all attempts together.
    pub handshake: Duration,
    /// For the peer's Close before its connection is cut.
    pub close: Duration,
    /// After one side ended its sending half.
    pub half_close: Duration,
}
