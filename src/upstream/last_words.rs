//! A backend that closes before it has read a whole request may have answered it.
//!
//! Servers refuse an upload so: they answer and close, and what they have not read makes that a reset. Writing fails
//! then while the answer is here to be read. hyper gives up at the first failure, so writing does not fail: reading
//! tells what the backend said, or that it is gone.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

/// A backend's stream under hyper.
#[derive(Debug)]
pub(super) struct LastWords {
    stream: Stream,
    /// Whether something was sent since the backend last said something. The first that is sent of a request may
    /// fail: a connection that was closed while it rested is no failure.
    has_sent: bool,
}

impl LastWords {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            has_sent: false,
        }
    }

    /// What hyper is told that writing came to: `instead`, where the backend has closed.
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
