//! From a socket to HTTP requests, which go to the [`Handler`] that is given. Knows WebSocket only as what takes over a
//! connection.

mod answer;
mod arrival;
mod body;
mod client;
mod connection;
mod deadline;
#[cfg(test)]
mod fixtures;
mod head_clock;
mod http1;
mod http2;
mod linger;
mod preface;
mod proxy_header;
mod pulse;
mod refusal;
mod request_line;
mod socket;
mod throttle;
mod tls;
mod tls_fault;
mod visitors;

use std::future::Future;
use std::sync::Arc;

use http::{Request, request};
use hyper::body::Incoming;

use crate::config::{Access, ListenerLimits, ListenerTimeouts, ProxyHeader, TrustedProxies};
use crate::drain::Drain;
use crate::occupancy::Slot;
use crate::session::Rejection;
use crate::telemetry::ListenerMetrics;
use crate::tls::ServerTls;
pub use answer::{Answer, Takeover};
pub use body::{Body, BodyError, text};
pub use client::{Client, Presence};
pub use connection::serve;
pub use socket::{Accepted, Bound, Listener};
pub use throttle::Throttle;
pub use visitors::Visitors;

/// What answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Answers `request`. The future is dropped if the client leaves before there is an answer.
    fn handle(
        &self,
        request: Request<Incoming>,
        client: Arc<Client>,
    ) -> impl Future<Output = Answer> + Send;

    /// Is told of a head that was refused before it became a request; the client has its answer already. `request` is what
    /// could be read of it.
    fn refuse(&self, rejection: Rejection, request: Option<&request::Parts>, client: &Client);
}

/// How a listener treats its connections, by the configuration in force when they were accepted.
#[derive(Debug)]
pub struct Settings {
    /// The peers that are believed about who the client is.
    pub trusted_proxies: TrustedProxies,
    /// Whether connections of these peers begin with a PROXY header.
    pub proxy_protocol: ProxyHeader,
    /// Who may connect.
    pub access: Access,
    /// The TLS settings; `None` on a plain listener.
    pub tls: Option<ServerTls>,
    /// Whether a plain connection may speak HTTP/2 by prior knowledge.
    pub h2c: bool,
    /// Deadlines before and between requests.
    pub timeouts: ListenerTimeouts,
    /// Bounds on heads and connections.
    pub limits: ListenerLimits,
    /// Bounds on handshakes.
    pub throttle: Arc<Throttle>,
}

/// What a connection is given by the listener that accepted it.
pub struct Entry {
    /// The settings at the time it was accepted.
    pub settings: Arc<Settings>,
    /// The metrics of the listener, with its name.
    pub metrics: Arc<ListenerMetrics>,
    /// The drain of the listener's connections and sessions.
    pub drain: Arc<Drain>,
    /// Its place among those that are only to be refused, if the listener was full already. Given up before `slots`, from which
    /// it is subtracted.
    pub surplus: Option<Slot>,
    /// Its places: among the listener's connections and on the worker.
    pub slots: [Slot; 2],
    /// The connections of the listener by client.
    pub visitors: Arc<Visitors>,
}
