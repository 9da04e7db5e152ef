//! Whether a connection may stay, decided before its first byte of TLS or HTTP.

use std::net::IpAddr;

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

/// Admits a connection of `peer`. If it stays only to be refused, it is counted here.
///
/// # Errors
/// Why it is closed at once.
pub(super) fn admit(peer: Peer, entry: &Entry) -> Result<Arrived, ConnectionRejection> {
    let visit = match peer.ip() {
        Some(address) => Some(visit(address, entry)?),
        None => None,
    };
    let is_client_full = visit.as_ref().is_some_and(|visit| visit.surplus() > 0);
    let over_limit = if entry.surplus.is_some() {
        Some((Rejection::GatewayFull, ConnectionRejection::Full))
    } else if is_client_full {
        Some((Rejection::ClientFull, ConnectionRejection::ClientFull))
    } else {
        None
    };
    if let Some((_, reason)) = over_limit {
        entry.metrics.rejected(reason);
    }
    Ok(Arrived {
        visit,
        over_limit: over_limit.map(|(rejection, _)| rejection),
    })
}

fn visit(address: IpAddr, entry: &Entry) -> Result<Visit, ConnectionRejection> {
    let settings = &entry.settings;
    if !settings.access.admits(address) {
        return Err(ConnectionRejection::Denied);
    }
    // The connections of a trusted proxy belong to many clients.
    let limit = settings.limits.max_connections_per_client;
    let limit = limit.filter(|_| !settings.trusted_proxies.contains(Some(address)));
    let visit = entry.visitors.enter(address, limit);
    if visit.surplus() > TOLERATED {
        return Err(ConnectionRejection::ClientFull);
    }
    Ok(visit)
}
