//! A socket to a backend. Names are resolved at every connect, and all their addresses race.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::handshake::Failure;
use super::lookup::Lookups;
use super::source::Sources;
use crate::config::{BackendAddress, BackendHost};
use crate::stream::{Socket, tune};

/// How long an attempt at one address has before the next begins beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// The most addresses of a name that are tried.
const ADDRESSES: usize = 16;

/// Connects to `address`; the caller sets the deadline.
///
/// # Errors
/// What the last attempt came to.
pub(super) async fn connect(
    address: &BackendAddress,
    sources: &Arc<Sources>,
    lookups: &Lookups,
) -> Result<Socket, Failure> {
    let socket = match address {
        BackendAddress::Unix(path) => return connect_unix(path).await,
        BackendAddress::Tcp { host, port, .. } => match host {
            BackendHost::Ip(ip) => sources.connect(SocketAddr::new(*ip, *port)).await?,
            BackendHost::Name(name) => {
                let found = lookups.find(name, *port).await?;
                connect_any(found, sources).await?
            }
        },
    };
    if let Err(error) = tune(&SockRef::from(&socket)) {
        // The peer may be gone already; then the handshake tells it better.
        tracing::debug!(%error, "socket options refused");
    }
    Ok(Socket::Tcp(socket.into()))
}

async fn connect_unix(path: &Path) -> Result<Socket, Failure> {
    let connected = UnixStream::connect(path).await;
    connected.map(Socket::Unix).map_err(classify)
}

async fn connect_any(found: Vec<SocketAddr>, sources: &Arc<Sources>) -> Result<TcpStream, Failure> {
    let addresses = interleaved(found);
    match addresses[..] {
        [] => Err(Failure::Unresolved(io::ErrorKind::NotFound.into())),
        [only] => sources.connect(only).await,
        _ => race(addresses, sources).await,
    }
}

/// Both families in turn, from the one that the resolver prefers (RFC 8305 section 4).
fn interleaved(mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    found.dedup();
    let Some(first) = found.first().copied() else {
        return found;
    };
    let (preferred, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut others = others.into_iter();
    let mut addresses = Vec::new();
    for address in preferred {
        addresses.push(address);
        addresses.extend(others.next());
    }
    addresses.extend(others);
    addresses.truncate(ADDRESSES);
    addresses
}

/// The first of `addresses` that connects; the others are given up. An attempt begins when the one before
/// it has failed or has had its time.
async fn race(addresses: Vec<SocketAddr>, sources: &Arc<Sources>) -> Result<TcpStream, Failure> {
    let mut waiting = addresses.into_iter();
    // Dropping the set ends all that run in it.
    let mut running = JoinSet::new();
    let mut last = Failure::Unresolved(io::ErrorKind::NotFound.into());
    loop {
        if let Some(address) = waiting.next() {
            let sources = Arc::clone(sources);
            running.spawn(async move { sources.connect(address).await });
        }
        let is_last = waiting.len() == 0;
        let outcome = tokio::select! {
            outcome = running.join_next() => outcome,
            () = tokio::time::sleep(STAGGER), if !is_last => continue,
        };
        match outcome {
            Some(Ok(Ok(socket))) => return Ok(socket),
            Some(Ok(Err(failure))) => last = failure,
            Some(Err(_)) => {}
            None => return Err(last),
        }
    }
}

/// Running out of local ports or descriptors is the gateway's trouble, not the backend's, and is told apart.
pub(super) fn classify(error: io::Error) -> Failure {
    if let Some(Errno::MFILE | Errno::NFILE) = Errno::from_io_error(&error) {
        return Failure::NoDescriptor;
    }
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => Failure::NoLocalPort,
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ => Failure::Unreachable(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    fn all(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn takes_both_families_in_turn() {
        let found = all(&["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1"]);
        let expected = all(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(interleaved(found), expected);
        let one_family = all(&["127.0.0.2:1", "127.0.0.1:1"]);
        assert_eq!(interleaved(one_family.clone()), one_family);
        assert!(interleaved(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn a_refusal_hands_over_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        // Nobody listens there: the port is only this listener's at 127.0.0.1.
        let refusing = SocketAddr::new([127, 0, 0, 2].into(), good.port());
        let begun = Instant::now();
        let socket = race(vec![refusing, good], &Arc::default()).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), good);
        assert!(begun.elapsed() < STAGGER, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn tells_what_the_last_attempt_came_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let refusing = [2, 3].map(|last| SocketAddr::new([127, 0, 0, last].into(), port));
        let outcome = race(refusing.to_vec(), &Arc::default()).await;
        assert!(matches!(outcome, Err(Failure::Refused)), "{outcome:?}");
    }

    /// A full queue of a listener that never accepts takes no further connection: its kernel is silent, as a
    /// host that is gone is.
    #[tokio::test]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let silent =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        silent
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        silent.listen(0).unwrap();
        let address = silent.local_addr().unwrap().as_socket().unwrap();
        let mut filling = Vec::new();
        while let Ok(Ok(socket)) = tokio::time::timeout(STAGGER, TcpStream::connect(address)).await
        {
            filling.push(socket);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let begun = Instant::now();
        let socket = race(vec![address, good], &Arc::default()).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), good);
        assert!(begun.elapsed() >= STAGGER, "{:?}", begun.elapsed());
    }
}
