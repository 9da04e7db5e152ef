//! The stream of a session on an HTTP/2 connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::spawn::{Writer, writer};
use super::streams::OpenStream;
use crate::stream::{SharedStream, Stream};

/// The largest write, in bytes. hyper copies each write and queues up to three of them, so this bounds the memory of a
/// session whose client does not read.
const WRITE: usize = 16 * 1024;

/// What a request needs to take its stream over as a session.
#[derive(Debug)]
pub(super) struct Claim {
    writer: Writer,
    open: Arc<OpenStream>,
}

impl Claim {
    /// For the request that is being answered; its stream is `open`.
    pub(super) fn new(open: Arc<OpenStream>) -> Self {
        Self {
            writer: writer(),
            open,
        }
    }

    /// The stream, after hyper has handed it over.
    pub(super) fn into_stream(self, upgraded: Upgraded) -> Stream {
        Stream::Shared(Box::new(SessionStream {
            bytes: TokioIo::new(upgraded),
            writer: self.writer,
            has_read_end: false,
            is_shut: false,
            resets: false,
            _open: self.open,
        }))
    }
}

/// The stream of a session. It counts as open until it is dropped.
#[derive(Debug)]
struct SessionStream {
    bytes: TokioIo<Upgraded>,
    writer: Writer,
    has_read_end: bool,
    is_shut: bool,
    resets: bool,
    _open: Arc<OpenStream>,
}

impl SessionStream {
    /// Whether the writer task ended without a shutdown, as it does when the client resets the stream.
    fn has_lost_writer(&self) -> bool {
        let is_finished = self.writer.get().is_none_or(|writer| writer.is_finished());
        is_finished && !self.is_shut
    }
}

impl SharedStream for SessionStream {
    fn is_broken(&self) -> bool {
        self.has_lost_writer()
    }

    fn reset_on_close(&mut self) {
        self.resets = true;
    }
}

impl AsyncRead for SessionStream {
    /// hyper reports a reset as an end of the stream. Only the writer task shows the difference; it is woken by a reset as
    /// well, so at the end this waits one turn for it.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.has_read_end {
            ready!(Pin::new(&mut self.bytes).poll_read(context, buffer))?;
            if buffer.filled().len() > before || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            self.has_read_end = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.has_lost_writer() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SessionStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let part = &bytes[..bytes.len().min(WRITE)];
        Pin::new(&mut self.bytes).poll_write(context, part)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        Pin::new(&mut self.bytes).poll_shutdown(context)
    }
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        if let (true, Some(writer)) = (self.resets, self.writer.get()) {
            writer.abort();
        }
    }
}
