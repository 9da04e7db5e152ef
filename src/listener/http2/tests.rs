//! Connections whose clients send nothing.

use http::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::*;
use crate::config::{Access, ListenerLimits, ListenerTimeouts, Name, ProxyHeader, TrustedProxies};
use crate::drain::Drain;
use crate::listener::{Presence, Throttle};
use crate::occupancy::Occupancy;
use crate::session::{Peer, Rejection};
use crate::stream::{Socket, Stream};
use crate::telemetry::{Connection, Metrics};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Never answers.
struct Deaf;

impl Handler for Deaf {
    async fn handle(&self, _: Request<Incoming>, _: Arc<Client>) -> Response<Body> {
        std::future::pending().await
    }

    fn refuse(&self, _: Rejection, _: Option<&http::request::Parts>, _: &Client) {}
}

fn client() -> Arc<Client> {
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
        over_limit: None,
        settings: Arc::new(settings),
        drain: Arc::default(),
        presence: Arc::new(Presence {
            _slots: [places.take(), places.take()],
            _surplus: None,
            _visit: None,
        }),
    })
}

/// Serves the peer of `socket`.
async fn serve(socket: UnixStream) {
    let negotiated = Negotiated {
        stream: Stream::Plain(Socket::Unix(socket)),
        tls_version: None,
        is_http2: true,
        since: Instant::now(),
    };
    let drain = Drain::default();
    super::serve(negotiated, &client(), &drain.watch(), Arc::new(Deaf)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_ended() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat();
    theirs.write_all(&preface).await.unwrap();
    let begun = Instant::now();
    serve(ours).await;
    let patience = PING_INTERVAL + PING_TIMEOUT;
    let waited = begun.elapsed();
    assert!((patience..patience * 2).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_is_not() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (_sender, connection) = tokio::join!(
        async {
            let (sender, connection) = h2::client::handshake(theirs).await.unwrap();
            tokio::spawn(connection);
            sender
        },
        timeout(DAY / 2, serve(ours)),
    );
    assert!(connection.is_err(), "it was ended");
}
