//! Echo backends, made with a WebSocket library that is not the gateway's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::loopback;

/// The number of backends: enough to see round robin.
const COUNT: usize = 4;

/// Concurrent sessions of one backend.
const SESSIONS_MAX: usize = 1_000;

/// Bytes of a message, as in the gateway's own defaults.
const MESSAGE_MAX: usize = 16 << 20;

/// For the opening handshake of a session.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after a failed accept, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Running echo backends; dropping this stops them.
///
/// Each sends its name as the first message of a session, and then echoes every message.
#[derive(Debug)]
pub struct Backends {
    addresses: Vec<(String, SocketAddr)>,
    _tasks: JoinSet<()>,
}

impl Backends {
    /// Starts the backends on ports that the system chooses.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let mut addresses = Vec::new();
        let mut tasks = JoinSet::new();
        for number in 1..=COUNT {
            let listener = TcpListener::bind(loopback(0)).await?;
            let name = format!("backend-{number}");
            addresses.push((name.clone(), listener.local_addr()?));
            tasks.spawn(serve(listener, name));
        }
        Ok(Self {
            addresses,
            _tasks: tasks,
        })
    }

    /// Name and address of each.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = (&str, SocketAddr)> {
        self.addresses
            .iter()
            .map(|(name, address)| (name.as_str(), *address))
    }
}

/// Accepts for ever. Dropping this aborts open sessions.
async fn serve(listener: TcpListener, name: String) {
    let places = Arc::new(Semaphore::new(SESSIONS_MAX));
    let mut sessions = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        while sessions.try_join_next().is_some() {}
        let name = name.clone();
        sessions.spawn(async move {
            // The client of a session that failed has seen why.
            let _ = echo(stream, name).await;
            drop(place);
        });
    }
}

async fn echo(stream: TcpStream, name: String) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let handshake = accept_async_with_config(stream, Some(limits));
    let Ok(session) = timeout(HANDSHAKE_TIMEOUT, handshake).await else {
        return Ok(());
    };
    let mut session = session?;
    session.send(Message::text(name)).await?;
    while let Some(message) = session.next().await {
        let message = message?;
        // The library answers pings and closes by itself.
        if message.is_text() || message.is_binary() {
            session.send(message).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::client_async;

    use super::*;

    #[tokio::test]
    async fn each_backend_says_its_name_and_echoes() {
        let backends = Backends::start().await.unwrap();
        assert_eq!(backends.addresses().len(), 4);
        for (name, address) in backends.addresses() {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut session, _) = client_async("ws://localhost/", stream).await.unwrap();
            assert_eq!(session.next().await.unwrap().unwrap(), Message::text(name));
            session.send(Message::text("hello")).await.unwrap();
            assert_eq!(
                session.next().await.unwrap().unwrap(),
                Message::text("hello")
            );
            let large = Message::binary(vec![0; 100_000]);
            session.send(large.clone()).await.unwrap();
            assert_eq!(session.next().await.unwrap().unwrap(), large);
            session.send(Message::Ping("p".into())).await.unwrap();
            assert_eq!(
                session.next().await.unwrap().unwrap(),
                Message::Pong("p".into())
            );
            session.close(None).await.unwrap();
            assert!(session.next().await.unwrap().unwrap().is_close());
        }
    }

    #[tokio::test]
    async fn a_stranger_on_the_port_does_not_end_a_backend() {
        let backends = Backends::start().await.unwrap();
        let (_, address) = backends.addresses().next().unwrap();
        let mut stranger = TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stranger, b"nonsense\r\n\r\n")
            .await
            .unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        assert!(client_async("ws://localhost/", stream).await.is_ok());
    }
}
