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

/// What is written at once, in bytes. hyper copies each write and keeps up to three of them until the client
/// has room, so this is what bounds a session whose client does not read.
const WRITE: usize = 16 * 1024;

/// What a request that asks to become a session has of its stream.
#[derive(Clone, Debug)]
pub(in crate::listener) struct Claim {
    writer: Writer,
    open: Arc<OpenStream>,
}

impl Claim {
    /// The claim of the request that is being answered, whose stream is `open`.
    pub(super) fn new(open: Arc<OpenStream>) -> Self {
        Self {
            writer: writer(),
            open,
        }
    }

    /// The stream, once hyper has given it up.
    pub(in crate::listener) fn into_stream(self, upgraded: Upgraded) -> Stream {
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

/// A stream that became a session. The connection counts it as open until it is dropped.
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
    /// Whether the writer ended without having been asked to: it does when the client resets the stream.
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
    /// hyper tells a reset as an end. The writer knows better; it hears of a reset together with whoever
    /// reads, so it is given its turn first.
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
