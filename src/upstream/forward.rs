//! Sending a plain request to a pool: candidates in order, each over an idle connection or a new one, until one answers.
//!
//! A request is retried only if no backend can have acted on it twice: if nothing of it was sent, or if its method is idempotent
//! (RFC 9110 section 9.2.2) and it has no body. It is never retried after the head of an answer.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Pool;
use super::backend::{Lease, Member};
use super::balancer::Purpose;
use super::candidates::{Candidate, Hints, Setback as _};
use super::connection::{Connection, ConnectionTask, is_readable};
use super::failure::Failure;
use super::fault::Fault;
use super::judge::Evidence;
use super::steering::Paced;
use super::upload::{BodyProgress, BodyStage, Upload};
use crate::drain::{self, Drain, DrainWatch};
use crate::fields::list_has_token;
use crate::proxy_protocol::Ends;
use crate::session::Rejection;
use crate::telemetry::{BackendMetrics, ConnectResult};

/// If an idle connection fails within this time after a request was sent, it had been closed while it was idle.
const STALE: Duration = Duration::from_secs(1);

/// A plain request as it goes to a backend.
pub struct Errand<'a> {
    method: Method,
    target: Uri,
    /// Makes the header fields of each attempt, as hyper takes ownership of them and most requests need only one attempt.
    fields: &'a (dyn Fn() -> HeaderMap + Sync),
    has_body: bool,
    /// The body, until it is sent.
    body: Option<Incoming>,
    max_body: Option<u64>,
    client: Option<Ends>,
    progress: Arc<BodyProgress>,
    /// When it was sent first.
    first_sent: Option<Instant>,
}

/// The time limits of a plain request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrandTimeouts {
    /// For connecting to one backend.
    pub connect: Duration,
    /// For the head of the answer, from the last byte of the request that was passed on; without a body for all attempts together.
    pub answer: Duration,
    /// The bytes of the body that have to be passed on in each period of `answer` until it is complete; 0 for no such limit.
    pub least: u64,
}

/// A backend's answer, and what is held until its end.
pub struct Answered {
    /// The answer.
    pub answer: Response<Incoming>,
    /// Set-Cookie for the client, beside those of the backend.
    pub cookie: Option<HeaderValue>,
    /// The connection over which it comes.
    pub source: Source,
}

/// The connection over which an answer comes. If it is dropped before the end of the answer the connection is closed, which
/// tells the backend that its client no longer waits.
pub struct Source {
    carrier: Carrier,
    /// Counts as load of the backend until the end of the answer.
    lease: Lease,
    /// Tells when the backend is drained or removed.
    pub watch: DrainWatch,
}

/// A connection, closed on Drop.
enum Carrier {
    /// It was opened for plain requests.
    Request(Connection),
    /// It was opened for a session.
    Handshake { _task: ConnectionTask },
}

impl Answered {
    /// The answer to an opening handshake, and the connection that was opened for it.
    pub(super) fn to_handshake(
        answer: Response<Incoming>,
        task: ConnectionTask,
        lease: Lease,
        cookie: Option<HeaderValue>,
    ) -> Self {
        Self {
            answer,
            cookie,
            source: Source {
                carrier: Carrier::Handshake { _task: task },
                watch: lease.watch_exempt(),
                lease,
            },
        }
    }
}

impl Source {
    /// The body of the answer at the pace of the client. Not if the request is still being sent, which goes on at its own pace;
    /// hyper may have taken all of it that the socket has not.
    #[must_use]
    pub fn pace(&self, body: Incoming, upload: &BodyProgress) -> Paced {
        let is_paced = upload.is_whole() && !body.is_end_stream();
        let steering = match &self.carrier {
            Carrier::Request(connection) if is_paced => connection.pacing(),
            Carrier::Request(_) | Carrier::Handshake { .. } => None,
        };
        Paced::new(body, steering)
    }

    /// The drain of the backend, which begins when it is drained or removed.
    #[must_use]
    pub fn drain(&self) -> Arc<Drain> {
        self.lease.backend().drain()
    }

    /// The answer has ended: keeps the connection for other requests, if it may serve them.
    pub fn finished(self) {
        if let Carrier::Request(connection) = self.carrier {
            self.lease.backend().idle().put(connection);
        }
    }
}

impl<'a> Errand<'a> {
    /// A request with the header fields that `fields` returns. If there is no Host, it is set to the backend's address.
    #[must_use]
    pub fn new(
        method: Method,
        target: Uri,
        fields: &'a (dyn Fn() -> HeaderMap + Sync),
        body: Option<Incoming>,
    ) -> Self {
        let body = body.filter(|body| !body.is_end_stream());
        Self {
            method,
            target,
            fields,
            has_body: body.is_some(),
            progress: match body {
                Some(_) => Arc::default(),
                None => BodyProgress::of_none(),
            },
            body,
            max_body: None,
            client: None,
            first_sent: None,
        }
    }

    /// Limits the bytes of its body.
    #[must_use]
    pub fn with_max_body(mut self, max_body: Option<u64>) -> Self {
        self.max_body = max_body;
        self
    }

    /// Sets the ends of the client's connection, for the PROXY header.
    #[must_use]
    pub fn on_behalf_of(mut self, client: Option<Ends>) -> Self {
        self.client = client;
        self
    }

    /// The progress of its body.
    #[must_use]
    pub fn progress(&self) -> Arc<BodyProgress> {
        Arc::clone(&self.progress)
    }

    /// The body, if no backend got any of it.
    pub fn take_body(&mut self) -> Option<Incoming> {
        self.body.take()
    }

    /// The request as it is sent to one backend.
    fn request(&mut self, member: &Member) -> Request<Upload> {
        let mut fields = (self.fields)();
        let mut upload = Upload::new(self.body.take(), self.max_body, &self.progress);
        let waits = upload.has_body() && list_has_token(&fields, &EXPECT, "100-continue");
        let asked = waits.then(Arc::<Notify>::default);
        if let Some(asked) = &asked {
            upload.wait_for(Arc::clone(asked));
        }
        fields.extend(framing(&self.method, &upload));
        if !fields.contains_key(HOST) {
            let host = HeaderValue::try_from(member.address().authority());
            fields.extend(host.ok().map(|host| (HOST, host)));
        }
        let mut request = Request::new(upload);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = fields;
        if let Some(asked) = asked {
            hyper::ext::on_informational(&mut request, move |answer| {
                let is_continue = answer.status() == StatusCode::CONTINUE;
                is_continue.then(|| asked.notify_one());
            });
        }
        request
    }

    /// Its Host; none if that is each backend's address.
    fn host(&self) -> Option<String> {
        let fields = (self.fields)();
        let host = fields.get(HOST)?.to_str().ok();
        host.map(str::to_owned)
    }

    /// Takes back a request of which nothing was sent.
    fn take_back(&mut self, request: Request<Upload>) {
        self.body = request.into_body().into_body();
    }

    /// It is sent `now`; from when on its answer is awaited. Without a body that is from the first attempt on.
    fn awaited_since(&mut self, now: Instant) -> Instant {
        match self.has_body {
            true => now,
            false => *self.first_sent.get_or_insert(now),
        }
    }

    /// Whether it may be sent again although it was, or may have been, sent before.
    pub(super) fn is_repeatable(&self) -> bool {
        !self.has_body && self.method.is_idempotent()
    }
}

/// The field that frames a body where hyper would write none: hyper treats a body of unknown length with GET, and an empty one
/// with POST, as no body (RFC 9110 section 8.6).
fn framing(method: &Method, upload: &Upload) -> Option<(HeaderName, HeaderValue)> {
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    match upload.size_hint().exact() {
        None => Some((TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        Some(0) if expects_body => Some((CONTENT_LENGTH, HeaderValue::from_static("0"))),
        Some(_) => None,
    }
}

impl Pool {
    /// Sends a plain request to candidates in order, until one answers or the request may not be sent again. `tell` hears of
    /// each that is tried.
    ///
    /// # Errors
    /// The rejection of the last failure, or [`Rejection::NoReadyBackend`].
    pub async fn forward(
        self: &Arc<Self>,
        errand: &mut Errand<'_>,
        hints: Hints<'_>,
        timeouts: ErrandTimeouts,
        mut tell: impl FnMut(&Arc<BackendMetrics>),
    ) -> Result<Answered, Rejection> {
        // Not enforced for requests: each attempt has limits of its own.
        let deadline = Instant::now() + timeouts.answer;
        let mut candidates = self.candidates(Purpose::Request, hints, deadline);
        loop {
            let Candidate {
                index,
                lease,
                mut witness,
                ..
            } = candidates.next().await?;
            tell(lease.metrics());
            let watch = lease.watch();
            let asked = watch
                .within(
                    drain::Stage::BEFORE_CUT,
                    pin!(attempt(witness.member(), errand, timeouts)),
                )
                .await
                .ok_or(Rejection::Draining)?;
            let fault = match asked {
                Ok((answer, connection)) => {
                    witness.testify(ConnectResult::Answered, Evidence::Sound);
                    lease.backend().answered_to(|| errand.host());
                    return Ok(Answered {
                        answer,
                        cookie: candidates.answered(index),
                        source: Source {
                            carrier: Carrier::Request(connection),
                            lease,
                            watch,
                        },
                    });
                }
                Err(fault) => fault,
            };
            witness.testify(fault.result(), fault.evidence());
            if fault.is_of_the_client() {
                return Err(fault.rejection());
            }
            candidates.failed(witness.member(), &fault);
            if !fault.may_try_another(errand) {
                return Err(candidates.refuse());
            }
        }
    }
}

type Outcome = Result<(Response<Incoming>, Connection), Fault>;

/// Sends it over an idle connection, or over a new one.
async fn attempt(member: &Member, errand: &mut Errand<'_>, timeouts: ErrandTimeouts) -> Outcome {
    let idle = member.backend().idle();
    let begun = Instant::now();
    if let Some(connection) = idle.take(member.transport(), begun) {
        match send(connection, member, errand, timeouts).await {
            // The connection was closed while it was idle, which says nothing of the backend.
            Err(Fault::Unreached(_)) => {}
            Err(Fault::Tls(_) | Fault::Lost(_))
                if errand.is_repeatable() && begun.elapsed() < STALE => {}
            outcome => return outcome,
        }
    }
    let connected = Instant::now() + timeouts.connect;
    let dialled = member.dial(errand.client, connected).await;
    let stream = dialled.map_err(Fault::Unreached)?;
    let connection = Connection::open(stream, member.transport())
        .await
        .map_err(Fault::Lost)?;
    send(connection, member, errand, timeouts).await
}

/// Sends the request over one connection and waits for the head of the answer.
async fn send(
    mut connection: Connection,
    member: &Member,
    errand: &mut Errand<'_>,
    timeouts: ErrandTimeouts,
) -> Outcome {
    let now = Instant::now();
    let since = errand.awaited_since(now);
    if since + timeouts.answer <= now {
        return Err(Fault::Late);
    }
    let answer = pin!(connection.send(errand.request(member)));
    let Some(answer) = in_time(answer, &errand.progress, since, timeouts).await else {
        return Err(match errand.progress.stage() {
            BodyStage::Awaited => Fault::BodyTooSlow,
            BodyStage::Moving
            | BodyStage::Whole
            | BodyStage::TooLarge
            | BodyStage::Broken
            | BodyStage::Forsaken => Fault::Late,
        });
    };
    match answer {
        Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => Err(Fault::Switched),
        Ok(answer) if !is_readable(answer.headers()) => Err(Fault::UnknownCoding),
        Ok(answer) => {
            connection.answered(&answer, errand.progress.is_whole());
            Ok((answer, connection))
        }
        Err(mut error) => Err(match error.take_message() {
            Some(request) => {
                errand.take_back(request);
                Fault::Unreached(Failure::Lost(std::io::ErrorKind::BrokenPipe.into()))
            }
            None => match errand.progress.stage() {
                BodyStage::TooLarge => Fault::BodyTooLarge,
                BodyStage::Broken => Fault::BodyBroken,
                BodyStage::Forsaken => Fault::BodyForsaken,
                BodyStage::Moving | BodyStage::Awaited | BodyStage::Whole => {
                    Fault::of(error.into_error())
                }
            },
        }),
    }
}

/// Waits for an answer; `None` if it is late, or the body too slow. The time in which the body moves is not counted.
async fn in_time<F: Future>(
    answer: Pin<&mut F>,
    progress: &BodyProgress,
    since: Instant,
    timeouts: ErrandTimeouts,
) -> Option<F::Output> {
    let ErrandTimeouts {
        answer: patience,
        least,
        ..
    } = timeouts;
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = progress.still_for(since, patience) => None,
        () = progress.slow_for(least, patience), if least > 0 && !progress.is_whole() => None,
    }
}
