//! How the holder of a connection to a backend steers it under hyper.
//!
//! By itself hyper reads the next piece of an answer, up to 64 KiB, while the piece before it waits for a client that reads
//! slowly. Held back, it reads only when that client has taken what there is: a download that nobody reads holds one piece,
//! not two or three.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::mutex::lock;

/// What one connection is told, and tells.
#[derive(Debug, Default)]
pub(super) struct Steering {
    is_idle: AtomicBool,
    is_full: AtomicBool,
    hold: AtomicU8,
    /// The task of the connection, if it found itself held back.
    waiting: Mutex<Option<Waker>>,
}

/// Whether a connection is held back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Hold {
    Free,
    Held,
    /// Held, and its task waits to be woken.
    Awaited,
}

impl Steering {
    /// Whether the connection waits for a request.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Relaxed)
    }

    pub(super) fn set_idle(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
    }

    /// Whether the socket has not taken all that hyper wants to write.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Holds the connection back until [`release`](Self::release).
    fn hold(&self) {
        self.hold.store(Hold::Held as u8, Ordering::Release);
    }

    fn release(&self) {
        let is = |hold: u8, other: Hold| hold == other as u8;
        if is(self.hold.load(Ordering::Relaxed), Hold::Free) {
            return;
        }
        let before = self.hold.swap(Hold::Free as u8, Ordering::AcqRel);
        if is(before, Hold::Awaited)
            && let Some(waker) = lock(&self.waiting).take()
        {
            waker.wake();
        }
    }

    /// Ready unless the connection is held back; then the task is woken when it no longer is.
    pub(super) fn poll_free(&self, context: &Context<'_>) -> Poll<()> {
        if self.hold.load(Ordering::Acquire) == Hold::Free as u8 {
            return Poll::Ready(());
        }
        let mut waiting = lock(&self.waiting);
        *waiting = Some(context.waker().clone());
        let [held, awaited] = [Hold::Held, Hold::Awaited].map(|it| it as u8);
        let order = (Ordering::AcqRel, Ordering::Acquire);
        match self.hold.compare_exchange(held, awaited, order.0, order.1) {
            Err(before) if before != awaited => {
                *waiting = None;
                Poll::Ready(())
            }
            Ok(_) | Err(_) => Poll::Pending,
        }
    }
}

/// The body of an answer. Behind each of its frames the connection is held back until the body is polled again, so until
/// the client has taken that frame.
pub struct Paced {
    body: Incoming,
    /// `None` where the connection is not held back.
    steering: Option<Arc<Steering>>,
}

impl Paced {
    pub(super) fn new(body: Incoming, steering: Option<Arc<Steering>>) -> Self {
        Self { body, steering }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(steering) = &self.steering {
            steering.release();
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Some(steering), Poll::Ready(Some(Ok(frame)))) = (&self.steering, &polled)
            && frame.is_data()
            && !self.body.is_end_stream()
        {
            steering.hold();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use http::{HeaderValue, Request};
    use tokio::time::{sleep, timeout};

    use super::super::connection::Connection;
    use super::super::transport::Transport;
    use super::super::upload::{BodyProgress, Upload};
    use super::*;
    use crate::config;
    use crate::stream::{Socket, Stream};

    /// Writes until the other side has not read for a while; how many bytes it took.
    async fn fill(mut far: &UnixStream) -> usize {
        let mut taken = 0;
        let mut idle_turns = 0;
        while idle_turns < 20 {
            match far.write(&[b'x'; 4096]) {
                Ok(count) => (taken, idle_turns) = (taken + count, 0),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    sleep(Duration::from_millis(1)).await;
                    idle_turns += 1;
                }
            }
        }
        taken
    }

    /// Sends a request with a field of `length` bytes and takes the head of its answer; returns the connection, the body of the
    /// answer, and the backend's side.
    async fn answered(length: usize) -> (Connection, Paced, UnixStream) {
        let (near, mut far) = UnixStream::pair().unwrap();
        for socket in [&near, &far] {
            socket.set_nonblocking(true).unwrap();
        }
        let near = near.try_into().unwrap();
        let transport = Arc::new(Transport::new(&config::Transport::default(), None));
        let stream = Stream::Plain(Socket::Unix(near));
        let mut connection = Connection::open(stream, &transport).await.unwrap();
        let upload = Upload::new(None, None, &BodyProgress::of_none());
        let field = HeaderValue::try_from("x".repeat(length)).unwrap();
        let request = Request::get("/").header("X", field).body(upload).unwrap();
        let answer = connection.send(request);
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n";
        far.write_all(head).unwrap();
        let answer = answer.await.map_err(|_| "refused").unwrap();
        let body = Paced::new(answer.into_body(), connection.pacing());
        (connection, body, far)
    }

    /// The length of the next frame.
    async fn frame(body: &mut Paced) -> usize {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        frame.unwrap().unwrap().into_data().unwrap().len()
    }

    #[tokio::test]
    async fn nothing_is_read_while_a_frame_waits_for_the_client() {
        let (_connection, mut body, far) = answered(1).await;
        fill(&far).await;
        assert!(frame(&mut body).await > 0);
        assert_eq!(fill(&far).await, 0, "read ahead of the client");
        for _ in 0..2 {
            assert!(frame(&mut body).await > 0);
        }
    }

    /// The backend answers before it reads. A client that waits for what its request does would wait for ever.
    #[tokio::test]
    async fn the_rest_of_a_request_is_written_while_a_frame_waits_for_the_client() {
        const LENGTH: usize = 4 * 1024 * 1024;
        let (_connection, mut body, mut far) = answered(LENGTH).await;
        far.write_all(b"frame").unwrap();
        assert!(frame(&mut body).await > 0);
        let reading = timeout(Duration::from_secs(10), read(far, LENGTH));
        assert!(reading.await.is_ok(), "it is held back");
    }

    /// Reads until there were `length` bytes.
    async fn read(mut far: UnixStream, length: usize) {
        let (mut taken, mut buffer) = (0, vec![0; 65_536]);
        while taken < length {
            match far.read(&mut buffer) {
                Ok(count @ 1..) => taken += count,
                Ok(0) | Err(_) => sleep(Duration::from_millis(1)).await,
            }
        }
    }
}
