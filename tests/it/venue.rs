//! A gateway whose sessions have both ends in the scenario's hands, byte by byte, plain or under TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::harness::{
    ACCEPT, Gateway, Head, Identity, Opening, PATIENT, Wire, connect_tls, directory, soon,
};

/// A byte stream, and the socket below it for what TLS does not do.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {
    fn socket(&self) -> &TcpStream;
}

impl Duplex for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Duplex for Side {
    fn socket(&self) -> &TcpStream {
        (**self).socket()
    }
}

impl Duplex for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A client's stream, with or without TLS.
pub(crate) type Side = Box<dyn Duplex>;

/// Makes the coming end of a connection a reset, without any end of TLS.
pub(crate) fn reset(stream: &dyn Duplex) {
    let socket = SockRef::from(stream.socket());
    let lingering = socket.set_linger(Some(Duration::ZERO));
    lingering.expect("the socket is there");
}

/// How clients connect.
#[derive(Clone, Copy)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

/// A gateway with one listener and one route, and the backend behind it.
pub(crate) struct Venue {
    pub(crate) gateway: Gateway,
    pub(crate) arrivals: Arrivals,
    trust: Option<Arc<ClientConfig>>,
}

impl Venue {
    /// Starts one for clients that connect like this, where no deadline comes.
    pub(crate) async fn start(transport: Transport) -> Self {
        Self::start_with(transport, PATIENT).await
    }

    /// As [`Venue::start`], with these lines at the end of the configuration instead of [`PATIENT`].
    pub(crate) async fn start_with(transport: Transport, more: &str) -> Self {
        let directory = directory();
        let identity = match transport {
            Transport::Plain => None,
            Transport::Tls => Some(Identity::make(directory.path(), "site", &["gateway.test"])),
        };
        let tls = identity.as_ref().map_or(String::new(), |identity| {
            format!(
                ", tls: {{ certificates: [{}], handshake_timeout: 1h }}",
                identity.yaml()
            )
        });
        let arrivals = Arrivals::listen().await;
        let yaml = format!(
            "listeners: {{ main: {{ address: \"127.0.0.1:0\"{tls} }} }}\n{}{more}",
            arrivals.route()
        );
        Self {
            gateway: Gateway::start_in(directory, &yaml).await,
            arrivals,
            trust: identity.map(|identity| Arc::new(identity.trust())),
        }
    }

    /// A client's connection, TLS included.
    pub(crate) async fn connect(&self) -> Wire<Side> {
        let address = self.gateway.address();
        Wire::new(match &self.trust {
            None => {
                let stream = soon("a connection", TcpStream::connect(address)).await;
                Box::new(stream.expect("the address takes connections"))
            }
            Some(trust) => {
                let stream = connect_tls(address, "gateway.test", Arc::clone(trust)).await;
                Box::new(stream.expect("the handshake succeeds"))
            }
        })
    }

    /// An open session: its client and its backend, both behind the 101.
    pub(crate) async fn session(&self) -> (Wire<Side>, Wire) {
        open(self.connect().await, &self.arrivals).await
    }
}

/// Opens a session over `client`.
pub(crate) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: Wire<S>,
    arrivals: &Arrivals,
) -> (Wire<S>, Wire) {
    client.send(Opening::to("/").text()).await;
    let backend = arrivals.agreed().await;
    assert_eq!(client.head().await.status(), 101);
    (client, backend)
}

/// A backend that the scenario plays itself.
pub(crate) struct Arrivals(TcpListener);

impl Arrivals {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        Self(listener.expect("loopback has a free port"))
    }

    /// As a configuration names it.
    pub(crate) fn url(&self) -> String {
        let address = self.0.local_addr().expect("a bound socket");
        format!("ws://{address}")
    }

    /// One route for everything that leads here.
    pub(crate) fn route(&self) -> String {
        let url = self.url();
        format!(
            "routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
             pools: {{ chat: {{ backends: [{{ name: one, url: \"{url}\" }}] }} }}\n"
        )
    }

    /// The next session, behind the 101.
    pub(crate) async fn agreed(&self) -> Wire {
        let (head, mut wire) = self.met().await;
        agree(&head, &mut wire).await;
        wire
    }

    /// The next session that is asked for, not yet answered.
    pub(crate) async fn asked(&self) -> Wire {
        self.met().await.1
    }

    /// Everything that the next connection brings, until its end or its reset.
    pub(crate) async fn brought(&self) -> String {
        let (stream, _) = soon("a connection at the backend", self.0.accept())
            .await
            .expect("the system gives the connection");
        let bytes = Wire::new(stream).sent().await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The next request over a new connection, not yet answered, and the connection.
    pub(crate) async fn met(&self) -> (Head, Wire) {
        let (stream, _) = soon("a request at the backend", self.0.accept())
            .await
            .expect("the system gives the connection");
        let mut wire = Wire::new(stream);
        (wire.head().await, wire)
    }
}

/// Answers an opening handshake with a 101.
pub(crate) async fn agree(head: &Head, wire: &mut Wire) {
    let key = head.value("sec-websocket-key").expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    wire.send(agreement().replace(ACCEPT, &accept)).await;
}

/// The 101 that answers every opening handshake of the scenarios.
pub(crate) fn agreement() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
}

/// Random bytes, the same ones for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut noise);
    noise
}
