//! Whether a connection may stay, before its first byte of TLS or HTTP.

use super::Entry;
use super::visitors::Visit;
use crate::session::{Peer, Rejection};
use crate::telemetry::ConnectionRejection;

/// How many connections beyond `limits.max_connections_per_client` a client may have open to be told that
/// they are too many. Further ones are closed, so that no client takes all places of a listener by waiting.
const TOLERATED: usize = 8;

/// A connection that may stay, at least to be told that it is one too many.
pub(super) struct Arrived {
    pub(super) visit: Option<Visit>,
    /// Why it is one too many, if it is.
    pub(super) over_limit: Option<Rejection>,
}

/// Lets a connection of `peer` in.
///
/// # Errors
/// Why it is to be closed.
pub(super) fn admit(peer: Peer, entry: &Entry) -> Result<Arrived, ConnectionRejection> {
    let full = entry.is_listener_full.then_some(Rejection::GatewayFull);
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
    // Connections of a proxy are those of many.
    let limit = settings.limits.max_connections_per_client;
    let limit = limit.filter(|_| !settings.trusted_proxies.contain(Some(address)));
    let visit = entry.visitors.enter(address);
    let over = limit.map_or(0, |limit| visit.nth.saturating_sub(limit.get()));
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
