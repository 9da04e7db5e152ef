//! The PROXY header: reading from a trusted peer who the client is, before anything else is read.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::Settings;
use super::deadline::timeout_at;
use super::socket::Adopted;
use crate::config::ProxyHeader;
use crate::proxy_protocol::{Decoded, LONGEST, decode};
use crate::session::Peer;
use crate::stream::Socket;
use crate::telemetry::{ConnectionRejection, ListenerMetrics};

/// Why a connection is closed; `None` if the peer has left.
type Refused = Option<ConnectionRejection>;

/// Reads the header until `deadline`, if the listener expects one. `None` if the connection is to be closed; what is the peer's
/// fault is counted and logged.
pub(super) async fn read(
    connection: Adopted,
    settings: &Settings,
    deadline: Instant,
    metrics: &ListenerMetrics,
) -> Option<Adopted> {
    let peer = connection.peer;
    let result = read_if_expected(connection, settings, deadline).await;
    if let Err(Some(reason)) = result {
        metrics.rejected(reason);
        let (listener, reason) = (metrics.name(), reason.label());
        match settings.throttle.may_tell() {
            true => tracing::info!(%listener, %peer, reason, "closed before a request"),
            false => tracing::debug!(%listener, %peer, reason, "closed before a request"),
        }
    }
    result.ok()
}

async fn read_if_expected(
    connection: Adopted,
    settings: &Settings,
    deadline: Instant,
) -> Result<Adopted, Refused> {
    let mode = settings.proxy_protocol;
    match (mode, is_trusted(connection.peer, settings)) {
        (ProxyHeader::None, _) | (ProxyHeader::Accept, false) => Ok(connection),
        (ProxyHeader::Require, false) => Err(Some(ConnectionRejection::ProxyUntrusted)),
        (ProxyHeader::Accept | ProxyHeader::Require, true) => {
            let read = timeout_at(deadline, read_header(connection, mode)).await;
            read.unwrap_or(Err(Some(ConnectionRejection::HeadTooSlow)))
        }
    }
}

/// A peer on a unix socket is trusted: the permissions of the socket's file decide who may connect.
fn is_trusted(peer: Peer, settings: &Settings) -> bool {
    let address = peer.ip();
    address.is_none() || settings.trusted_proxies.contains(address)
}

async fn read_header(mut connection: Adopted, mode: ProxyHeader) -> Result<Adopted, Refused> {
    let mut buffer = vec![0; LONGEST];
    let received = receive(&mut connection.socket, &mut buffer).await;
    let (received, decoded) = received.map_err(|_| None)?;
    let header_length = match decoded {
        Decoded::Header { ends, length } => {
            // A header without addresses is about the peer's own connection, such as a health check.
            if let Some(ends) = ends {
                connection.peer = Peer::Tcp(ends.source);
                connection.local = Some(ends.destination);
            }
            length
        }
        Decoded::Absent if mode == ProxyHeader::Accept => 0,
        Decoded::Absent => return Err(Some(ConnectionRejection::ProxyMissing)),
        Decoded::Incomplete | Decoded::Malformed => {
            return Err(Some(ConnectionRejection::ProxyMalformed));
        }
    };
    connection.socket = connection.socket.replay(&received[header_length..]);
    Ok(connection)
}

/// Reads until it is clear what the connection begins with.
async fn receive<'b>(socket: &mut Socket, buffer: &'b mut [u8]) -> io::Result<(&'b [u8], Decoded)> {
    let mut length = 0;
    loop {
        match socket.read(&mut buffer[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
        match decode(&buffer[..length]) {
            Decoded::Incomplete => {}
            decoded => return Ok((&buffer[..length], decoded)),
        }
    }
}
