//! One byte stream to a client or a backend: TCP, a unix socket, TLS over either, or a part of a connection
//! that others share.
//!
//! An enumeration instead of a type parameter: the relay is compiled once, and a plain session does not pay
//! for the size of a TLS connection. No protocol above TLS is known here.

mod backlog;
mod ring;
#[cfg(test)]
mod samples;
mod splice;
mod tcp;
mod tls;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

pub use backlog::Backlog;
pub use ring::start as start_ring;
pub use splice::{Spliced, can_splice, poll_splice};
pub use tcp::TcpSocket;
pub use tls::TlsStream;

/// A socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpSocket),
    /// A unix socket.
    Unix(UnixStream),
    /// A socket whose first bytes have been looked at.
    Replayed(Box<Replayed>),
}

/// A socket, and bytes that were read from it and are to be read again.
#[derive(Debug)]
pub struct Replayed {
    rest: Backlog,
    socket: Socket,
}

/// A byte stream to a client or a backend.
#[derive(Debug)]
pub enum Stream {
    /// Bytes as they are on the socket.
    Plain(Socket),
    /// Bytes under TLS.
    Tls(Box<TlsStream>),
    /// Bytes on a connection that other streams share, such as one of HTTP/2.
    Shared(Box<dyn SharedStream>),
}

/// A stream on a connection that it shares with others.
pub trait SharedStream: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {
    /// As [`Stream::is_broken`].
    fn is_broken(&self) -> bool;

    /// As [`Stream::reset_on_close`].
    fn reset_on_close(&mut self);
}

/// How long a peer may be silent before the kernel asks whether it is there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// Between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// How long sent bytes may stay unacknowledged before the kernel gives the peer up.
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest that the system takes: a number of milliseconds with a sign.
const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
/// How many bytes may wait unsent for a socket to take more, and so in the system for each slow peer. It takes more when half
/// of them are gone: that is how finely it shows that a peer takes something.
const NOTSENT_LOWAT: u32 = 128 * 1024;

/// Sets what every TCP connection has: no Nagle delay, keepalive, bounds on unacknowledged and on unsent bytes. On a
/// listening socket it sets them for all connections accepted from it (Linux hands them down).
///
/// # Errors
/// What the system says; a socket whose peer is already gone refuses too.
pub fn tune(socket: &SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

impl Socket {
    /// Puts back `bytes`, which were read from it.
    #[must_use]
    pub fn replay(self, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return self;
        }
        let mut rest = Backlog::default();
        rest.append(bytes);
        Self::Replayed(Box::new(Replayed { rest, socket: self }))
    }

    /// The TCP connection, where that is what would be read from next.
    fn tcp(&mut self) -> Option<&mut TcpSocket> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Replayed(replayed) if replayed.rest.is_empty() => replayed.socket.tcp(),
            Self::Unix(_) | Self::Replayed(_) => None,
        }
    }

    fn is_broken(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_broken(),
            Self::Unix(socket) => is_broken(socket.as_fd()),
            Self::Replayed(replayed) => replayed.socket.is_broken(),
        }
    }

    fn set_user_timeout(&self, timeout: Option<Duration>) {
        match self {
            Self::Tcp(socket) => socket.set_user_timeout(timeout),
            Self::Unix(_) => {}
            Self::Replayed(replayed) => replayed.socket.set_user_timeout(timeout),
        }
    }

    fn reset_on_close(&self) {
        match self {
            Self::Tcp(socket) => socket.reset_on_close(),
            Self::Unix(_) => {}
            Self::Replayed(replayed) => replayed.socket.reset_on_close(),
        }
    }
}

/// Whether the socket has an error, such as a reset by its peer. Unlike reading it this takes no bytes, and
/// unlike asking for the error it leaves it there.
fn is_broken(socket: BorrowedFd<'_>) -> bool {
    let mut look = [PollFd::new(&socket, PollFlags::empty())];
    poll(&mut look, Some(&Timespec::default())).is_ok()
        && look[0].revents().contains(PollFlags::ERR)
}

impl Stream {
    /// Whether the peer has reset it, as far as that shows without reading.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_broken(),
            Self::Tls(tls) => tls.socket().is_broken(),
            Self::Shared(shared) => shared.is_broken(),
        }
    }

    /// Has a peer that is there, but takes nothing for so long, not be taken for one that vanished; none for any time. The
    /// system gives both up after a minute otherwise.
    pub fn bear_with(&self, patience: Option<Duration>) {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.socket(),
            Self::Shared(_) => return,
        };
        if patience.is_none_or(|patience| patience * 2 > USER_TIMEOUT) {
            socket
                .set_user_timeout(patience.map(|patience| LONGEST_USER_TIMEOUT.min(patience * 2)));
        }
    }

    /// Makes the coming close a reset, so that nothing lingers and the peer notices at once.
    pub fn reset_on_close(&mut self) {
        match self {
            Self::Plain(socket) => socket.reset_on_close(),
            Self::Tls(tls) => tls.socket().reset_on_close(),
            Self::Shared(shared) => shared.reset_on_close(),
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
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Replayed(replayed) => Pin::new(&mut replayed.socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(context),
            Self::Unix(socket) => Pin::new(socket).poll_flush(context),
            Self::Replayed(replayed) => Pin::new(&mut replayed.socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Replayed(replayed) => Pin::new(&mut replayed.socket).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Replayed(replayed) => {
                Pin::new(&mut replayed.socket).poll_write_vectored(context, slices)
            }
        }
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
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(context, bytes),
            Self::Shared(shared) => Pin::new(shared.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(context),
            Self::Shared(shared) => Pin::new(shared.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(context),
            Self::Shared(shared) => Pin::new(shared.as_mut()).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(context, slices),
            Self::Shared(shared) => Pin::new(shared.as_mut()).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Tls(_) => true,
            Self::Shared(shared) => shared.is_write_vectored(),
        }
    }
}

/// Puts `slices` side by side into `room`, as far as they fit; how many bytes that is.
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
