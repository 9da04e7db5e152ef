//! Lets hyper read an answer that a backend sent before it closed in the middle of an upload.
//!
//! Servers refuse an upload by answering and closing; the unread bytes turn the close into a reset. Then writing fails although
//! the answer can still be read. As hyper gives up at the first write error, this stream hides such errors: reading returns the
//! answer, and a reset in place of the end behind it.
//!
//! If it is dropped before the answer has ended the connection is reset, as [`Asked`](super::asked::Asked) is.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::steering::Steering;
use crate::stream::Stream;

/// A backend's stream under hyper.
#[derive(Debug)]
pub(super) struct LastWords {
    stream: Stream,
    /// Whether a reset was hidden. The write took it from the socket, so reading alone would find an end in order, and an answer
    /// without a length would look complete. A broken pipe is told where the backend had ended its stream before.
    has_been_reset: bool,
    /// Whether one of both sides has closed.
    has_ended: bool,
    /// Idle, it is closed in order.
    steering: Arc<Steering>,
}

impl LastWords {
    pub(super) fn new(stream: Stream, steering: Arc<Steering>) -> Self {
        Self {
            stream,
            has_been_reset: false,
            has_ended: false,
            steering,
        }
    }

    /// The result of a write for hyper, once there is one: success with `instead` if the backend has closed.
    fn outcome<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        instead: impl FnOnce() -> T,
    ) -> Poll<io::Result<T>> {
        self.steering.set_full(outcome.is_pending());
        outcome.map(|outcome| match outcome {
            Err(error) if is_closed(&error) => {
                self.has_been_reset |= error.kind() == ErrorKind::ConnectionReset;
                Ok(instead())
            }
            outcome => outcome,
        })
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        if !self.has_ended && !self.steering.is_idle() {
            self.stream.give_up();
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
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.has_ended = buffer.filled().len() == before;
        match self.has_ended && self.has_been_reset {
            true => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for LastWords {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.outcome(written, || bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.outcome(written, || slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.outcome(flushed, || ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.has_ended = true;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
