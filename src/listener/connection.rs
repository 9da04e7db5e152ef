//! One client connection: who the client is, TLS, then the version of HTTP that it speaks.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::arrival::{self, Arrived};
use super::client::{Client, Presence};
use super::socket::{Accepted, Adopted};
use super::{Entry, Handler, Settings, http1, http2, preface, proxy_header, tls};
use crate::config::TlsVersion;
use crate::drain::{DrainWatch, Stage};
use crate::stream::{Socket, Stream};
use crate::telemetry::Connection;

/// A stream and the version of HTTP that its client speaks on it.
pub(super) struct Negotiated {
    pub(super) stream: Stream,
    /// `None` on a plain connection.
    pub(super) tls_version: Option<TlsVersion>,
    pub(super) is_http2: bool,
    /// Since when the first request head is awaited.
    pub(super) since: Instant,
}

/// Serves a connection until it ends or becomes a session. `watch` ends it when its listener stops.
pub async fn serve<H: Handler>(
    accepted: Accepted,
    entry: Entry,
    watch: DrainWatch,
    handler: Arc<H>,
) {
    let serving = pin!(async {
        let established = tokio::select! {
            biased;
            established = establish(accepted, entry, &watch) => established,
            () = idle_grace(&watch) => None,
        };
        let Some((client, negotiated)) = established else {
            return;
        };
        if negotiated.is_http2 {
            http2::serve(negotiated, &client, &watch, handler).await;
        } else {
            http1::serve(negotiated, &client, &watch, handler).await;
        }
    });
    watch.within(Stage::BEFORE_CUT, serving).await;
}

/// Waits until the listener has stopped and the time of idle connections is over.
async fn idle_grace(watch: &DrainWatch) {
    watch.beyond(Stage::Open).await;
    sleep(watch.idle_grace()).await;
}

/// Finds out who the client is, whether it may stay, and which version of HTTP it speaks. `None` if the connection is to be
/// closed; what is the client's fault is counted.
async fn establish(
    accepted: Accepted,
    entry: Entry,
    watch: &DrainWatch,
) -> Option<(Arc<Client>, Negotiated)> {
    let (settings, metrics) = (&*entry.settings, &*entry.metrics);
    let since = Instant::now();
    let deadline = since + settings.timeouts.request_header;
    let adopted = accepted
        .adopt()
        .inspect_err(|error| tracing::warn!(%error, "a connection could not be taken over"))
        .ok()?;
    let Adopted {
        socket,
        peer,
        local,
    } = proxy_header::read(adopted, settings, deadline, metrics).await?;
    let Arrived { visit, over_limit } = arrival::admit(peer, &entry)
        .inspect_err(|reason| metrics.rejected(*reason))
        .ok()?;
    let negotiated = match &settings.tls {
        Some(tls) => {
            // Boxed: it needs several kilobytes, which the task of a connection would otherwise hold to its end.
            let accepting = tls::accept(socket, tls, &settings.throttle, metrics, peer);
            let mut accepting = Box::pin(accepting);
            // A drain ends a TLS handshake at once.
            watch.within(Stage::Open, accepting.as_mut()).await??
        }
        None => plain(socket, since, settings).await?,
    };
    let client = Client {
        connection: Connection {
            listener: entry.metrics,
            peer,
            tls_version: negotiated.tls_version,
        },
        address: peer.ip_value(),
        local,
        is_trusted_proxy: entry.settings.trusted_proxies.contains(peer.ip()),
        over_limit,
        settings: entry.settings,
        drain: entry.drain,
        presence: Arc::new(Presence {
            _slots: entry.slots,
            _surplus: entry.surplus,
            _visit: visit,
        }),
    };
    Some((Arc::new(client), negotiated))
}

/// Finds out which version of HTTP a client without TLS speaks; the connection was accepted at `since`.
async fn plain(socket: Socket, since: Instant, settings: &Settings) -> Option<Negotiated> {
    let (socket, is_http2) = if settings.h2c {
        let deadline = since + settings.timeouts.request_header;
        preface::read(socket, deadline).await.ok()?
    } else {
        (socket, false)
    };
    Some(Negotiated {
        stream: Stream::Plain(socket),
        tls_version: None,
        is_http2,
        since,
    })
}
