//! The TLS handshake with a client.

use std::io;
use std::time::Duration;

use rustls::ProtocolVersion;
use tokio::time::{Instant, timeout};

use super::connection::Negotiated;
use super::deadline::timeout_at;
use super::linger::{PAUSE, linger};
use super::throttle::Throttle;
use super::tls_fault::Explained;
use crate::config::TlsVersion;
use crate::session::Peer;
use crate::stream::{Refused, Socket, Stream, TlsStream};
use crate::telemetry::{ConnectionRejection, ListenerMetrics, TlsResult};
use crate::tls::{HTTP2, ServerTls};

/// How long a client has to read the alert of a failed handshake and to close.
const ALERT_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepts TLS on `socket` within the deadline. `None` if that failed; the failure is counted.
pub(super) async fn accept(
    socket: Socket,
    tls: &ServerTls,
    throttle: &Throttle,
    metrics: &ListenerMetrics,
    peer: Peer,
) -> Option<Negotiated> {
    let Ok(under_way) = throttle.begin_tls().await else {
        metrics.rejected(ConnectionRejection::TlsFull);
        let listener = metrics.name();
        match throttle.may_tell() {
            true => tracing::info!(%listener, %peer, "too many TLS handshakes: one closed"),
            false => tracing::debug!(%listener, %peer, "too many TLS handshakes: one closed"),
        }
        return None;
    };
    let begun = Instant::now();
    let handshake = TlsStream::accept(socket, tls.config.clone());
    let outcome = timeout_at(begun + tls.handshake_timeout, handshake).await;
    let result = match &outcome {
        Some(Ok(_)) => TlsResult::Success,
        Some(Err(refused)) => failure(&refused.error),
        None => TlsResult::Timeout,
    };
    metrics.tls_finished(result, begun.elapsed());
    if let (TlsResult::Failure, Some(Err(Refused { error, .. }))) = (result, &outcome) {
        let listener = metrics.name();
        let error = Explained(error);
        match throttle.may_tell() {
            true => tracing::info!(%listener, %peer, %error, "TLS handshake failed"),
            false => tracing::debug!(%listener, %peer, %error, "TLS handshake failed"),
        }
    }
    let stream = match outcome? {
        Ok(stream) => stream,
        Err(Refused { socket, .. }) => {
            drop(under_way);
            // A TLS 1.3 client sends its request behind its certificate. Left unread, that would turn the close into a reset,
            // which overtakes the alert.
            let _ = timeout(ALERT_TIMEOUT, linger(Stream::Plain(socket), PAUSE)).await;
            return None;
        }
    };
    let connection = stream.agreed();
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
        _ => TlsVersion::Tls13,
    };
    Some(Negotiated {
        is_http2: connection.alpn_protocol() == Some(HTTP2),
        tls_version: Some(version),
        since: Instant::now(),
        stream: Stream::Tls(Box::new(stream)),
    })
}

fn failure(error: &io::Error) -> TlsResult {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => TlsResult::ClientGone,
        _ => TlsResult::Failure,
    }
}
