//! Connecting a socket to a backend. A name is resolved at every connect, and its addresses race.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, SockRef, Type};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::candidates::Setback as _;
use super::failure::Failure;
use super::lookup::Lookups;
use super::source::{Sources, bind};
use crate::config::{BackendAddress, BackendHost};
use crate::stream::{Socket, tune_at_once};

/// How long after an attempt at one address the next begins beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// The pause before a unix socket with a full backlog is tried again. It doubles each time up to the longest, as many
/// clients may wait for the same socket.
const CROWDED: Duration = Duration::from_millis(10);
/// See [`CROWDED`].
const LONGEST_CROWDED: Duration = Duration::from_millis(160);
/// The most addresses of a name that are tried.
const ADDRESSES: usize = 16;

/// Connects to `address`. The caller enforces the deadline, which is known here to tell a slow look-up by its name, and calls
/// [`Stream::tune_lasting`](crate::stream::Stream::tune_lasting) if the connection lasts.
///
/// # Errors
/// The most informative failure of its addresses.
pub(super) async fn connect(
    address: &BackendAddress,
    sources: &Arc<Sources>,
    lookups: &Lookups,
    deadline: Instant,
) -> Result<Socket, Failure> {
    let socket = match address {
        BackendAddress::Unix(path) => return connect_unix(path, sources).await,
        BackendAddress::Tcp { host, port, .. } => match host {
            BackendHost::Ip(ip) => connect_tcp(SocketAddr::new(*ip, *port), sources).await?,
            BackendHost::Name(name) => {
                let found = timeout_at(deadline, lookups.find(name, *port)).await;
                connect_any(found.map_err(|_| Failure::LookupTimeout)??, sources).await?
            }
        },
    };
    if let Err(error) = tune_at_once(&SockRef::from(&socket)) {
        // The peer may be gone already; the handshake will report that better.
        tracing::debug!(%error, "socket options refused");
    }
    Ok(Socket::Tcp(socket.into()))
}

/// If the backlog of the listener is full the system refuses at once, where it makes TCP wait. It does not tell when there is
/// room, so this polls.
async fn connect_unix(path: &Path, sources: &Sources) -> Result<Socket, Failure> {
    let mut pause = CROWDED;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
                pause = LONGEST_CROWDED.min(pause * 2);
            }
            connected => {
                let socket = connected.map_err(classify)?;
                sources.admit(&socket)?;
                return Ok(Socket::Unix(socket));
            }
        }
    }
}

async fn connect_any(found: Vec<SocketAddr>, sources: &Arc<Sources>) -> Result<TcpStream, Failure> {
    let addresses = interleaved(found);
    match addresses[..] {
        [] => Err(Failure::Unresolved(Arc::new(
            io::ErrorKind::NotFound.into(),
        ))),
        [only] => connect_tcp(only, sources).await,
        _ => race(addresses, sources).await,
    }
}

/// Alternates the address families, beginning with the one that the resolver prefers (RFC 8305 section 4).
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

/// The first of `addresses` that connects; the other attempts are cancelled. An attempt begins when the one before it has
/// failed, or [`STAGGER`] after that has begun.
async fn race(addresses: Vec<SocketAddr>, sources: &Arc<Sources>) -> Result<TcpStream, Failure> {
    let mut waiting = addresses.into_iter();
    // Dropping the set ends all that run in it.
    let mut running = JoinSet::new();
    let mut telling = None;
    loop {
        if let Some(address) = waiting.next() {
            let sources = Arc::clone(sources);
            running.spawn(async move { connect_tcp(address, &sources).await });
        }
        let is_last = waiting.len() == 0;
        let outcome = tokio::select! {
            outcome = running.join_next() => outcome,
            () = sleep(STAGGER), if !is_last => continue,
        };
        match outcome {
            Some(Ok(Ok(socket))) => return Ok(socket),
            Some(Ok(Err(failure))) => telling = Some(more_telling(telling, failure)),
            Some(Err(_)) => {}
            None => {
                let nothing = || Failure::Unresolved(Arc::new(io::ErrorKind::NotFound.into()));
                return Err(telling.unwrap_or_else(nothing));
            }
        }
    }
}

/// The failure of the later of two attempts, unless the one before is more informative.
fn more_telling(before: Option<Failure>, later: Failure) -> Failure {
    match before {
        Some(before) if weight(&before) > weight(&later) => before,
        _ => later,
    }
}

/// How informative a failure at one of several addresses is. If the gateway itself lacks something, the backend may be well:
/// that counts most. An address to which this machine has no route counts least.
fn weight(failure: &Failure) -> u8 {
    match failure {
        failure if failure.is_our_own() => 2,
        Failure::Unreachable(error) if is_without_way(error) => 0,
        _ => 1,
    }
}

/// Whether an error is that this machine has no address or no route of that family, or does not know the family.
fn is_without_way(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        Some(Errno::ADDRNOTAVAIL | Errno::NETUNREACH | Errno::AFNOSUPPORT)
    )
}

/// Connects to `destination` from the next source address in turn, or from the one after it if that has no free port or is
/// not of this machine (a floating address moves). If none is of the destination's family the system chooses.
async fn connect_tcp(destination: SocketAddr, sources: &Sources) -> Result<TcpStream, Failure> {
    let fitting = sources.in_turn(destination);
    if fitting.is_empty() {
        return connect_from(None, destination, sources).await;
    }
    let mut failed = Failure::NoLocalPort;
    for source in fitting {
        match connect_from(Some(source), destination, sources).await {
            Err(failure @ (Failure::NoLocalPort | Failure::BadSource(..))) => failed = failure,
            outcome => return outcome,
        }
    }
    Err(failed)
}

async fn connect_from(
    source: Option<IpAddr>,
    destination: SocketAddr,
    sources: &Sources,
) -> Result<TcpStream, Failure> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket =
        socket2::Socket::new(Domain::for_address(destination), kind, None).map_err(classify)?;
    sources.admit(&socket)?;
    if let Some(source) = source {
        bind(&socket, source).map_err(|error| Failure::BadSource(source, error))?;
    }
    let connected = connect_socket(socket, destination).await;
    connected.map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable if !has_way(destination) => Failure::Unreachable(error),
        _ => classify(error),
    })
}

/// Whether this machine has an address from which to reach `destination`. The system returns the same error if it has none
/// (IPv6 is off) and if no port is left. Connecting a UDP socket sends nothing and does not need such a port.
fn has_way(destination: SocketAddr) -> bool {
    let socket = socket2::Socket::new(Domain::for_address(destination), Type::DGRAM, None);
    let connected = socket.and_then(|socket| socket.connect(&destination.into()));
    !connected.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// A connection to the same machine is there at once although the system reports it as in progress, so that is looked at
/// before waiting for epoll.
async fn connect_socket(socket: socket2::Socket, destination: SocketAddr) -> io::Result<TcpStream> {
    match socket.connect(&destination.into()) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => return Err(error),
        _ => {}
    }
    let socket = TcpStream::from_std(socket.into())?;
    if socket.peer_addr().is_ok() {
        return Ok(socket);
    }
    socket.writable().await?;
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(socket),
    }
}

/// Running out of local ports or descriptors is the gateway's fault, not the backend's, and is a failure of its own.
pub(super) fn classify(error: io::Error) -> Failure {
    if Failure::is_want_of_descriptors(&error) {
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

    fn anywhere() -> Arc<Sources> {
        Arc::new(Sources::new(&[]))
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

    /// As TCP does by itself.
    #[tokio::test]
    async fn waits_for_room_at_a_unix_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backend");
        let listening = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listening
            .bind(&socket2::SockAddr::unix(&path).unwrap())
            .unwrap();
        listening.listen(0).unwrap();
        let anywhere = anywhere();
        let _first = connect_unix(&path, &anywhere).await.unwrap();
        let full = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let accepting = async {
            sleep(CROWDED).await;
            listening.accept().unwrap()
        };
        let (second, _accepted) = tokio::join!(connect_unix(&path, &anywhere), accepting);
        second.unwrap();
    }

    /// A machine that is slower than that shows it another time.
    #[tokio::test]
    async fn a_refusal_hands_over_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        // Nobody listens there: the port is only this listener's at 127.0.0.1.
        let refusing = SocketAddr::new([127, 0, 0, 2].into(), good.port());
        let mut attempts = 0;
        loop {
            let begun = Instant::now();
            let socket = race(vec![refusing, good], &anywhere()).await.unwrap();
            assert_eq!(socket.peer_addr().unwrap(), good);
            attempts += 1;
            match begun.elapsed() < STAGGER {
                true => return,
                false => assert!(attempts < 10, "it waits for the next turn"),
            }
        }
    }

    #[tokio::test]
    async fn tells_what_the_attempts_came_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let refusing = [2, 3].map(|last| SocketAddr::new([127, 0, 0, last].into(), port));
        let outcome = race(refusing.to_vec(), &anywhere()).await;
        assert!(matches!(outcome, Err(Failure::Refused)), "{outcome:?}");
    }

    #[test]
    fn tells_the_failure_that_weighs_most() {
        let told = |before, later| more_telling(before, later).to_string();
        let [refused, want] = [Failure::Refused, Failure::NoDescriptor].map(|it| it.to_string());
        for errno in [Errno::ADDRNOTAVAIL, Errno::NETUNREACH, Errno::AFNOSUPPORT] {
            let no_way = || Failure::Unreachable(errno.into());
            assert_eq!(told(Some(Failure::Refused), no_way()), refused);
            assert_eq!(told(Some(no_way()), Failure::Refused), refused);
            assert_eq!(told(None, no_way()), no_way().to_string());
        }
        assert_eq!(told(Some(Failure::Refused), Failure::NoDescriptor), want);
        assert_eq!(told(Some(Failure::NoDescriptor), Failure::Refused), want);
        let later = Failure::ConnectTimeout.to_string();
        assert_eq!(told(Some(Failure::Refused), Failure::ConnectTimeout), later);
    }

    /// A listener that never accepts and whose backlog is full does not answer, like a host that is gone.
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
        let socket = race(vec![address, good], &anywhere()).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), good);
        assert!(begun.elapsed() >= STAGGER, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn goes_out_from_each_source() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let destination = listener.local_addr().unwrap();
        let sources = Sources::new(&[2, 3].map(|last| [127, 0, 0, last].into()));
        for expected in ["127.0.0.2", "127.0.0.3"] {
            let connected = connect_tcp(destination, &sources).await.unwrap();
            assert_eq!(connected.local_addr().unwrap().ip().to_string(), expected);
            assert_eq!(connected.peer_addr().unwrap(), destination);
        }
    }

    #[tokio::test]
    async fn passes_over_an_address_that_is_not_of_this_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let destination = listener.local_addr().unwrap();
        let sources = Sources::new(&["192.0.2.1", "127.0.0.2"].map(|text| text.parse().unwrap()));
        for _ in 0..2 {
            let connected = connect_tcp(destination, &sources).await.unwrap();
            assert_eq!(
                connected.local_addr().unwrap().ip().to_string(),
                "127.0.0.2"
            );
        }
    }

    #[tokio::test]
    async fn tells_an_address_that_is_not_of_this_machine() {
        let sources = Sources::new(&["192.0.2.1".parse().unwrap()]);
        let outcome = connect_tcp(all(&["127.0.0.1:1"])[0], &sources).await;
        let Err(Failure::BadSource(source, _)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(source.to_string(), "192.0.2.1");
    }
}
