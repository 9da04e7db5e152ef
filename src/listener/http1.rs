//! One HTTP/1.1 connection: deadlines, refusals, drain; and idle ones, which hyper does not hold.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::answer::Takeover;
use super::body::BusyBody;
use super::client::Client;
use super::connection::Negotiated;
use super::head_clock::{ConnectionState, Expiry, HeadClock};
use super::linger::{PAUSE, linger_for};
use super::pulse::{Busy, Phase, Watched, is_blank};
use super::refusal::Fault;
use super::{Handler, Settings, refusal};
use crate::drain::{DrainWatch, Stage};
use crate::fields::list_has_token;
use crate::mutex::lock;
use crate::stream::Stream;

/// The smallest buffer that hyper accepts, in bytes.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// Serves a connection until it ends, becomes a session, or is refused.
///
/// hyper holds two buffers of 8 KiB for as long as it has a connection. So one that is idle for a while is taken from it,
/// and given back when the client sends the next head.
pub(super) async fn serve<H: Handler>(
    negotiated: Negotiated,
    client: &Arc<Client>,
    watch: &DrainWatch,
    handler: Arc<H>,
) {
    let mut clock = HeadClock::new(client.settings.timeouts.clone(), negotiated.since);
    let mut stream = Watched::new(negotiated.stream);
    loop {
        match serve_until_idle(stream, &mut clock, client, watch, &*handler).await {
            Served::Idle(idle) => stream = idle,
            Served::Ended(ended) => return end(ended, client, watch, &*handler).await,
            Served::TakenOver => return,
        }
        if !wait_for_head(&mut stream, &mut clock, watch).await {
            return shut_down(stream.into_stream(), Duration::ZERO).await;
        }
    }
}

/// What became of a connection that hyper had.
enum Served {
    /// It has been idle for a while.
    Idle(Watched),
    Ended(Ended),
    /// A session has it, or would have had it.
    TakenOver,
}

/// A connection that is to be closed.
struct Ended {
    stream: Watched,
    /// What was wrong with the last head.
    fault: Option<Fault>,
    /// Whether it was idle for too long, or in a head.
    is_late: bool,
    /// Whether an answer broke off. It may have no length, and must not look complete.
    is_broken: bool,
}

/// Lets hyper serve a connection until that has been idle for a while, ends or becomes a session.
async fn serve_until_idle<H: Handler>(
    stream: Watched,
    clock: &mut HeadClock,
    client: &Arc<Client>,
    watch: &DrainWatch,
    handler: &H,
) -> Served {
    let settings = &*client.settings;
    let pulse = Arc::clone(stream.pulse());
    let takeover = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        // Here, not when the future is first polled: hyper reads on before that.
        let busy = pulse.busy(!request.body().is_end_stream());
        // Boxed, as hyper holds room for the future also between requests.
        Box::pin(answer(request, busy, client, handler, &takeover))
    });
    let mut connection = builder(settings).serve_connection(TokioIo::new(stream), service);
    let (mut seen, mut grace) = (None, None);
    // hyper is not told of a drain: it would close the connection under a client that is sending a request. The next answer
    // ends it (see `answer`), or the clock.
    let outcome = poll_fn(|context| {
        let stage = watch.stage();
        // What takes a lock is needed only once for each stage.
        if seen.replace(stage) != Some(stage) {
            grace = (stage > Stage::Open).then(|| watch.idle_grace());
            if watch.poll_beyond(stage, context).is_ready() {
                seen = None;
                context.waker().wake_by_ref();
            }
        }
        if let Poll::Ready(result) = Pin::new(&mut connection).poll(context) {
            return Poll::Ready(Ok(result));
        }
        drop_given_up(&takeover, context);
        let now = ConnectionState::of(&pulse, grace);
        clock.poll(now, context).map(Err)
    })
    .await;

    let Parts { io, read_buf, .. } = connection.into_parts();
    let (stream, unread) = (io.into_inner(), read_buf);
    // hyper is done with a 101 once that is flushed; a client that ends before is an error.
    let is_written = matches!(outcome, Ok(Ok(())));
    if let Some(takeover) = lock(&takeover).take() {
        // Where the client has broken the connection, the backend is told as it is of any other session's client.
        if is_written || is_broken_connection(&outcome) {
            takeover.begin(stream.into_stream(), unread);
        }
        return Served::TakenOver;
    }
    let fault = match &outcome {
        _ if stream.has_fragment() => Some(Fault::bad("The target contains a fragment.")),
        Err(Expiry::Rest) => return Served::Idle(stream.with_unread(unread)),
        Err(Expiry::Timeout) => (!is_blank(&unread)).then_some(Fault::SLOW),
        Ok(Ok(())) => None,
        Ok(Err(error)) => Fault::of(error, &unread, settings),
    };
    Served::Ended(Ended {
        stream,
        fault,
        is_late: outcome.is_err(),
        is_broken: matches!(outcome, Ok(Err(error)) if error.is_user()),
    })
}

/// Whether hyper ended because nothing more can be written to the client.
fn is_broken_connection(outcome: &Result<hyper::Result<()>, Expiry>) -> bool {
    let Ok(Err(error)) = outcome else {
        return false;
    };
    let error = error.source().and_then(|cause| cause.downcast_ref());
    error.is_some_and(|error: &io::Error| {
        matches!(
            error.kind(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
        )
    })
}

/// Drops what waits for the stream if it waits no longer.
fn drop_given_up(takeover: &Mutex<Option<Box<dyn Takeover>>>, context: &mut Context<'_>) {
    let mut takeover = lock(takeover);
    let is_given_up = |it: &mut Box<dyn Takeover>| it.poll_given_up(context).is_ready();
    if takeover.as_mut().is_some_and(is_given_up) {
        *takeover = None;
    }
}

/// Waits for the next head on an idle connection; false if the connection is to be closed.
async fn wait_for_head(stream: &mut Watched, clock: &mut HeadClock, watch: &DrainWatch) -> bool {
    poll_fn(|context| {
        if let Poll::Ready(has_bytes) = stream.poll_client(context) {
            return Poll::Ready(has_bytes);
        }
        let is_draining = watch.poll_beyond(Stage::Open, context).is_ready();
        let grace = is_draining.then(|| watch.idle_grace());
        let now = ConnectionState::of(stream.pulse(), grace);
        while ready!(clock.poll(now, context)) == Expiry::Rest {}
        Poll::Ready(false)
    })
    .await
}

/// Refuses the last head, if it was at fault, and closes the connection.
async fn end<H: Handler>(ended: Ended, client: &Client, watch: &DrainWatch, handler: &H) {
    let Ended {
        stream,
        fault,
        is_late,
        is_broken,
    } = ended;
    let pulse = Arc::clone(stream.pulse());
    let stream = stream.into_stream();
    let is_between = matches!(pulse.phase(), Phase::Head | Phase::Idle);
    match fault {
        // In `Idle`, half a head may have come with the last request.
        Some(Fault { rejection, reason }) if is_between => {
            client.connection.listener.rejected(reason);
            handler.refuse(rejection, None, client);
            refusal::refuse(stream, rejection).await;
        }
        // Dropped without a shutdown.
        _ if is_broken => {}
        // The last body was not read to its end, perhaps.
        _ if pulse.has_body() && !is_late => linger_for(client, watch, stream, PAUSE).await,
        _ if is_between => {
            // A client that is slow may have to take some of the answer first.
            shut_down(stream, if is_late { Duration::ZERO } else { PAUSE }).await;
        }
        _ => {}
    }
}

/// Ends TLS, as a close without close_notify looks like a truncation (RFC 8446 section 6.1). Without `patience` the few bytes are
/// either sent at once or never, which is enough for an idle connection.
async fn shut_down(mut stream: Stream, patience: Duration) {
    if matches!(stream, Stream::Tls(_)) {
        // On an error the client has left.
        let _ = timeout(patience, stream.shutdown()).await;
    }
}

async fn answer<H: Handler>(
    request: Request<Incoming>,
    busy: Busy,
    client: &Arc<Client>,
    handler: &H,
    takeover: &Mutex<Option<Box<dyn Takeover>>>,
) -> Result<Response<BusyBody<Busy>>, Infallible> {
    let is_http10 = request.version() == Version::HTTP_10;
    let answer = handler.handle(request, Arc::clone(client)).await;
    let mut response = answer.response;
    if let Some(waiting) = answer.takeover {
        debug_assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        *lock(takeover) = Some(waiting);
    }
    // To HTTP/1.0, an answer without a length ends with the connection.
    let is_last = client.is_draining() || is_http10 && has_no_length(&response);
    let has_close = (is_last || is_http10) && has_close(&response);
    if is_last && !has_close && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().append(CONNECTION, close);
    }
    if is_http10 && (is_last || has_close) {
        // To a client that asked for keep-alive, hyper would add `Connection: keep-alive` to an answer of HTTP/1.1.
        *response.version_mut() = Version::HTTP_10;
    }
    Ok(response.map(|body| BusyBody::new(body, busy)))
}

fn has_close<B>(response: &Response<B>) -> bool {
    list_has_token(response.headers(), &CONNECTION, "close")
}

fn has_no_length(response: &Response<impl Body>) -> bool {
    response.body().size_hint().exact().is_none()
        && !response.headers().contains_key(CONTENT_LENGTH)
}

fn builder(settings: &Settings) -> Builder {
    let head = settings.limits.request_head;
    let mut builder = Builder::new();
    builder
        .max_header_size(head)
        .max_buf_size(head.max(SMALLEST_BUFFER))
        .header_read_timeout(None)
        .title_case_headers(true);
    builder
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::request;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::drain::Drain;
    use crate::listener::answer::Answer;
    use crate::listener::body::text;
    use crate::listener::fixtures::{client, negotiated};
    use crate::session::Rejection;

    const OPENING: &[u8] =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

    /// What became of a takeover: the bytes with which it began, or that it never did.
    type Teller = mpsc::UnboundedSender<Option<Bytes>>;

    struct Waiting {
        teller: Option<Teller>,
        given_up: oneshot::Receiver<()>,
    }

    impl Takeover for Waiting {
        fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
            Pin::new(&mut self.given_up).poll(context).map(drop)
        }

        fn begin(mut self: Box<Self>, _: Stream, early: Bytes) {
            let teller = self.teller.take();
            teller.unwrap().send(Some(early)).unwrap();
        }
    }

    impl Drop for Waiting {
        fn drop(&mut self) {
            if let Some(teller) = &self.teller {
                teller.send(None).unwrap();
            }
        }
    }

    /// Accepts one session.
    struct Accepting(Mutex<Option<Waiting>>);

    impl Handler for Accepting {
        async fn handle(&self, _: Request<Incoming>, _: Arc<Client>) -> Answer {
            let mut response = Response::new(text(""));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let waiting = lock(&self.0).take().unwrap();
            Answer {
                response,
                takeover: Some(Box::new(waiting)),
            }
        }

        fn refuse(&self, _: Rejection, _: Option<&request::Parts>, _: &Client) {}
    }

    /// Serves the peer of `socket`: what gives its session up, and what becomes of that.
    fn begin(socket: UnixStream) -> (oneshot::Sender<()>, mpsc::UnboundedReceiver<Option<Bytes>>) {
        let (teller, outcome) = mpsc::unbounded_channel();
        let (give_up, given_up) = oneshot::channel();
        let waiting = Waiting {
            teller: Some(teller),
            given_up,
        };
        let handler = Arc::new(Accepting(Mutex::new(Some(waiting))));
        tokio::spawn(async move {
            let watch = Drain::default().watch();
            serve(negotiated(socket), &client(None), &watch, handler).await;
        });
        (give_up, outcome)
    }

    async fn told(outcome: &mut mpsc::UnboundedReceiver<Option<Bytes>>) -> Option<Bytes> {
        let told = timeout(Duration::from_secs(60), outcome.recv()).await;
        told.expect("nothing became of it").unwrap()
    }

    /// A socket to which nothing can be written until its peer reads, and that peer.
    async fn full() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.writable().await.unwrap();
        while ours.try_write(&[0; 4096]).is_ok() {}
        (ours, theirs)
    }

    #[tokio::test]
    async fn a_session_begins_with_what_was_read_behind_its_head() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (_give_up, mut outcome) = begin(ours);
        theirs
            .write_all(&[OPENING, b"early"].concat())
            .await
            .unwrap();
        assert_eq!(told(&mut outcome).await, Some("early".into()));
    }

    #[tokio::test]
    async fn a_session_is_given_up_while_its_answer_waits() {
        let (ours, mut theirs) = full().await;
        let (give_up, mut outcome) = begin(ours);
        theirs.write_all(OPENING).await.unwrap();
        give_up.send(()).unwrap();
        assert_eq!(told(&mut outcome).await, None);
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
        assert!(rest.windows(12).any(|bytes| bytes == b"HTTP/1.1 101"));
    }

    #[tokio::test]
    async fn a_session_begins_whose_client_broke_away_before_its_answer() {
        let (ours, mut theirs) = full().await;
        let (_give_up, mut outcome) = begin(ours);
        // With something behind the head hyper does not read on, and finds it gone only when it writes.
        theirs
            .write_all(&[OPENING, b"early"].concat())
            .await
            .unwrap();
        drop(theirs);
        assert_eq!(told(&mut outcome).await, Some("early".into()));
    }
}
