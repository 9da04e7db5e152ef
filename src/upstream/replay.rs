//! A final answer that is not a 101, read by hyper although the gateway wrote the request itself.
//!
//! The gateway writes the opening handshake itself because the spelling of its fields matters, and reads the head of the answer
//! itself because that is nearly always a 101. All other answers (with lengths, chunks, trailers) are left to hyper: it is given
//! the bytes that were read so far and the socket, and a dummy request whose bytes are discarded, as the real one was sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::asked::Asked;
use super::connection::{ConnectionTask, is_readable};
use super::failure::Failure;
use crate::stream::Backlog;

/// Reads the answer that begins with `received` and continues in `stream`. The task ends with the answer: as the sender is
/// dropped, hyper closes after the last byte, or when the body is dropped.
///
/// # Errors
/// What is wrong with the answer.
pub(super) async fn answer(
    stream: Asked,
    received: &[u8],
) -> Result<(Response<Incoming>, ConnectionTask), Failure> {
    let mut rest = Backlog::default();
    rest.append(received);
    let replay = Replay {
        received: rest,
        held: Some(None),
        stream,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(replay))
        .await
        .map_err(|_| UNSOUND)?;
    let task = ConnectionTask::spawn(connection);
    let answer = sender.send_request(Request::new(Empty::<Bytes>::new()));
    let answer = answer.await.map_err(|_| UNSOUND)?;
    match is_readable(answer.headers()) {
        true => Ok((answer, task)),
        false => Err(Failure::UnknownCoding),
    }
}

const UNSOUND: Failure = Failure::Broken("the answer is not valid HTTP");

/// A stream that first returns bytes that were read before, and discards what is written.
///
/// Reads wait for the first write: hyper accepts an answer only after it has sent the request.
#[derive(Debug)]
struct Replay {
    received: Backlog,
    /// Some until the first write; holds the waker of a reader that waits for it.
    held: Option<Option<Waker>>,
    stream: Asked,
}

impl AsyncRead for Replay {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(reader) = &mut self.held {
            *reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        if self.received.is_empty() {
            return Pin::new(&mut *self.stream).poll_read(context, buffer);
        }
        self.received.read(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(reader) = self.held.take().flatten() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The answer is there, and nobody uses the connection again.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_end(context)
    }
}
