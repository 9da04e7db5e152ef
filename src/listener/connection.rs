//! One client connection: who the client is, TLS, then the version of HTTP that the client speaks.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep};

use super::arrival::{self, Arrived};
use super::client::{Client, Presence};
use super::introduction::{self, Caller};
use super::socket::{Accepted, AcceptedSocket};
use super::{Entry, Handler, Settings, http1, http2, preface, tls};
use crate::config::TlsVersion;
use crate::drain::{DrainWatch, Stage};
use crate::session::Peer;
use crate::stream::{Socket, Stream};
use crate::telemetry::Connection;

/// How long a client that has nothing open is given, when its listener stops, to send what is on its way, or to leave.
pub(super) const PARTING: Duration = Duration::from_secs(2);

/// A stream on which a client speaks HTTP.
pub(super) struct Spoken {
    pub(super) stream: Stream,
    /// None on a plain connection.
    pub(super) tls_version: Option<TlsVersion>,
    pub(super) is_http2: bool,
    /// Since when the first head is awaited.
    pub(super) since: Instant,
}

/// A client that may stay, and what it speaks.
struct Met {
    peer: Peer,
    local: Option<SocketAddr>,
    arrived: Arrived,
    spoken: Spoken,
}

/// Serves a connection until it ends or becomes a session. `watch` ends it when its listener stops.
pub async fn serve<H: Handler>(
    accepted: Accepted,
    entry: Entry,
    watch: DrainWatch,
    handler: Arc<H>,
) {
    let conversation = pin!(async {
        let met = tokio::select! {
            biased;
            met = meet(accepted, &entry, &watch) => met,
            () = parting(&watch) => None,
        };
        let Some(Met {
            peer,
            local,
            arrived,
            spoken,
        }) = met
        else {
            return;
        };
        let client = Arc::new(Client {
            connection: Connection {
                listener: entry.metrics,
                client: peer,
                tls_version: spoken.tls_version,
            },
            address: peer.ip_value(),
            local,
            speaks_for_many: entry.settings.trusted_proxies.contain(peer.ip()),
            surplus: arrived.surplus,
            settings: entry.settings,
            drain: entry.drain,
            presence: Arc::new(Presence {
                _slots: entry.slots,
                _visit: arrived.visit,
            }),
        });
        if spoken.is_http2 {
            http2::converse(spoken, &client, &watch, handler).await;
        } else {
            http1::converse(spoken, &client, &watch, handler).await;
        }
    });
    watch.within(Stage::Draining, conversation).await;
}

/// Waits until a listener has stopped for so long that a client which has said nothing yet has no more time.
async fn parting(watch: &DrainWatch) {
    watch.beyond(Stage::Open).await;
    sleep(PARTING).await;
}

/// Finds out who the client is, whether it may stay, and what it speaks. None where that came to nothing; what is the
/// client's fault is counted.
async fn meet(accepted: Accepted, entry: &Entry, watch: &DrainWatch) -> Option<Met> {
    let (settings, metrics) = (&*entry.settings, &*entry.metrics);
    let since = Instant::now();
    let deadline = since + settings.timeouts.request_header;
    let connection = Caller {
        socket: adopt(accepted.socket)
            .inspect_err(|error| tracing::warn!(%error, "a connection could not be taken over"))
            .ok()?,
        peer: accepted.peer,
        local: accepted.local,
    };
    let Caller {
        socket,
        peer,
        local,
    } = introduction::hear(connection, settings, deadline, metrics).await?;
    let arrived = arrival::admit(peer, entry)
        .inspect_err(|reason| metrics.rejected(*reason))
        .ok()?;
    let spoken = match &settings.tls {
        Some(tls) => {
            // A handshake that is under way is given up at once.
            let accepting = pin!(tls::accept(socket, tls, &settings.throttle, metrics));
            watch.within(Stage::Open, accepting).await??
        }
        None => plain(socket, since, settings).await?,
    };
    Some(Met {
        peer,
        local,
        arrived,
        spoken,
    })
}

/// Brings the socket into this worker's runtime.
fn adopt(socket: AcceptedSocket) -> io::Result<Socket> {
    Ok(match socket {
        AcceptedSocket::Tcp(socket) => Socket::Tcp(TcpStream::from_std(socket)?.into()),
        AcceptedSocket::Unix(socket) => Socket::Unix(UnixStream::from_std(socket)?),
    })
}

/// Finds out which version of HTTP a client speaks that came at `since`, as it speaks no TLS.
async fn plain(socket: Socket, since: Instant, settings: &Settings) -> Option<Spoken> {
    let (socket, is_http2) = if settings.h2c {
        let deadline = since + settings.timeouts.request_header;
        preface::read(socket, deadline).await.ok()?
    } else {
        (socket, false)
    };
    Some(Spoken {
        stream: Stream::Plain(socket),
        tls_version: None,
        is_http2,
        since,
    })
}
