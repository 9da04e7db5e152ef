//! What an HTTP/1.1 connection is doing, as far as its deadlines and refusals depend on it.
//!
//! hyper has a single timeout for a request head, which also runs while a connection is idle between requests, and it answers
//! a bad head with a bare status. The [`Watched`] stream tells the phases apart: it sees when the first byte of a head
//! arrives and when an answer has been written. While no request is in progress it discards what hyper writes, so that the
//! connection can send its own refusal. While one is, it delays the end of the stream.
//!
//! It also refuses a target with a [fragment](RequestLine), gives up a unix socket that takes nothing of an answer, and knows
//! that nothing more of a body arrives where the client has ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::body::Room;
use super::request_line::RequestLine;
use crate::stream::Stream;

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Phase {
    /// Waiting for a request head, or reading it.
    Head,
    /// A request is being answered.
    Busy,
    /// The answer is complete, but may not be flushed yet.
    Answered,
    /// Between two requests, or with the first bytes of a head that were read together with the last request.
    Idle,
}

/// The phase of one connection, the number of its requests, whether the last one had a body, and whether the client takes bytes.
#[derive(Debug)]
pub(super) struct Pulse {
    phase: AtomicU8,
    requests: AtomicU32,
    has_body: AtomicBool,
    is_full: AtomicBool,
}

impl Pulse {
    /// For a connection that has just been accepted.
    fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(Phase::Head as u8),
            requests: AtomicU32::new(0),
            has_body: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
        })
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Head,
            1 => Phase::Busy,
            2 => Phase::Answered,
            _ => Phase::Idle,
        }
    }

    /// How many requests have begun. The phase alone can miss one that came and went between two polls.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether the last request had a body, of which some may still arrive after its answer.
    pub(super) fn has_body(&self) -> bool {
        self.has_body.load(Ordering::Relaxed)
    }

    /// Nothing more arrives.
    fn body_has_ended(&self) {
        self.has_body.store(false, Ordering::Relaxed);
    }

    /// Notes whether the stream took what was written to it.
    fn written<T>(&self, written: &Poll<T>) {
        self.is_full.store(written.is_pending(), Ordering::Relaxed);
    }

    /// Begins a request; it is in progress until the guard is dropped.
    pub(super) fn busy(self: &Arc<Self>, has_body: bool) -> Busy {
        self.has_body.store(has_body, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Busy);
        Busy(Arc::clone(self))
    }

    /// Notes that hyper writes. True if that is to be discarded, as it can only be hyper's own bare status. In `Idle` it is the
    /// answer to a head that was read together with the last request, so the connection is in that head now.
    fn note_write(&self) -> bool {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head);
        }
        self.phase() == Phase::Head
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }
}

/// A request in progress; dropped with the body of its answer.
#[derive(Debug)]
pub(super) struct Busy(Arc<Pulse>);

impl Room for Busy {
    fn is_full(&self) -> bool {
        self.0.is_full.load(Ordering::Relaxed)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(Phase::Answered);
    }
}

/// How long the end of the client's sending half is hidden from hyper while a request is in progress. Many clients send a
/// request and close without waiting for the answer; this gives the request time to reach the backend.
const HALF_CLOSE_GRACE: Duration = Duration::from_secs(1);

/// How long a unix socket may take nothing of an answer; as long as the kernel gives TCP.
const LONGEST_STALL: Duration = Duration::from_secs(60);

/// How many bytes are read to learn that there are some. They are copied once more when hyper reads.
const FIRST_READ: usize = 64;

/// A client's stream under hyper.
#[derive(Debug)]
pub(super) struct Watched {
    stream: Stream,
    pulse: Arc<Pulse>,
    request_line: RequestLine,
    /// Bytes that were read before hyper asks for them; all of them belong to a head, so none are left when that is complete.
    ahead: Bytes,
    /// Set when the end of the stream was read during a request.
    half_close_grace: Option<Pin<Box<Sleep>>>,
    /// Set while a unix socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            pulse: Pulse::new(),
            request_line: RequestLine::Awaited,
            ahead: Bytes::new(),
            half_close_grace: None,
            stalled: None,
        }
    }

    /// Whether it failed because a request target has a fragment, which RFC 9112 section 3.2 does not know.
    pub(super) fn has_fragment(&self) -> bool {
        self.request_line == RequestLine::HasFragment
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// The stream of a connection that hyper has given up; `unread` is all that it had read of the next head.
    pub(super) fn with_unread(self, unread: Bytes) -> Self {
        let ahead = match is_blank(&unread) {
            true => Bytes::new(),
            false => unread,
        };
        Self { ahead, ..self }
    }

    /// Ready with true when there is something to read, with false when the client is gone.
    pub(super) fn poll_client(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if self.ahead.is_empty() {
            let mut first = [0; FIRST_READ];
            let mut first = ReadBuf::new(&mut first);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut first));
            if read.is_ok() {
                self.ahead = Bytes::copy_from_slice(first.filled());
            }
        }
        Poll::Ready(!self.ahead.is_empty())
    }

    /// Reads from the stream, behind what was read ahead.
    fn poll_stream(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead.split_to(count));
        Poll::Ready(Ok(()))
    }

    /// What is made of an attempt to write. The kernel ends a TCP connection whose client takes nothing, but no unix socket.
    fn poll_written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.pulse.written(&written);
        if written.is_ready() {
            self.stalled = None;
        } else if !self.stream.is_tcp() {
            let begin = || Box::pin(sleep(LONGEST_STALL));
            let stalled = self.stalled.get_or_insert_with(begin);
            ready!(stalled.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }
}

/// Whether there is nothing but empty lines, which some clients send behind a body (RFC 9112 section 2.2); no head begins with them.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.half_close_grace.is_none() {
            ready!(self.poll_stream(context, buffer))?;
        }
        let has_ended = buffer.filled().len() == before;
        match self.pulse.phase() {
            // At the end of the stream hyper drops the request.
            Phase::Busy if has_ended => {
                let begin = || Box::pin(sleep(HALF_CLOSE_GRACE));
                let half_close_grace = self.half_close_grace.get_or_insert_with(begin);
                ready!(half_close_grace.as_mut().poll(context));
            }
            // hyper skips empty lines, or needs them for the end of a head that it holds the beginning of.
            Phase::Idle if is_blank(&buffer.filled()[before..]) => {}
            Phase::Idle => {
                self.pulse.enter(Phase::Head);
                self.request_line = RequestLine::Awaited;
            }
            _ => {}
        }
        if has_ended {
            self.pulse.body_has_ended();
        }
        self.request_line.follow(&buffer.filled()[before..]);
        if self.has_fragment() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.pulse.note_write() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.poll_written(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        ready!(self.poll_written(context, flushed))?;
        // hyper writes its own buffer before it flushes the stream.
        if self.pulse.phase() == Phase::Answered {
            self.pulse.enter(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    /// The end of the connection is not hyper's: it may be refused, or its client may still send.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.pulse.note_write() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.poll_written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;
    use tokio::time::Instant;

    use super::*;
    use crate::stream::Socket;

    #[tokio::test(start_paused = true)]
    async fn a_client_at_a_unix_socket_that_reads_nothing_is_given_up() {
        let (near, _far) = UnixStream::pair().unwrap();
        let mut stream = Watched::new(Stream::Plain(Socket::Unix(near)));
        let _busy = stream.pulse().busy(false);
        let begun = Instant::now();
        let written = stream.write_all(&[0; 4 * 1024 * 1024]).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= LONGEST_STALL);
    }
}
