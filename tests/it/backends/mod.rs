//! Backends, one per way to behave or misbehave. Each remembers the heads that it was sent, to the letter.

mod absent;
mod ailing;
mod answering;
mod breaking;
mod fronts;
mod introduced;
mod mortal;
mod silent;
mod sound;
mod streaming;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::harness::{Head, Wire, eventually, repeatedly};
pub(crate) use fronts::{Front, ServerSettings, Shown};
pub(crate) use mortal::Mortal;

/// A running backend; it ends, with its connections, when this is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
    /// Keeps the port of a backend that does not listen.
    _port: Option<socket2::Socket>,
}

/// What a backend remembers.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    open: AtomicUsize,
    heads: Mutex<Vec<Head>>,
}

impl Seen {
    fn heads(&self) -> MutexGuard<'_, Vec<Head>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend {
    /// A backend that treats every connection as `conduct` says.
    async fn start<F>(conduct: impl Fn(Visitor) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), conduct).await
    }

    /// As [`Backend::start`], at this address.
    async fn start_at<F>(
        address: SocketAddr,
        conduct: impl Fn(Visitor) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket");
        let seen = Arc::new(Seen::default());
        Self {
            address,
            seen: Arc::clone(&seen),
            accepting: Some(tokio::spawn(accept(listener, seen, conduct))),
            _port: None,
        }
    }

    /// As a configuration names it.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it took so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until none of its connections is open.
    pub(crate) async fn is_left(&self) {
        let open = || self.seen.open.load(Ordering::SeqCst);
        eventually("the backend's connections end", || open() == 0).await;
    }

    /// Ends it, and waits until connections are refused. They may not be at once: where another scenario starts a program,
    /// that has copies of all descriptors until it runs.
    pub(crate) async fn end(self) {
        let address = self.address;
        drop(self);
        let refused = async || TcpStream::connect(address).await.err();
        repeatedly("nobody listens", refused).await;
    }

    /// The heads that it was sent.
    pub(crate) fn heads(&self) -> Vec<Head> {
        self.seen.heads().clone()
    }

    /// The only head that it was sent.
    pub(crate) fn head(&self) -> Head {
        let mut heads = self.heads();
        assert_eq!(heads.len(), 1, "{heads:?}");
        heads.remove(0)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }
}

async fn accept<F>(listener: TcpListener, seen: Arc<Seen>, conduct: impl Fn(Visitor) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut conversations = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        seen.open.fetch_add(1, Ordering::SeqCst);
        let visitor = Visitor {
            wire: Wire::new(stream),
            presence: Presence(Arc::clone(&seen)),
        };
        conversations.spawn(conduct(visitor));
    }
}

/// A connection as the backend has it.
struct Visitor {
    wire: Wire,
    presence: Presence,
}

/// Counts a connection as open.
struct Presence(Arc<Seen>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Visitor {
    /// Reads a head and remembers it.
    async fn head(&mut self) -> Head {
        let head = self.wire.head().await;
        self.presence.0.heads().push(head.clone());
        head
    }

    /// Reads a head and writes `answer`, in which `{accept}` stands for what answers the key.
    async fn answer(&mut self, answer: &str) {
        let head = self.head().await;
        let accept = derive_accept_key(head.value("sec-websocket-key").unwrap_or("").as_bytes());
        self.wire.send(answer.replace("{accept}", &accept)).await;
    }

    /// Agrees to the handshake, with more fields (each ended by a line end) and with bytes in the same
    /// segment.
    async fn agree(&mut self, fields: &str, early: &str) {
        self.answer(&format!("{AGREEMENT}{fields}\r\n{early}"))
            .await;
    }
}

/// A sound 101 without the empty line.
const AGREEMENT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n";
