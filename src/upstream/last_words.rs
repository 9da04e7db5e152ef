//! Lets hyper read an answer that a backend sent before it closed in the middle of an upload.
//!
//! Servers refuse an upload by answering and closing; the unread bytes turn the close into a reset. Then writing fails although
//! the answer can still be read. As hyper gives up at the first write error, this stream hides such errors: reading returns the
//! answer, or the error.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

/// A backend's stream under hyper.
#[derive(Debug)]
pub(super) struct LastWords {
    stream: Stream,
    /// Whether something was written since the last read. Only then are write errors hidden: if the first write of a request
    /// fails, the connection was closed while it was idle, and hyper has to hand the request back.
    has_sent: bool,
}

impl LastWords {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            has_sent: false,
        }
    }

    /// The result of a write for hyper: success with `instead` if the backend has closed.
    fn told<T>(&self, outcome: io::Result<T>, instead: T) -> io::Result<T> {
        match outcome {
            Err(error) if self.has_sent && is_closed(&error) => Ok(instead),
            outcome => outcome,
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

impl AsyncRead for LastWords {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.has_sent = false;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LastWords {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        let count = self.told(written, bytes.len())?;
        self.has_sent = true;
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        let count = self.told(written, slices.iter().map(|slice| slice.len()).sum())?;
        self.has_sent = true;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        Poll::Ready(self.told(flushed, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
