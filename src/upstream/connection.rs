//! An HTTP/1.1 connection to a backend for plain requests: whether it may serve another one, and how it ends.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use http::header::{AUTHORIZATION, TRAILER, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::ANSWER_HEAD;
use super::last_words::LastWords;
use super::steering::Steering;
use super::transport::Transport;
use super::upload::{BodyProgress, Upload};
use crate::fields::list_items;
use crate::stream::Stream;

/// The longest that a connection is used for new requests; each has at least half of it. With a request every few seconds it would
/// never expire, though its backend's name leads elsewhere by now, or to more backends.
const LIFETIME: Duration = Duration::from_secs(120);
/// How long the end of a connection in order may take: what is still to be written of a request whose client has left, and the
/// end of TLS.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// A connection to a backend; closed on Drop, even in the middle of an answer. What a full socket has not taken of a whole
/// request is still written, if not too many connections do so already.
#[derive(Debug)]
pub(super) struct Connection {
    /// How it was opened. Requests of a pool with another transport must not use it.
    transport: Arc<Transport>,
    sender: SendRequest<Upload>,
    task: ConnectionTask,
    /// The body of the request that has no answer yet.
    unanswered: Option<Arc<BodyProgress>>,
    /// When it stops serving new requests; random, so that those that were opened together do not end together.
    retires: Instant,
    /// Whether it must not serve another request: its PROXY header names one client, the backend has authenticated the client
    /// for the whole connection, may take unread bytes of this request for the next one, or speaks HTTP/1.0.
    is_spent: bool,
    /// Whether its descriptor [is high](Transport::is_high).
    is_high: bool,
    /// Shared with [`LastWords`].
    steering: Arc<Steering>,
}

impl Connection {
    /// An HTTP/1.1 connection over `stream`, which `transport` has opened.
    pub(super) async fn open(stream: Stream, transport: &Arc<Transport>) -> hyper::Result<Self> {
        stream.tune_lasting();
        let descriptor = stream.descriptor();
        let is_high = descriptor.is_some_and(|it| transport.is_high(it));
        let steering = Arc::<Steering>::default();
        let stream = LastWords::new(stream, Arc::clone(&steering));
        let (sender, connection) = Builder::new()
            .title_case_headers(true)
            .max_buf_size(ANSWER_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        let connection = steered(connection, Arc::clone(&steering));
        Ok(Self {
            transport: Arc::clone(transport),
            sender,
            task: ConnectionTask::spawn(connection),
            unanswered: None,
            retires: Instant::now() + LIFETIME.mul_f32(0.5 + fastrand::f32() / 2.0),
            is_spent: transport.introduces_clients(),
            is_high,
            steering,
        })
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// What went wrong, together with the request if nothing of it was sent.
    pub(super) fn send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<>
    {
        let fields = request.headers();
        // Some servers do not read trailers, or a body that they do not expect, and take them for the next request.
        let is_left_unread = !request.body().is_end_stream()
            && (fields.contains_key(TRAILER) || expects_no_body(request.method()));
        self.is_spent |= is_left_unread || binds(fields, &AUTHORIZATION);
        self.unanswered = Some(request.body().progress());
        self.sender.try_send_request(request)
    }

    /// What tells it whether to go on.
    pub(super) fn steering(&self) -> &Arc<Steering> {
        &self.steering
    }

    /// What holds it back behind each frame of an answer; `None` while the socket has not taken all that hyper has of the request,
    /// as held back it would not write either.
    pub(super) fn pacing(&self) -> Option<Arc<Steering>> {
        (!self.steering.is_full()).then(|| Arc::clone(&self.steering))
    }

    /// An answer with this head has arrived. If it came before the end of the request's body, the client alone decides when
    /// the rest is sent: a backend that does not read it would take it for the next request. After an answer of HTTP/1.0 hyper
    /// would send the next request as HTTP/1.0 too, without its body if that has no length.
    pub(super) fn answered<B>(&mut self, answer: &Response<B>, has_sent_body: bool) {
        self.unanswered = None;
        self.is_spent |= !has_sent_body
            || answer.version() < Version::HTTP_11
            || answer.status() == StatusCode::UNAUTHORIZED
                && binds(answer.headers(), &WWW_AUTHENTICATE);
    }

    /// Whether it may serve another request.
    pub(super) fn is_reusable(&self) -> bool {
        !self.is_spent && !self.is_closed()
    }

    /// Whether a request of a pool with this transport may be sent over it now.
    pub(super) fn is_ready_for(&self, transport: &Arc<Transport>) -> bool {
        self.sender.is_ready() && Arc::ptr_eq(&self.transport, transport)
    }

    /// Whether the backend, or its task, has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it serves no new requests at `now`, because of its age.
    pub(super) fn is_retired(&self, now: Instant) -> bool {
        self.retires <= now
    }

    /// Whether its descriptor is in the upper half of those that the process may have.
    pub(super) fn is_high(&self) -> bool {
        self.is_high
    }
}

/// Drives `connection` while `steering` does not hold it back. To hold back its stream instead would be too late, as hyper
/// allocates before it reads.
async fn steered<C: Future>(connection: C, steering: Arc<Steering>) -> C::Output {
    let mut connection = pin!(connection);
    poll_fn(|context| {
        ready!(steering.poll_free(context));
        connection.as_mut().poll(context)
    })
    .await
}

impl Drop for Connection {
    fn drop(&mut self) {
        let body = self.unanswered.as_ref();
        let is_left_whole = self.steering.is_full() && body.is_some_and(|body| body.is_whole());
        if self.steering.is_idle() {
            self.task.finish(());
        } else if is_left_whole && let Some(place) = self.transport.place_to_finish() {
            self.task.finish(place);
        }
    }
}

/// Whether the body of an answer has no transfer coding except chunked, the only one that hyper decodes.
pub(super) fn is_readable(answer: &HeaderMap) -> bool {
    let mut codings = answer.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

/// The task that drives a connection. Dropping it resets the connection, unless it finishes in order or the backend has
/// closed.
#[derive(Debug)]
pub(super) struct ConnectionTask(Option<JoinHandle<()>>);

impl ConnectionTask {
    /// Spawns `connection`. Its errors are reported to the task that waits for an answer.
    pub(super) fn spawn<T>(connection: impl Future<Output = T> + Send + 'static) -> Self {
        let task = tokio::spawn(async move { drop(connection.await) });
        Self(Some(task))
    }

    /// Lets the connection end in order, as hyper ends it when no request and no answer is in progress on it: everything is
    /// written, then TLS is ended, then TCP. `place` is held until then.
    pub(super) fn finish(&mut self, place: impl Send + 'static) {
        // The runtime is gone when the process ends.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if let Some(task) = self.0.take() {
            runtime.spawn(async move {
                let abort = task.abort_handle();
                // Aborting a task that has ended does nothing.
                let _ = timeout(LAST_WRITES, task).await;
                abort.abort();
                drop(place);
            });
        }
    }
}

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Whether a body has no meaning with this method (RFC 9110 sections 9.3.1 and 9.3.2). DELETE is left out: a body is usual with it,
/// servers that do not read it are rare, and each such request would cost a connection.
fn expects_no_body(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether this field names a scheme that authenticates the whole connection, as NTLM and Negotiate do with IIS.
fn binds(fields: &HeaderMap, name: &HeaderName) -> bool {
    let is_such = |item: &[u8]| {
        let scheme = item.split(|byte| *byte == b' ').next().unwrap_or(item);
        scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
    };
    list_items(fields, name).any(is_such)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;
    use tokio::task::yield_now;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::config;
    use crate::stream::Socket;
    use crate::upstream::idle::{IDLE, IdleConnections};

    async fn open(near: UnixStream, transport: &Arc<Transport>) -> Connection {
        let stream = Stream::Plain(Socket::Unix(near));
        Connection::open(stream, transport).await.unwrap()
    }

    fn transport() -> Arc<Transport> {
        Arc::new(Transport::new(&config::Transport::default(), None))
    }

    /// Sends more than the system's buffers take, gives it up, and waits for `pause`; returns how much of it the backend then
    /// reads.
    async fn read_after_giving_up(transport: &Arc<Transport>, pause: Duration) -> usize {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut connection = open(near, transport).await;
        let upload = Upload::new(None, None, &Arc::default());
        let value = HeaderValue::try_from("x".repeat(LARGE)).unwrap();
        let request = Request::get("/").header("X", value).body(upload).unwrap();
        let mut answer = Box::pin(connection.send(request));
        assert!(timeout(Duration::ZERO, &mut answer).await.is_err());
        for _ in 0..10 {
            yield_now().await;
        }
        drop((answer, connection));
        sleep(pause).await;
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        read.len()
    }

    const LARGE: usize = 4 * 1024 * 1024;

    /// A client posts and leaves, and a busy backend reads it later.
    #[tokio::test]
    async fn what_a_full_socket_has_not_taken_of_a_request_is_not_lost() {
        assert!(read_after_giving_up(&transport(), Duration::ZERO).await > LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_never_reads_is_not_waited_for() {
        assert!(read_after_giving_up(&transport(), LAST_WRITES * 2).await < LARGE);
    }

    /// No other limit counts them.
    #[tokio::test]
    async fn only_so_many_are_left_to_finish() {
        let transport = transport();
        let places: Vec<_> = std::iter::from_fn(|| transport.place_to_finish()).collect();
        assert!(read_after_giving_up(&transport, Duration::ZERO).await < LARGE);
        drop(places);
        assert!(read_after_giving_up(&transport, Duration::ZERO).await > LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_does_not_serve_for_ever() {
        let (near, _far) = UnixStream::pair().unwrap();
        let transport = transport();
        let mut connection = open(near, &transport).await;
        let idle = Arc::<IdleConnections>::default();
        let begun = Instant::now();
        loop {
            yield_now().await;
            idle.put(connection);
            match idle.take(&transport, Instant::now()) {
                Some(taken) => connection = taken,
                None => break,
            }
            advance(IDLE / 2).await;
        }
        assert!((LIFETIME / 2..LIFETIME + IDLE).contains(&begun.elapsed()));
    }
}
