//! Connections for plain requests: one HTTP/1.1 connection to a backend, and those that rest until the next
//! request.
//!
//! A connection stays with the worker that opened it: its task, its timers and its socket live in that
//! runtime, so every worker has a shelf of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use http::header::{AUTHORIZATION, TRAILER, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::ANSWER_HEAD;
use super::last_words::LastWords;
use super::transport::Transport;
use super::upload::Upload;
use crate::stream::Stream;
use crate::websocket::list_items;

/// How long a connection may rest. Shorter than what common servers grant (Node and Apache 5 s), so that a
/// request seldom meets a connection that is just being closed.
const REST: Duration = Duration::from_secs(4);
/// How many connections of a backend rest on one worker.
const SHELF: usize = 256;

/// A connection to a backend; closed when dropped, whatever goes over it.
#[derive(Debug)]
pub(super) struct Connection {
    /// How it was opened: with which certificates, from which address.
    transport: Arc<Transport>,
    sender: SendRequest<Upload>,
    _task: ConnectionTask,
    /// Whether its last request was the last one: it means something to the backend from then on, which the next
    /// client would get the benefit of.
    is_spent: bool,
}

impl Connection {
    /// Speaks HTTP/1.1 over `stream`, which `transport` has opened.
    pub(super) async fn open(stream: Stream, transport: &Arc<Transport>) -> hyper::Result<Self> {
        let (sender, connection) = Builder::new()
            .title_case_headers(true)
            .max_buf_size(ANSWER_HEAD)
            .handshake(TokioIo::new(LastWords::new(stream)))
            .await?;
        Ok(Self {
            transport: Arc::clone(transport),
            sender,
            _task: ConnectionTask::spawn(connection),
            is_spent: false,
        })
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// What went wrong; the request with it, where nothing of it was sent.
    pub(super) fn send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<>
    {
        let fields = request.headers();
        // There are servers that take trailers for fields of the next request, and others the body, where they expect none.
        let is_left_unread = !request.body().is_end_stream()
            && (fields.contains_key(TRAILER) || expects_no_body(request.method()));
        self.is_spent |= is_left_unread || binds(fields, &AUTHORIZATION);
        self.sender.try_send_request(request)
    }

    /// An answer with this head has come over it.
    pub(super) fn answered<B>(&mut self, answer: &Response<B>) {
        self.is_spent |= answer.status() == StatusCode::UNAUTHORIZED
            && binds(answer.headers(), &WWW_AUTHENTICATE);
    }
}

/// Whether the body of an answer has no coding but chunks, the only one that hyper undoes.
pub(super) fn is_readable(answer: &HeaderMap) -> bool {
    let mut codings = answer.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

/// What moves the bytes of a connection; closes it when dropped, whatever goes over it.
#[derive(Debug)]
pub struct ConnectionTask(AbortHandle);

impl ConnectionTask {
    /// Moves them from now on. What goes wrong is told to whoever waits for an answer.
    pub(super) fn spawn<T>(connection: impl Future<Output = T> + Send + 'static) -> Self {
        let task = tokio::spawn(async move { drop(connection.await) });
        Self(task.abort_handle())
    }
}

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether a body is given no meaning there (RFC 9110 sections 9.3.1 and 9.3.2). It has none with DELETE either, but is usual, and
/// servers that take it for a request are not: each would cost a connection.
fn expects_no_body(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether what this field names proves for a whole connection who the client is, as IIS takes NTLM and Negotiate.
fn binds(fields: &HeaderMap, name: &HeaderName) -> bool {
    let is_such = |item: &[u8]| {
        let scheme = item.split(|byte| *byte == b' ').next().unwrap_or(item);
        scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
    };
    list_items(fields, name).any(is_such)
}

/// The connections of one backend that rest.
#[derive(Debug, Default)]
pub(super) struct Resting(Mutex<Vec<Shelf>>);

/// Those of one worker.
#[derive(Debug)]
struct Shelf {
    worker: ThreadId,
    /// The last one put down is the first one taken: the others may then come of age.
    connections: Vec<(Instant, Connection)>,
    /// Whether somebody clears it.
    is_swept: bool,
}

impl Resting {
    /// Takes a connection of this worker that is ready for a request `now` and was opened by `transport`. Others, of
    /// before a reload, rest until they are too old.
    pub(super) fn take(&self, transport: &Arc<Transport>, now: Instant) -> Option<Connection> {
        let mut shelves = self.shelves();
        let shelf = shelf_of(thread::current().id(), &mut shelves);
        let is_fit = |(since, connection): &(Instant, Connection)| {
            connection.sender.is_ready()
                && Arc::ptr_eq(&connection.transport, transport)
                && now.saturating_duration_since(*since) < REST
        };
        let index = shelf.connections.iter().rposition(is_fit)?;
        Some(shelf.connections.remove(index).1)
    }

    /// Puts down a connection whose last answer has ended.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        if connection.is_spent || connection.sender.is_closed() {
            return;
        }
        let worker = thread::current().id();
        let mut shelves = self.shelves();
        let shelf = shelf_of(worker, &mut shelves);
        if shelf.connections.len() >= SHELF {
            return;
        }
        shelf.connections.push((Instant::now(), connection));
        if !shelf.is_swept {
            shelf.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), worker));
        }
    }

    /// Closes what has rested for too long; whether anything is left.
    fn clear(&self, worker: ThreadId) -> bool {
        let mut shelves = self.shelves();
        let shelf = shelf_of(worker, &mut shelves);
        shelf
            .connections
            .retain(|(since, connection)| since.elapsed() < REST && !connection.sender.is_closed());
        shelf.is_swept = !shelf.connections.is_empty();
        shelf.is_swept
    }

    fn shelves(&self) -> MutexGuard<'_, Vec<Shelf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shelf of `worker`. There are as few as threads, so looking at each takes less than hashing.
fn shelf_of(worker: ThreadId, shelves: &mut Vec<Shelf>) -> &mut Shelf {
    let found = shelves.iter().position(|shelf| shelf.worker == worker);
    let place = found.unwrap_or_else(|| {
        shelves.push(Shelf {
            worker,
            connections: Vec::new(),
            is_swept: false,
        });
        shelves.len() - 1
    });
    &mut shelves[place]
}

/// Clears a shelf from time to time as long as something lies there.
async fn sweep(resting: Weak<Resting>, worker: ThreadId) {
    loop {
        sleep(REST / 2).await;
        if !resting
            .upgrade()
            .is_some_and(|resting| resting.clear(worker))
        {
            return;
        }
    }
}
