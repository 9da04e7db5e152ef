//! A TCP connection, which receives by epoll or by the ring of its thread.
//!
//! This is the only place where that is decided. A connection begins on epoll. After a few small reads it changes to
//! the ring, where a receive costs less; it changes back when it receives much at a time, for which large reads
//! are faster, or when its peer is slow to take what is sent.
//!
//! Two `unsafe`: how much the peer has yet to acknowledge, and how much it has acknowledged.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{self, Shutdown};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::{Errno, writev};
use rustix::net::sockopt::set_tcp_cork;
use rustix::net::{SendFlags, send};
use rustix::pipe::SpliceFlags;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;

use super::ring::{self, LARGEST_RECEIVE, Leftover, Received, Reception};
use super::{Backlog, gather};

/// How many small reads in a row make a connection change to the ring: about as many as the change costs.
const SMALL_READS: u8 = 4;

/// Up to this many bytes in several slices are copied together before they are sent: that is faster than writev(2).
const SMALL_WRITE: usize = 1024;

/// A TCP connection.
#[derive(Debug)]
pub struct TcpSocket {
    engine: Engine,
    /// How many reads in a row were small.
    small_reads: u8,
    /// Whether the socket was full at the last write.
    is_full: bool,
    /// Whether nothing was written yet. Then the socket has room, although epoll has not reported it yet.
    is_fresh: bool,
}

#[derive(Debug)]
enum Engine {
    Epoll(TcpStream),
    /// Back on epoll, with bytes from the ring that are not read yet.
    Returned(Box<Returned>),
    // The reception is declared first, so that it ends before the socket is closed.
    Ring(Reception, net::TcpStream),
    /// Changing failed, which closed the socket.
    Lost,
}

#[derive(Debug)]
struct Returned {
    rest: Backlog,
    /// How the socket broke while it was on the ring, if it did.
    broken: Option<Errno>,
    socket: TcpStream,
}

impl From<TcpStream> for TcpSocket {
    fn from(socket: TcpStream) -> Self {
        Self {
            engine: Engine::Epoll(socket),
            small_reads: 0,
            is_full: false,
            is_fresh: true,
        }
    }
}

impl TcpSocket {
    /// The socket; `None` if changing failed.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.engine {
            Engine::Epoll(socket) => Some(socket.as_fd()),
            Engine::Returned(returned) => Some(returned.socket.as_fd()),
            Engine::Ring(_, socket) => Some(socket.as_fd()),
            Engine::Lost => None,
        }
    }

    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.socket().map(|socket| socket.as_raw_fd())
    }

    /// Whether it has an error, such as a reset by its peer.
    pub(super) fn is_broken(&self) -> bool {
        match &self.engine {
            // A receive by the ring has taken the error from the socket.
            Engine::Ring(reception, _) if reception.is_broken() => true,
            Engine::Returned(returned) if returned.broken.is_some() => true,
            _ => self.socket().is_none_or(super::is_broken),
        }
    }

    /// Whether the peer has acknowledged all that was sent.
    pub(super) fn has_arrived(&self) -> bool {
        self.unacknowledged() == Some(0)
    }

    /// How many bytes the peer has yet to acknowledge (SIOCOUTQ, tcp(7)). `None` if the system does not know.
    pub(super) fn unacknowledged(&self) -> Option<usize> {
        let Some(socket) = self.socket() else {
            return Some(0);
        };
        let mut unacknowledged: libc::c_int = 0;
        #[expect(unsafe_code, reason = "no library here has this request")]
        // SAFETY: the descriptor is open while `socket` is borrowed, and the request writes one `int`, to a variable
        // that lives through the call.
        let outcome =
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut unacknowledged) };
        let is_known = outcome == 0;
        is_known.then(|| usize::try_from(unacknowledged).unwrap_or(0))
    }

    /// How many bytes the peer has acknowledged in all (TCP_INFO, since Linux 4.1). `None` if the system does not know.
    pub(super) fn acknowledged(&self) -> Option<u64> {
        let socket = self.socket()?;
        let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
        let mut size = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
        #[expect(unsafe_code, reason = "no library here has this option")]
        // SAFETY: the descriptor is open while `socket` is borrowed, and the pointers are those of variables that live through
        // the call, which writes at most `size` bytes.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        #[expect(unsafe_code, reason = "the kernel has filled it")]
        // SAFETY: it consists of integers, and whatever the kernel has not written is zero.
        let info = unsafe { info.assume_init() };
        let acknowledged = info.tcpi_bytes_acked;
        (outcome == 0 && acknowledged > 0).then_some(acknowledged)
    }

    /// As [`Stream::reset_on_close`](super::Stream::reset_on_close).
    pub(super) fn reset_on_close(&self) {
        if let Some(socket) = self.socket() {
            // Fails only if the connection is gone, which is the purpose.
            let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        }
    }

    /// As [`Stream::cork`](super::Stream::cork).
    pub(super) fn cork(&self) {
        if let Some(socket) = self.socket() {
            // Fails only if the connection is gone.
            let _ = set_tcp_cork(socket, true);
        }
    }

    /// As [`Stream::tune_lasting`](super::Stream::tune_lasting).
    pub(super) fn tune_lasting(&self) {
        if let Some(socket) = self.socket()
            && let Err(error) = super::tune_lasting(&SockRef::from(&socket))
        {
            // The peer may be gone already; whoever reads or writes will learn that.
            tracing::debug!(%error, "socket options refused");
        }
    }

    /// Sets TCP_USER_TIMEOUT; `None` for the default of the system.
    pub(super) fn set_user_timeout(&self, timeout: Option<Duration>) {
        if let Some(socket) = self.socket() {
            // Fails only if the connection is gone.
            let _ = SockRef::from(&socket).set_tcp_user_timeout(timeout);
        }
    }

    /// Whether all unread bytes are still in the socket, so that [`Self::poll_splice_to`] can be used.
    pub(super) fn is_on_epoll(&self) -> bool {
        matches!(self.engine, Engine::Epoll(_))
    }

    /// Moves up to `most` received bytes into `pipe`; 0 at the end of the stream.
    pub(super) fn poll_splice_to(
        &mut self,
        context: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let Engine::Epoll(socket) = &self.engine else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        self.small_reads = 0;
        poll_io(
            || socket.poll_read_ready(context),
            || socket.try_io(Interest::READABLE, || splice(socket, pipe, most)),
        )
    }

    /// Sends up to `most` bytes from `pipe`.
    pub(super) fn poll_splice_from(
        &mut self,
        context: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        self.poll_send(
            context,
            |socket, context| {
                poll_io(
                    || socket.poll_write_ready(context),
                    || socket.try_io(Interest::WRITABLE, || splice(pipe, &*socket, most)),
                )
            },
            |socket| splice(pipe, socket, most),
        )
    }

    /// Changes to the ring if there is one and that is better. True if it did: the reader must then poll the ring, as
    /// epoll no longer wakes it.
    fn try_ring(&mut self) -> io::Result<bool> {
        let is_better = self.small_reads >= SMALL_READS && !self.is_full;
        // Without budget left, Pending does not mean that there is nothing to read.
        if !is_better || !ring::is_available() || !coop::has_budget_remaining() {
            return Ok(false);
        }
        self.small_reads = 0;
        self.change(Engine::into_ring)?;
        Ok(true)
    }

    /// Counts small reads in a row.
    fn count_read<T>(&mut self, read: Poll<T>, count: usize) -> Poll<T> {
        if read.is_ready() {
            self.small_reads = match count {
                ..LARGEST_RECEIVE => self.small_reads.saturating_add(1),
                LARGEST_RECEIVE.. => 0,
            };
        }
        read
    }

    fn change(&mut self, into: impl FnOnce(Engine) -> io::Result<Engine>) -> io::Result<()> {
        self.engine = into(std::mem::replace(&mut self.engine, Engine::Lost))?;
        Ok(())
    }

    /// Writes by `poll` on epoll. On the ring, and for the first write, by `send`, which does not wait for room.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        poll: impl Fn(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
        send: impl Fn(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let socket = match &mut self.engine {
                Engine::Epoll(socket) if self.is_fresh => {
                    self.is_fresh = false;
                    match send(socket.as_fd()) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                        sent => return Poll::Ready(sent),
                    }
                }
                Engine::Epoll(socket) => socket,
                Engine::Returned(returned) => &mut returned.socket,
                Engine::Ring(_, socket) => match send(socket.as_fd()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.change(Engine::into_epoll)?;
                        continue;
                    }
                    sent => return Poll::Ready(sent),
                },
                Engine::Lost => return Poll::Ready(Err(lost())),
            };
            let sent = poll(Pin::new(socket), context);
            self.is_full = sent.is_pending();
            return sent;
        }
    }
}

impl Engine {
    fn into_ring(self) -> io::Result<Self> {
        let Self::Epoll(socket) = self else {
            return Ok(self);
        };
        let socket = socket.into_std()?;
        Ok(Self::Ring(Reception::begin(socket.as_fd())?, socket))
    }

    /// Changes back to epoll: from the ring to [`Engine::Returned`], and from there to [`Engine::Epoll`] once the bytes
    /// from the ring are read.
    fn into_epoll(self) -> io::Result<Self> {
        let (reception, socket) = match self {
            Self::Ring(reception, socket) => (reception, socket),
            Self::Returned(returned) => return Ok(Self::Epoll(returned.socket)),
            other => return Ok(other),
        };
        let Leftover {
            rest,
            waker,
            broken,
        } = reception.finish()?;
        let socket = TcpStream::from_std(socket)?;
        if let Some(waker) = waker {
            // The task that waits to read goes on waiting, now on epoll.
            let mut context = Context::from_waker(&waker);
            let has_more = !rest.is_empty() || broken.is_some();
            if has_more || socket.poll_read_ready(&mut context).is_ready() {
                waker.wake();
            }
        }
        Ok(Self::Returned(Box::new(Returned {
            rest,
            broken,
            socket,
        })))
    }
}

impl AsyncRead for TcpSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.engine {
                Engine::Epoll(socket) => {
                    let before = buffer.filled().len();
                    match Pin::new(socket).poll_read(context, buffer) {
                        Poll::Pending if this.try_ring()? => continue,
                        read => return this.count_read(read, buffer.filled().len() - before),
                    }
                }
                Engine::Returned(returned) if !returned.rest.is_empty() => {
                    returned.rest.read(buffer);
                    return Poll::Ready(Ok(()));
                }
                Engine::Returned(returned) => match returned.broken {
                    Some(error) => return Poll::Ready(Err(error.into())),
                    None => this.change(Engine::into_epoll)?,
                },
                Engine::Ring(reception, _) => match ready!(reception.poll_read(context, buffer))? {
                    Received::Bytes => return Poll::Ready(Ok(())),
                    Received::Stopped => this.change(Engine::into_epoll)?,
                },
                Engine::Lost => return Poll::Ready(Err(lost())),
            }
        }
    }
}

impl AsyncWrite for TcpSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(
            context,
            |socket, context| socket.poll_write(context, bytes),
            |socket| Ok(send(socket, bytes, SendFlags::NOSIGNAL)?),
        )
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [bytes] = slices {
            return self.poll_write(context, bytes);
        }
        if slices.iter().map(|slice| slice.len()).sum::<usize>() <= SMALL_WRITE {
            let mut gathered = [0; SMALL_WRITE];
            let count = gather(slices, &mut gathered);
            return self.poll_write(context, &gathered[..count]);
        }
        self.get_mut().poll_send(
            context,
            |socket, context| socket.poll_write_vectored(context, slices),
            |socket| Ok(writev(socket, slices)?),
        )
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().engine {
            Engine::Epoll(socket) => Pin::new(socket).poll_shutdown(context),
            Engine::Returned(returned) => Pin::new(&mut returned.socket).poll_shutdown(context),
            Engine::Ring(_, socket) => Poll::Ready(match socket.shutdown(Shutdown::Write) {
                // As in tokio: the peer is gone, so there is nobody to tell.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                outcome => outcome,
            }),
            Engine::Lost => Poll::Ready(Err(lost())),
        }
    }
}

/// Tries `io` each time that the socket is ready.
fn poll_io<T>(
    mut poll_ready: impl FnMut() -> Poll<io::Result<()>>,
    mut io: impl FnMut() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        ready!(poll_ready())?;
        match io() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return Poll::Ready(outcome),
        }
    }
}

/// Moves up to `most` bytes from `source` to `sink`, one of which is a pipe, without blocking.
pub(super) fn splice(source: impl AsFd, sink: impl AsFd, most: usize) -> io::Result<usize> {
    let moved = rustix::pipe::splice(source, None, sink, None, most, SpliceFlags::NONBLOCK);
    Ok(moved?)
}

fn lost() -> io::Error {
    io::Error::other("the socket was lost when it changed between epoll and io_uring")
}
