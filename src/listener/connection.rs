//! One client connection: TLS, then the version of HTTP that the client speaks.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::arrival::{self, Arrived};
use super::client::Client;
use super::socket::{Accepted, AcceptedSocket};
use super::{Entry, Handler, Settings, http1, http2, preface, tls};
use crate::config::TlsVersion;
use crate::drain::{DrainWatch, Stage};
use crate::stream::{Socket, Stream};
use crate::telemetry::{Connection, ConnectionRejection, ListenerMetrics};

/// A stream on which a client speaks HTTP.
pub(super) struct Spoken {
    pub(super) stream: Stream,
    /// None on a plain connection.
    pub(super) tls_version: Option<TlsVersion>,
    pub(super) is_http2: bool,
}

/// Serves a connection until it ends or becomes a session. `watch` ends it when its listener stops.
pub async fn serve<H: Handler>(
    accepted: Accepted,
    entry: Entry,
    watch: DrainWatch,
    handler: Arc<H>,
) {
    let Accepted {
        socket,
        peer,
        local,
    } = accepted;
    let settings = Arc::clone(&entry.settings);
    let conversation = async {
        let Ok(socket) = adopt(socket) else {
            return;
        };
        let Arrived { visit, surplus } = match arrival::admit(peer, &entry) {
            Ok(arrived) => arrived,
            Err(reason) => return entry.metrics.rejected(reason),
        };
        let spoken = tokio::select! {
            spoken = listen(socket, &settings, &entry.metrics) => spoken,
            // It has no session yet that could end in order.
            _ = watch.beyond(Stage::Open) => return,
        };
        let Some(spoken) = spoken else {
            return;
        };
        let facts = Connection {
            listener: entry.metrics,
            client: peer,
            tls_version: spoken.tls_version,
        };
        let client = Arc::new(Client {
            facts,
            local,
            surplus,
            settings: Arc::clone(&settings),
            drain: entry.drain,
            _slots: entry.slots,
            _visit: visit,
        });
        if spoken.is_http2 {
            http2::converse(spoken.stream, &client, &settings, &watch, handler).await;
        } else {
            http1::converse(spoken.stream, &client, &settings, &watch, handler).await;
        }
    };
    tokio::select! {
        () = conversation => {}
        _ = watch.beyond(Stage::Draining) => {}
    }
}

/// Brings the socket into this worker's runtime.
fn adopt(socket: AcceptedSocket) -> io::Result<Socket> {
    Ok(match socket {
        AcceptedSocket::Tcp(socket) => Socket::Tcp(TcpStream::from_std(socket)?),
        AcceptedSocket::Unix(socket) => Socket::Unix(UnixStream::from_std(socket)?),
    })
}

/// Finds out what the client speaks, within the deadlines. None where that came to nothing; it is counted.
async fn listen(socket: Socket, settings: &Settings, metrics: &ListenerMetrics) -> Option<Spoken> {
    if let Some(tls) = &settings.tls {
        return tls::accept(socket, tls, metrics).await;
    }
    let plain = |socket, is_http2| Spoken {
        stream: Stream::Plain(socket),
        tls_version: None,
        is_http2,
    };
    if !settings.h2c {
        return Some(plain(socket, false));
    }
    match timeout(settings.timeouts.request_header, preface::read(socket)).await {
        Ok(read) => read.ok().map(|(socket, is_there)| plain(socket, is_there)),
        Err(_) => {
            metrics.rejected(ConnectionRejection::HeadTooSlow);
            None
        }
    }
}
