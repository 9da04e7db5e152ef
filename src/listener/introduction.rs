//! The PROXY header: hearing from a peer that is trusted who the client is, before anything else is read.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};

use super::Settings;
use crate::config::ProxyHeader;
use crate::proxy_protocol::{Decoded, LONGEST, decode};
use crate::session::Peer;
use crate::stream::Socket;
use crate::telemetry::{ConnectionRejection, ListenerMetrics};

/// A connection, and between which ends it is as far as is known.
pub(super) struct Caller {
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    /// Where it came in; none on a unix socket.
    pub(super) local: Option<SocketAddr>,
}

/// Why a connection is closed; none where its peer has left.
type Refused = Option<ConnectionRejection>;

/// Reads the header that the listener asks for, until `deadline`. None where the connection is to be closed; if that is
/// its peer's fault, it is counted and logged.
pub(super) async fn hear(
    connection: Caller,
    settings: &Settings,
    deadline: Instant,
    metrics: &ListenerMetrics,
) -> Option<Caller> {
    let peer = connection.peer;
    let heard = introduce(connection, settings, deadline).await;
    if let Err(Some(reason)) = heard {
        metrics.rejected(reason);
        let (listener, reason) = (metrics.name(), reason.label());
        tracing::info!(%listener, %peer, reason, "closed before a request");
    }
    heard.ok()
}

async fn introduce(
    connection: Caller,
    settings: &Settings,
    deadline: Instant,
) -> Result<Caller, Refused> {
    let mode = settings.proxy_protocol;
    match (mode, is_trusted(connection.peer, settings)) {
        (ProxyHeader::None, _) | (ProxyHeader::Accept, false) => Ok(connection),
        (ProxyHeader::Require, false) => Err(Some(ConnectionRejection::ProxyUntrusted)),
        (ProxyHeader::Accept | ProxyHeader::Require, true) => {
            let read = timeout_at(deadline, read(connection, mode)).await;
            read.unwrap_or(Err(Some(ConnectionRejection::HeadTooSlow)))
        }
    }
}

/// Who may connect to a unix socket is decided by its file.
fn is_trusted(peer: Peer, settings: &Settings) -> bool {
    let address = peer.ip();
    address.is_none() || settings.trusted_proxies.contain(address)
}

async fn read(mut connection: Caller, mode: ProxyHeader) -> Result<Caller, Refused> {
    let mut received = vec![0; LONGEST];
    let begun = begin(&mut connection.socket, &mut received).await;
    let (received, decoded) = begun.map_err(|_| None)?;
    let header = match decoded {
        Decoded::Header { ends, length } => {
            // A header without ends speaks for the peer itself, such as its health checks.
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
    connection.socket = connection.socket.replay(&received[header..]);
    Ok(connection)
}

/// Reads until it shows what the connection begins with.
async fn begin<'b>(socket: &mut Socket, buffer: &'b mut [u8]) -> io::Result<(&'b [u8], Decoded)> {
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
