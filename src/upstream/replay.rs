//! A final answer that is not a 101, read by hyper although the gateway wrote the request.
//!
//! The opening handshake is written by hand because its spelling matters, and its answer is looked at by
//! hand because it nearly always is a 101. Everything else that HTTP allows an answer to be (lengths,
//! chunks, trailers) is hyper's: it is given the bytes that came so far and the socket, and a request whose
//! bytes go nowhere, since the true one has been sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{ConnectionTask, is_readable};
use super::handshake::Failure;
use crate::stream::Stream;

/// Reads the answer that begins with `received` and goes on in `stream`. The task ends with the answer: once the sender is
/// gone, hyper closes after the last byte, or when the body is dropped.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn answer(
    stream: Stream,
    received: &[u8],
) -> Result<(Response<Incoming>, ConnectionTask), Failure> {
    let replay = Replay {
        received: received.to_vec(),
        replayed: 0,
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

const UNSOUND: Failure = Failure::Broken("the answer is no sound HTTP");

/// A stream whose first bytes have been read before, and whose writes go nowhere.
///
/// Nothing is read before the first write: hyper takes an answer only once it has sent the request.
#[derive(Debug)]
struct Replay {
    received: Vec<u8>,
    replayed: usize,
    /// Some until the first write; who wants to read then.
    held: Option<Option<Waker>>,
    stream: Stream,
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
        let rest = &self.received[self.replayed..];
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.replayed += count;
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

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        Poll::Ready(Ok(()))
    }
}
