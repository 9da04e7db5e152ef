//! A byte stream to a client or a backend: TCP, a unix socket, TLS over either, or one stream of a shared
//! connection.
//!
//! An enum rather than a type parameter: the relay is compiled once, and a plain session does not pay for the
//! size of a TLS connection. Nothing here knows a protocol above TLS.

mod backlog;
mod descriptors;
mod ring;
#[cfg(test)]
mod samples;
mod splice;
mod tcp;
mod tls;

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::task::yield_now;

pub use backlog::Backlog;
pub use descriptors::{descriptors, for_connections, last_descriptor};
pub use ring::start as start_ring;
pub use splice::{Spliced, can_splice, poll_splice};
pub use tcp::TcpSocket;
pub use tls::{Refused, SPARE_RECORDS, TlsStream};

/// A socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpSocket),
    /// A unix socket.
    Unix(UnixStream),
    /// A socket whose first bytes were read already, and are read again.
    Replayed(Box<Replayed>),
}

/// A socket, and bytes that come before what it receives.
#[derive(Debug)]
pub struct Replayed {
    rest: Backlog,
    socket: Socket,
}

/// A byte stream to a client or a backend.
#[derive(Debug)]
pub enum Stream {
    /// A socket without TLS.
    Plain(Socket),
    /// TLS over a socket.
    Tls(Box<TlsStream>),
    /// One stream of a connection that others share, such as HTTP/2.
    Shared(Box<dyn SharedStream>),
}

/// One stream of a connection that others share.
pub trait SharedStream: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {
    /// As [`Stream::is_broken`].
    fn is_broken(&self) -> bool;

    /// As [`Stream::reset_on_close`].
    fn reset_on_close(&mut self);
}

/// How long a peer may be silent before the kernel sends a keepalive probe.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// The time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// How long sent bytes may stay unacknowledged before the kernel drops the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest that the kernel accepts: milliseconds in a signed 32-bit number.
const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
/// How many unsent bytes the kernel may hold for a socket (TCP_NOTSENT_LOWAT), and so for each slow peer. The socket is
/// writable again when half of them are sent: in steps of that size the gateway sees that a peer takes bytes.
const NOTSENT_LOWAT: u32 = 128 * 1024;

/// Sets the options of a TCP connection. On Linux, connections inherit them from their listening socket.
///
/// # Errors
/// Those of the system; also if the peer is already gone.
pub fn tune(socket: &SockRef<'_>) -> io::Result<()> {
    tune_at_once(socket)?;
    tune_lasting(socket)
}

/// Sets the options that it needs before the first byte: no Nagle delay, and a limit on unsent bytes.
///
/// # Errors
/// As [`tune`].
pub fn tune_at_once(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT)
}

/// Sets the options of one that lasts: keepalive, and a limit on unacknowledged bytes.
fn tune_lasting(socket: &SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

impl Socket {
    /// Puts back `bytes`, which were read from this socket.
    #[must_use]
    pub fn replay(self, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return self;
        }
        let mut rest = Backlog::default();
        rest.append(bytes);
        Self::Replayed(Box::new(Replayed { rest, socket: self }))
    }

    /// The TCP connection, unless bytes that were put back come first.
    fn tcp(&mut self) -> Option<&mut TcpSocket> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Replayed(replayed) if replayed.rest.is_empty() => replayed.socket.tcp(),
            Self::Unix(_) | Self::Replayed(_) => None,
        }
    }

    /// The TCP connection, also if bytes that were put back come first.
    fn connection(&self) -> Option<&TcpSocket> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Replayed(replayed) => replayed.socket.connection(),
            Self::Unix(_) => None,
        }
    }

    fn descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Tcp(socket) => socket.descriptor(),
            Self::Unix(socket) => Some(socket.as_raw_fd()),
            Self::Replayed(replayed) => replayed.socket.descriptor(),
        }
    }

    fn is_broken(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_broken(),
            Self::Unix(socket) => is_broken(socket.as_fd()),
            Self::Replayed(replayed) => replayed.socket.is_broken(),
        }
    }
}

/// Whether the socket has an error, such as a reset by its peer. This neither reads bytes nor clears the error, as a
/// read or SO_ERROR would.
fn is_broken(socket: BorrowedFd<'_>) -> bool {
    let mut look = [PollFd::new(&socket, PollFlags::empty())];
    poll(&mut look, Some(&Timespec::default())).is_ok()
        && look[0].revents().contains(PollFlags::ERR)
}

impl Stream {
    /// The TCP connection that this stream has for itself.
    fn connection(&self) -> Option<&TcpSocket> {
        match self {
            Self::Plain(socket) => socket.connection(),
            Self::Tls(tls) => tls.socket().connection(),
            Self::Shared(_) => None,
        }
    }

    /// Whether it is a TCP connection of its own, with TLS or without.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.connection().is_some()
    }

    /// The descriptor of its socket, if it has one for itself.
    #[must_use]
    pub fn descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Plain(socket) => socket.descriptor(),
            Self::Tls(tls) => tls.socket().descriptor(),
            Self::Shared(_) => None,
        }
    }

    /// Whether the peer has reset the connection, as far as that is known without reading.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_broken(),
            Self::Tls(tls) => tls.socket().is_broken(),
            Self::Shared(shared) => shared.is_broken(),
        }
    }

    /// Sets the options of a TCP connection that lasts: keepalive, and a limit on unacknowledged bytes.
    pub fn tune_lasting(&self) {
        if let Some(connection) = self.connection() {
            connection.tune_lasting();
        }
    }

    /// Keeps the kernel from dropping a peer that is alive but takes no bytes for `stall` (`None`: however long). By
    /// default it drops such a peer after a minute, like one that has vanished.
    pub fn tolerate_stall(&self, stall: Option<Duration>) {
        if let Some(connection) = self.connection()
            && stall.is_none_or(|stall| stall * 2 > USER_TIMEOUT)
        {
            connection.set_user_timeout(stall.map(|stall| LONGEST_USER_TIMEOUT.min(stall * 2)));
        }
    }

    /// Announces that the next write is the last one and that the sending half is shut down right after it, so that both
    /// leave in one packet (TCP_CORK). If no shutdown follows, the kernel sends the bytes after 200 ms.
    pub fn cork(&self) {
        if let Some(connection) = self.connection() {
            connection.cork();
        }
    }

    /// As [`TlsStream::is_key_used_up`]. Never for a stream of an HTTP/2 connection, which all its streams would have to leave.
    #[must_use]
    pub fn is_key_used_up(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.is_key_used_up(),
            Self::Plain(_) | Self::Shared(_) => false,
        }
    }

    /// How many bytes wait for the peer in TLS and in the kernel, or are on their way to it. As far as that is known: for a
    /// unix socket or a stream of a shared connection it is 0.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        let in_tls = match self {
            Self::Tls(tls) => tls.waiting(),
            Self::Plain(_) | Self::Shared(_) => 0,
        };
        let in_kernel = self.connection().and_then(TcpSocket::unacknowledged);
        in_tls + in_kernel.unwrap_or(0)
    }

    /// How many bytes its peer has acknowledged in all, as far as that is known: as for [`Self::unacknowledged`], `None` where
    /// that is 0.
    #[must_use]
    pub fn acknowledged(&self) -> Option<u64> {
        self.connection().and_then(TcpSocket::acknowledged)
    }

    /// Makes the close a reset, which leaves no port in use, unless the peer would lose bytes that are still on their way.
    pub fn give_up(&self) {
        if let Some(connection) = self.connection()
            && connection.has_arrived()
        {
            connection.reset_on_close();
        }
    }

    /// Makes the close a reset: nothing lingers, and the peer notices at once.
    pub fn reset_on_close(&mut self) {
        if let Self::Shared(shared) = self {
            shared.reset_on_close();
        } else if let Some(connection) = self.connection() {
            connection.reset_on_close();
        }
    }
}

impl Replayed {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        self.rest.read(buffer);
        Poll::Ready(Ok(()))
    }
}

/// The writing methods of a stream, by those of the stream within each of its variants.
macro_rules! delegate_writes {
    ($($variant:pat => $writer:expr),+) => {
        fn poll_write(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            match self.get_mut() {
                $($variant => Pin::new($writer).poll_write(context, bytes)),+
            }
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            slices: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            match self.get_mut() {
                $($variant => Pin::new($writer).poll_write_vectored(context, slices)),+
            }
        }

        fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                $($variant => Pin::new($writer).poll_flush(context)),+
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                $($variant => Pin::new($writer).poll_shutdown(context)),+
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Replayed(replayed) => replayed.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    delegate_writes! {
        Self::Tcp(socket) => socket,
        Self::Unix(socket) => socket,
        Self::Replayed(replayed) => &mut replayed.socket
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(context, buffer),
            Self::Shared(shared) => Pin::new(shared.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    delegate_writes! {
        Self::Plain(socket) => socket,
        Self::Tls(tls) => tls.as_mut(),
        Self::Shared(shared) => shared.as_mut()
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Tls(_) => true,
            Self::Shared(shared) => shared.is_write_vectored(),
        }
    }
}

/// Has the task polled again after all other ready tasks, and after the I/O driver was polled. (A task that wakes itself
/// would run before that.)
pub fn poll_again<T>(context: &mut Context<'_>) -> Poll<T> {
    let _pending = pin!(yield_now()).poll(context);
    Poll::Pending
}

/// Copies `slices` one behind the other into `room`, as far as they fit. Returns the number of bytes.
fn gather(slices: &[io::IoSlice<'_>], room: &mut [u8]) -> usize {
    let mut gathered = 0;
    for slice in slices {
        let count = slice.len().min(room.len() - gathered);
        room[gathered..gathered + count].copy_from_slice(&slice[..count]);
        gathered += count;
    }
    gathered
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_unix_socket_has_a_descriptor_as_well() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let descriptor = socket.as_raw_fd();
        let stream = Stream::Plain(Socket::Unix(socket).replay(b"a"));
        assert_eq!(stream.descriptor(), Some(descriptor));
    }

    #[tokio::test]
    async fn reads_again_what_was_put_back() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"GET / HTTP/1.1").await.unwrap();
        drop(peer);
        let mut socket = Socket::Unix(socket);
        let mut begun = [0; 6];
        socket.read_exact(&mut begun).await.unwrap();
        let mut whole = String::new();
        let mut socket = socket.replay(&begun[3..]).replay(&begun[..3]);
        socket.read_to_string(&mut whole).await.unwrap();
        assert_eq!(whole, "GET / HTTP/1.1");
    }
}
