//! Whether a connection may stay, decided before its first byte of TLS or HTTP.

use super::Entry;
use super::visitors::Visit;
use crate::session::{Peer, Rejection};
use crate::telemetry::ConnectionRejection;

/// How many connections a client may have beyond `limits.max_connections_per_client`, only to be told that they are too many.
/// Further ones are closed at once, so that waiting connections of one client cannot fill the listener.
const TOLERATED: usize = 8;

/// A connection that may stay, even if only to be refused with an answer.
pub(super) struct Arrived {
    pub(super) visit: Option<Visit>,
    /// The limit that it exceeds, if any.
    pub(super) over_limit: Option<Rejection>,
}

/// Admits a connection of `peer`.
///
/// # Errors
/// Why it is closed at once.
pub(super) fn admit(peer: Peer, entry: &Entry) -> Result<Arrived, ConnectionRejection> {
    let full = entry.surplus.as_ref().map(|_| Rejection::GatewayFull);
    let Some(address) = peer.ip() else {
        return Ok(Arrived {
            visit: None,
            over_limit: full,
        });
    };
    let settings = &entry.settings;
    if !settings.access.admits(address) {
        return Err(ConnectionRejection::Denied);
    }
    // The connections of a trusted proxy belong to many clients.
    let limit = settings.limits.max_connections_per_client;
    let limit = limit.filter(|_| !settings.trusted_proxies.contain(Some(address)));
    let visit = entry.visitors.enter(address, limit);
    let over = visit.surplus();
    if over > TOLERATED {
        return Err(ConnectionRejection::ClientFull);
    }
    if over > 0 {
        entry.metrics.rejected(ConnectionRejection::ClientFull);
    }
    Ok(Arrived {
        visit: Some(visit),
        over_limit: full.or((over > 0).then_some(Rejection::ClientFull)),
    })
}
