//! Binding sockets and accepting connections from them.
//!
//! Accepted sockets are handed to other threads, so they must not be registered with the runtime that accepts them, as
//! tokio's own listeners would do. Watching the bare descriptor does not register them, at the price of one `unsafe`.

use std::fs::Metadata;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, acceptfrom_with};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::Address;
use crate::session::Peer;
use crate::stream::{self, tune};

/// How many connections the kernel queues until they are accepted.
const BACKLOG: i32 = 4096;
/// Flags of every accepted socket.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
/// How long accepting pauses after an error that would come again at once, such as a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that listens.
#[derive(Debug)]
pub struct Bound {
    socket: BoundSocket,
    address: Address,
    /// The identity of a unix socket's file when it was bound.
    file: Option<FileIdentity>,
}

/// Device and inode.
type FileIdentity = (u64, u64);

#[derive(Debug)]
enum BoundSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection, not registered with any runtime yet.
#[derive(Debug)]
pub struct Accepted {
    socket: AcceptedSocket,
    peer: Peer,
    /// The address on which it was accepted; `None` on a unix socket.
    local: Option<SocketAddr>,
}

/// A connection in the runtime of the worker that serves it.
pub(super) struct Adopted {
    pub(super) socket: stream::Socket,
    pub(super) peer: Peer,
    /// The address that the client connected to; `None` on a unix socket.
    pub(super) local: Option<SocketAddr>,
}

impl Accepted {
    /// Brings the socket into the current runtime.
    pub(super) fn adopt(self) -> io::Result<Adopted> {
        Ok(Adopted {
            socket: match self.socket {
                AcceptedSocket::Tcp(socket) => {
                    stream::Socket::Tcp(tokio::net::TcpStream::from_std(socket)?.into())
                }
                AcceptedSocket::Unix(socket) => {
                    stream::Socket::Unix(tokio::net::UnixStream::from_std(socket)?)
                }
            },
            peer: self.peer,
            local: self.local,
        })
    }
}

#[derive(Debug)]
enum AcceptedSocket {
    Tcp(std::net::TcpStream),
    Unix(UnixStream),
}

impl AcceptedSocket {
    fn descriptor(&self) -> RawFd {
        match self {
            Self::Tcp(socket) => socket.as_raw_fd(),
            Self::Unix(socket) => socket.as_raw_fd(),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }
}

impl Bound {
    /// Binds `address` and listens. An IPv6 wildcard address also accepts IPv4. A unix socket file that no process listens on
    /// is replaced.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn bind(address: &Address) -> io::Result<Self> {
        let socket = match address {
            Address::Tcp(address) => BoundSocket::Tcp(bind_tcp(*address)?),
            Address::Unix(path) => BoundSocket::Unix(bind_unix(path)?),
        };
        let address = match &socket {
            BoundSocket::Tcp(socket) => Address::Tcp(socket.local_addr()?),
            BoundSocket::Unix(_) => address.clone(),
        };
        let file = identity(&address);
        Ok(Self {
            socket,
            address,
            file,
        })
    }

    /// Where it listens; for port 0, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A second handle on the same socket.
    ///
    /// # Errors
    /// If no descriptor is free.
    pub fn try_clone(&self) -> io::Result<Self> {
        let socket = match &self.socket {
            BoundSocket::Tcp(socket) => BoundSocket::Tcp(socket.try_clone()?),
            BoundSocket::Unix(socket) => BoundSocket::Unix(socket.try_clone()?),
        };
        Ok(Self {
            socket,
            address: self.address.clone(),
            file: self.file,
        })
    }

    /// Removes the file of a unix socket, unless another process has put its own socket there meanwhile.
    pub fn remove_file(&self) {
        if let Address::Unix(path) = &self.address
            && identity(&self.address) == self.file
        {
            // It may have been removed already.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Whether `address` is taken by this socket: it overlaps, or spells the path of its file in another way.
    #[must_use]
    pub fn is_at(&self, address: &Address) -> bool {
        match address {
            Address::Tcp(_) => self.address.collides(address),
            Address::Unix(path) => {
                let file = std::fs::metadata(path).ok();
                file.is_some() && file.as_ref().map(file_identity) == self.file
            }
        }
    }

    /// Whether the file of a unix socket is not there any more, so that nobody can connect.
    #[must_use]
    pub fn has_lost_its_file(&self) -> bool {
        self.file.is_some() && identity(&self.address) != self.file
    }

    fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            BoundSocket::Tcp(socket) => {
                let (socket, peer) = acceptfrom_with(socket, FLAGS)?;
                let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
                let socket = std::net::TcpStream::from(socket);
                Ok(Accepted {
                    local: Some(self.local(&socket)?),
                    socket: AcceptedSocket::Tcp(socket),
                    peer: Peer::tcp(peer.try_into()?),
                })
            }
            BoundSocket::Unix(socket) => Ok(Accepted {
                socket: AcceptedSocket::Unix(accept_with(socket, FLAGS)?.into()),
                peer: Peer::Unix,
                local: None,
            }),
        }
    }

    /// The local address of a connection. Only wildcard listeners need a system call for it.
    fn local(&self, socket: &std::net::TcpStream) -> io::Result<SocketAddr> {
        match &self.address {
            Address::Tcp(address) if !address.ip().is_unspecified() => Ok(*address),
            Address::Tcp(_) | Address::Unix(_) => socket.local_addr(),
        }
    }
}

/// A listener in the runtime that accepts from it.
#[derive(Debug)]
pub struct Listener {
    socket: AsyncFd<BoundFd>,
    /// The highest descriptor that a connection may have.
    last_descriptor: RawFd,
}

#[derive(Debug)]
struct BoundFd(Bound);

impl AsRawFd for BoundFd {
    fn as_raw_fd(&self) -> RawFd {
        match &self.0.socket {
            BoundSocket::Tcp(socket) => socket.as_fd().as_raw_fd(),
            BoundSocket::Unix(socket) => socket.as_fd().as_raw_fd(),
        }
    }
}

impl Listener {
    /// Registers `bound` with the current runtime. Connections get no descriptor above `last_descriptor`: those are reserved
    /// for other uses.
    ///
    /// # Errors
    /// If the socket cannot be registered.
    pub fn new(bound: Bound, last_descriptor: RawFd) -> io::Result<Self> {
        #[expect(
            unsafe_code,
            reason = "watching a descriptor; see the head of the file"
        )]
        // SAFETY: `BoundFd` owns the socket and never replaces it, so the descriptor stays open and the same for as long as
        // the `AsyncFd` lives.
        let socket =
            unsafe { AsyncFd::register_with_interest(BoundFd(bound), Interest::READABLE)? };
        Ok(Self {
            socket,
            last_descriptor,
        })
    }

    /// Moves the connection to a descriptor within the limit; waits until one is free.
    async fn with_low_descriptor(
        &self,
        mut accepted: Accepted,
        on_error: impl Fn(&io::Error),
    ) -> Accepted {
        while accepted.socket.descriptor() > self.last_descriptor {
            on_error(&Errno::MFILE.into());
            tokio::time::sleep(PAUSE).await;
            // `dup` gives the lowest free descriptor.
            if let Ok(copy) = accepted.socket.try_clone() {
                accepted.socket = copy;
            }
        }
        accepted
    }

    /// The next connection. This never fails: connections that are gone already are skipped; if descriptors or memory run
    /// out, accepting pauses, and `on_error` is called.
    pub async fn accept(&self, on_error: impl Fn(&io::Error)) -> Accepted {
        loop {
            let accepted = match self.socket.readable().await {
                Ok(mut ready) => ready.try_io(|socket| socket.get_ref().0.accept()),
                Err(error) => Ok(Err(error)),
            };
            match accepted {
                Ok(Ok(accepted)) => return self.with_low_descriptor(accepted, on_error).await,
                Ok(Err(error)) if is_connection_error(&error) => {}
                Ok(Err(error)) => {
                    on_error(&error);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_would_block) => {}
            }
        }
    }
}

/// Whether the error is about the accepted connection only (accept(2), "Error handling").
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    tune(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    bound.set_nonblocking(true)?;
    Ok(bound)
}

fn identity(address: &Address) -> Option<FileIdentity> {
    match address {
        Address::Tcp(_) => None,
        Address::Unix(path) => {
            let file = std::fs::symlink_metadata(path).ok()?;
            Some(file_identity(&file))
        }
    }
}

fn file_identity(file: &Metadata) -> FileIdentity {
    (file.dev(), file.ino())
}

/// Whether a unix socket file was left behind by a process that is gone. A regular file also refuses connections, but must
/// not be removed.
fn is_abandoned(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && try_connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Connects without blocking, even if the accept queue of a busy owner is full.
fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &Path) -> io::Result<Bound> {
        Bound::bind(&Address::Unix(path.into()))
    }

    #[test]
    fn accepted_sockets_have_what_the_listening_one_was_given() {
        let bound = Bound::bind(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let Address::Tcp(address) = bound.address() else {
            panic!("a TCP address was bound");
        };
        let _client = std::net::TcpStream::connect(address).unwrap();
        let AcceptedSocket::Tcp(socket) = bound.accept().unwrap().socket else {
            panic!("a TCP connection was accepted");
        };
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert!(socket.tcp_user_timeout().unwrap().is_some());
        assert!(socket.nonblocking().unwrap());
    }

    #[test]
    fn takes_the_place_of_a_socket_that_nobody_listens_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(bind(&path).unwrap());
        assert!(path.exists());
        assert!(bind(&path).is_ok());
    }

    #[test]
    fn removes_its_own_file_and_not_its_successors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = bind(&path).unwrap();
        std::fs::rename(&path, folder.path().join("aside")).unwrap();
        let second = bind(&path).unwrap();
        first.remove_file();
        assert!(path.exists());
        second.remove_file();
        assert!(!path.exists());
    }

    #[test]
    fn leaves_a_socket_that_is_in_use_and_every_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listening = bind(&path).unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let file = folder.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        assert_eq!(bind(&file).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    }

    #[test]
    fn leaves_a_socket_whose_owner_accepts_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        busy.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        busy.listen(0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
