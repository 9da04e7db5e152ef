//! A client connection as handlers see it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;

use super::Settings;
use super::visitors::Visit;
use crate::drain::{Drain, Stage};
use crate::occupancy::Slot;
use crate::session::Rejection;
use crate::telemetry::Connection;

/// A client connection.
pub struct Client {
    /// Listener, address and TLS version.
    pub connection: Connection,
    /// Its address as a header value, made once for all requests; `None` on a unix socket.
    pub address: Option<HeaderValue>,
    /// The address that the client connected to; `None` on a unix socket.
    pub local: Option<SocketAddr>,
    /// Whether the peer is a trusted proxy, so that requests of many clients come on this connection.
    pub is_trusted_proxy: bool,
    /// The limit that the connection exceeds, if any; then each request is refused.
    pub over_limit: Option<Rejection>,
    pub(super) settings: Arc<Settings>,
    pub(super) drain: Arc<Drain>,
    /// Its places under the limits. A session keeps them when the rest is gone.
    pub presence: Arc<Presence>,
}

/// The places of a connection under the limits of its listener, its worker and its client; held for as long as it counts as
/// open.
pub struct Presence {
    /// Given up before the slots, from which it is subtracted.
    pub(super) _surplus: Option<Slot>,
    pub(super) _slots: [Slot; 2],
    pub(super) _visit: Option<Visit>,
}

impl Client {
    /// Whether this address is a trusted proxy.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.settings.trusted_proxies.contains(Some(address))
    }

    /// Whether the listener, or the whole gateway, is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.stage() != Stage::Open
    }

    /// Waits until an opening handshake may go on, by `limits.handshakes_per_second`.
    ///
    /// # Errors
    /// [`Rejection::TooManyHandshakes`].
    pub async fn pass_opening(&self) -> Result<(), Rejection> {
        let passed = self.settings.throttle.pass_opening().await;
        passed.map_err(|_| Rejection::TooManyHandshakes)
    }

    /// The drain of the listener, which also begins when the whole gateway stops.
    #[must_use]
    pub fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }
}
