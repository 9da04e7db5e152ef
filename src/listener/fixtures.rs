//! Connections and their clients for tests.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::Instant;

use super::client::{Client, Presence};
use super::connection::Negotiated;
use super::{Settings, Throttle};
use crate::config::{Access, ListenerLimits, ListenerTimeouts, Name, ProxyHeader, TrustedProxies};
use crate::occupancy::Occupancy;
use crate::session::{Peer, Rejection};
use crate::stream::{Socket, Stream};
use crate::telemetry::{Connection, Metrics};

/// The deadlines of its listener.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A client of a unix socket.
pub(super) fn client(over_limit: Option<Rejection>) -> Arc<Client> {
    let limits = ListenerLimits {
        max_connections: 1,
        max_connections_per_client: None,
        concurrent_tls_handshakes: None,
        handshakes_per_second: None,
        request_head: 32 * 1024,
        http2_streams: 8,
    };
    let settings = Settings {
        trusted_proxies: TrustedProxies::default(),
        proxy_protocol: ProxyHeader::None,
        access: Access::default(),
        tls: None,
        h2c: true,
        timeouts: ListenerTimeouts {
            request_header: DAY,
            keep_alive: DAY,
        },
        throttle: Arc::new(Throttle::new(&limits)),
        limits,
    };
    let places = Arc::new(Occupancy::default());
    Arc::new(Client {
        connection: Connection {
            listener: Metrics::new().listener(&Name::from("main")),
            peer: Peer::Unix,
            tls_version: None,
        },
        address: None,
        local: None,
        is_trusted_proxy: false,
        over_limit,
        settings: Arc::new(settings),
        drain: Arc::default(),
        presence: Arc::new(Presence {
            _slots: [places.take(), places.take()],
            _surplus: None,
            _visit: None,
        }),
    })
}

/// A connection without TLS.
pub(super) fn negotiated(socket: UnixStream) -> Negotiated {
    Negotiated {
        stream: Stream::Plain(Socket::Unix(socket)),
        tls_version: None,
        is_http2: false,
        since: Instant::now(),
    }
}
