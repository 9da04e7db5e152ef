//! A client connection as those who answer its requests see it.

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
    /// What is known of it.
    pub connection: Connection,
    /// Its address as backends are told, written once for all its requests; none on a unix socket.
    pub address: Option<HeaderValue>,
    /// Where it came in; none on a unix socket.
    pub local: Option<SocketAddr>,
    /// Whether the peer is a proxy that is trusted, so that what comes on this connection comes of many.
    pub is_trusted_proxy: bool,
    /// Why it is one too many, if it is: each request is refused.
    pub over_limit: Option<Rejection>,
    pub(super) settings: Arc<Settings>,
    pub(super) drain: Arc<Drain>,
    /// Where it counts as open. A session keeps this after the rest of it is gone.
    pub presence: Arc<Presence>,
}

/// That a connection is open, as its listener, its worker and the limit of its client count it. Whoever holds it
/// keeps its places.
pub struct Presence {
    pub(super) _slots: [Slot; 2],
    pub(super) _visit: Option<Visit>,
}

impl Client {
    /// Whether somebody at this address is believed when he speaks for others.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.settings.trusted_proxies.contain(Some(address))
    }

    /// Whether the listener, or the whole gateway, is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.stage() != Stage::Open
    }

    /// Waits for the turn of an opening handshake.
    ///
    /// # Errors
    /// [`Rejection::TooManyHandshakes`].
    pub async fn pass_opening(&self) -> Result<(), Rejection> {
        let passed = self.settings.throttle.pass_opening().await;
        passed.map_err(|_| Rejection::TooManyHandshakes)
    }

    /// What begins when the listener, or the whole gateway, stops.
    #[must_use]
    pub fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }
}
