//! A request with what the gateway knows about it.

use std::net::SocketAddr;

use http::header::HOST;
use http::{HeaderValue, request};

use super::provenance;
use super::request_id::RequestId;
use crate::config::Origin;
use crate::drain::Drain;
use crate::listener::Client;
use crate::proxy_protocol::Ends;
use crate::route::is_valid_authority;
use crate::session::Peer;
use crate::upstream::Hints;
use crate::websocket::looks_like_websocket;

/// A request, the connection it came on, and what follows from both.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'a> {
    pub(super) request: &'a request::Parts,
    pub(super) client: &'a Client,
    /// Who sent it; behind a trusted proxy, whom that proxy names.
    pub(super) peer: Peer,
    pub(super) id: &'a RequestId,
    /// The host that is asked for, unchecked: the authority of the target, or else Host (RFC 9112 section 3.2.2).
    pub(super) raw_host: &'a [u8],
    /// Whether it does not ask for WebSocket.
    pub(super) is_plain: bool,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(request: &'a request::Parts, client: &'a Client, id: &'a RequestId) -> Self {
        let raw_host = match request.uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => request
                .headers
                .get(HOST)
                .map_or(&[][..], HeaderValue::as_bytes),
        };
        Self {
            request,
            client,
            peer: provenance::client_of(client, &request.headers),
            id,
            raw_host,
            is_plain: !looks_like_websocket(&request.headers),
        }
    }

    /// The host with its port; empty if there is none, or it is not UTF-8.
    pub(super) fn host(self) -> &'a str {
        str::from_utf8(self.raw_host).unwrap_or_default()
    }

    /// The host with its port, if it is valid; it may be empty (RFC 9112 section 3.2).
    pub(super) fn valid_host(self) -> Option<&'a str> {
        let host = str::from_utf8(self.raw_host).ok()?;
        is_valid_authority(host).then_some(host)
    }

    /// The host with its port, as the value of a header field; `None` if it is empty.
    pub(super) fn host_value(self) -> Option<HeaderValue> {
        let host = match self.request.uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => self.request.headers.get(HOST).cloned(),
        };
        host.filter(|host| !host.is_empty())
    }

    /// The addresses for a PROXY header; `None` on a unix socket. The port of a client behind a trusted proxy is unknown and becomes 0.
    pub(super) fn ends(self) -> Option<Ends> {
        let source = match self.peer {
            Peer::Tcp(address) => address,
            Peer::Behind(address) => SocketAddr::new(address, 0),
            Peer::Unix => return None,
        };
        Some(Ends::new(source, self.client.local?))
    }

    /// The origin of pages served at the requested host. X-Forwarded-Host does not count, even that of a trusted proxy.
    pub(super) fn own_origin(self) -> Option<Origin> {
        let scheme = match provenance::is_secure(self) {
            true => "https",
            false => "http",
        };
        Origin::parse(&format!("{scheme}://{}", self.host())).ok()
    }

    /// What the choice of a backend depends on. A request that waits for a free backend is refused when one of `drains` begins.
    pub(super) fn hints(self, drains: Option<[&'a Drain; 2]>) -> Hints<'a> {
        Hints {
            client: self.peer.ip(),
            is_secure: provenance::is_secure(self),
            headers: &self.request.headers,
            uri: &self.request.uri,
            request_id: self.id.as_str(),
            drains,
        }
    }
}
