//! A socket to a backend: names are resolved at every connect, all addresses are tried, one deadline.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::handshake::Failure;
use super::share_of;
use crate::config::BackendAddress;
use crate::stream::{Socket, tune};

/// Opens a connection to `address` before `deadline`.
///
/// # Errors
/// What the last address tried came to.
pub(super) async fn connect(
    address: &BackendAddress,
    deadline: Instant,
) -> Result<Socket, Failure> {
    let addresses = timeout_at(deadline, resolve(address))
        .await
        .map_err(|_| Failure::ConnectTimeout)?
        .map_err(Failure::Unresolved)?;
    let mut last = Failure::Unresolved(io::ErrorKind::NotFound.into());
    for (tried, address) in addresses.iter().enumerate() {
        let until = share_of(deadline, addresses.len() - tried);
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(tuned(socket)),
            Ok(Err(error)) => last = classify(error),
            Err(_) => last = Failure::ConnectTimeout,
        }
    }
    Err(last)
}

async fn resolve(address: &BackendAddress) -> io::Result<Vec<SocketAddr>> {
    match address.host.parse::<IpAddr>() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, address.port)]),
        Err(_) => Ok(lookup_host((address.host.as_str(), address.port))
            .await?
            .collect()),
    }
}

fn tuned(socket: TcpStream) -> Socket {
    if let Err(error) = tune(&SockRef::from(&socket)) {
        // The peer may be gone already; then the handshake tells it better.
        tracing::debug!(%error, "socket options refused");
    }
    Socket::Tcp(socket)
}

/// Running out of local ports or descriptors is the gateway's trouble, not the backend's, and is told apart.
fn classify(error: io::Error) -> Failure {
    let errno = rustix::io::Errno::from_io_error(&error);
    if let Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) = errno {
        return Failure::NoDescriptor;
    }
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => Failure::NoLocalPort,
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ => Failure::Unreachable(error),
    }
}
