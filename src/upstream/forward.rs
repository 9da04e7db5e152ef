//! A plain request to a pool: candidates in order, a connection that rests or a new one, the answer.
//!
//! A request is repeated only where nobody can have acted on it twice: as long as nothing of it was sent, or
//! where its method may be repeated (RFC 9110 section 9.2.2) and it has no body. Never after the head of an
//! answer.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::backend::{Lease, Member};
use super::balancer::Purpose;
use super::candidates::{Candidate, Hints};
use super::connection::{Connection, ConnectionTask, is_readable};
use super::fault::Fault;
use super::judge::Evidence;
use super::upload::{BodyProgress, BodyStage, Upload};
use super::{Failure, Pool};
use crate::drain::{self, Drain, DrainWatch};
use crate::proxy_protocol::Ends;
use crate::session::Rejection;
use crate::telemetry::{BackendMetrics, ConnectResult};
use crate::websocket::list_has_token;

/// How soon a connection that was closed while it rested is found to be.
const STALE: Duration = Duration::from_secs(1);

/// A plain request as it goes to a backend.
pub struct Errand<'a> {
    method: Method,
    target: Uri,
    /// Makes the fields, anew for each attempt: most requests need one, and hyper keeps what it is given.
    fields: &'a (dyn Fn() -> HeaderMap + Sync),
    has_body: bool,
    /// The body, until it is sent.
    body: Option<Incoming>,
    max_body: Option<u64>,
    client: Option<Ends>,
    progress: Arc<BodyProgress>,
    /// When it was first sent.
    first_sent: Option<Instant>,
}

/// How long a plain request may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrandTimeouts {
    /// To connect to one backend.
    pub connect: Duration,
    /// To the head of the answer, counted from the last byte of the request that was passed on; all attempts together.
    pub answer: Duration,
    /// Bytes of a body that have to be passed on in a time of `answer`, as long as it is not whole.
    pub least: u64,
}

/// What a backend answered, and what is held until the answer has ended.
pub struct Answered {
    /// The answer.
    pub answer: Response<Incoming>,
    /// What is counted of the backend; it knows the backend's name.
    pub metrics: Arc<BackendMetrics>,
    /// Set-Cookie for the client, beside those of the backend.
    pub cookie: Option<HeaderValue>,
    /// Where it comes from.
    pub source: Source,
}

/// Where an answer comes from. Dropped before the answer has ended it closes the connection, which tells the
/// backend that nobody waits any more.
pub struct Source {
    carrier: Carrier,
    /// Counted as load of the backend until the answer has ended.
    lease: Lease,
    /// Hears when the backend is drained or removed.
    pub watch: DrainWatch,
}

/// What an answer comes over; closed when it is dropped.
enum Carrier {
    /// A connection that may serve other requests.
    Shared(Connection),
    /// One that serves this client alone.
    Own { _connection: Connection },
    /// One that was opened for a session.
    Handshake { _task: ConnectionTask },
}

impl Source {
    /// That of the answer to an opening handshake.
    #[must_use]
    pub fn of_handshake(task: ConnectionTask, lease: Lease) -> Self {
        let watch = lease.watch_exempt();
        let carrier = Carrier::Handshake { _task: task };
        Self {
            carrier,
            lease,
            watch,
        }
    }

    /// What begins when the backend is drained or removed.
    #[must_use]
    pub fn drain(&self) -> Arc<Drain> {
        self.lease.backend().drain()
    }

    /// The answer has ended: the connection may serve other requests.
    pub fn rest(self) {
        if let Carrier::Shared(connection) = self.carrier {
            self.lease.backend().resting().put(connection);
        }
    }
}

impl<'a> Errand<'a> {
    /// A request with the fields that `fields` makes, Host among them unless it is to be the backend's address.
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
            body,
            max_body: None,
            client: None,
            progress: Arc::default(),
            first_sent: None,
        }
    }

    /// Bounds its body.
    #[must_use]
    pub fn with_max_body(mut self, max_body: Option<u64>) -> Self {
        self.max_body = max_body;
        self
    }

    /// Names the ends of the client's connection, for pools that introduce their clients.
    #[must_use]
    pub fn on_behalf_of(mut self, client: Option<Ends>) -> Self {
        self.client = client;
        self
    }

    /// How far its body has come.
    #[must_use]
    pub fn progress(&self) -> Arc<BodyProgress> {
        Arc::clone(&self.progress)
    }

    /// The request as it goes to one backend.
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

    /// Takes back a request of which nothing was sent.
    fn take_back(&mut self, request: Request<Upload>) {
        self.body = request.into_body().into_body();
    }

    /// Since when its answer is awaited, as it is sent `now`. Without a body since it was first sent, however often that is.
    fn awaited_since(&mut self, now: Instant) -> Instant {
        match self.has_body {
            true => now,
            false => *self.first_sent.get_or_insert(now),
        }
    }

    /// Whether it may be sent once more after it was, or may have been, sent.
    pub(super) fn is_repeatable(&self) -> bool {
        !self.has_body && self.method.is_idempotent()
    }
}

/// The field that bounds a body where hyper would write none: it takes a body of unknown length with GET, and
/// an empty one with POST, for none at all (RFC 9110 section 8.6).
fn framing(method: &Method, upload: &Upload) -> Option<(HeaderName, HeaderValue)> {
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    match upload.size_hint().exact() {
        None => Some((TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        Some(0) if expects_body => Some((CONTENT_LENGTH, HeaderValue::from_static("0"))),
        Some(_) => None,
    }
}

impl Pool {
    /// Sends a plain request: candidates in order, until one answers or the request cannot be sent again.
    ///
    /// # Errors
    /// The rejection that the last candidate earned, or [`Rejection::NoReadyBackend`].
    pub async fn forward(
        self: &Arc<Self>,
        errand: &mut Errand<'_>,
        hints: Hints<'_>,
        timeouts: ErrandTimeouts,
    ) -> Result<Answered, Rejection> {
        // Only sessions wait for a place and share their time; a request has until `ask` says.
        let deadline = Instant::now() + timeouts.answer;
        let mut candidates = self.candidates(Purpose::Request, hints, deadline);
        loop {
            let Candidate {
                lease,
                cookie,
                mut witness,
                ..
            } = candidates.next().await?;
            let watch = lease.watch();
            let asked = watch
                .within(
                    drain::Stage::Draining,
                    pin!(attempt(witness.member(), errand, timeouts)),
                )
                .await
                .ok_or(Rejection::Draining)?;
            let fault = match asked {
                Ok((answer, connection)) => {
                    witness.testify(ConnectResult::Answered, Evidence::Sound);
                    let carrier = match witness.member().introduces_clients() {
                        true => Carrier::Own {
                            _connection: connection,
                        },
                        false => Carrier::Shared(connection),
                    };
                    return Ok(Answered {
                        answer,
                        metrics: Arc::clone(lease.metrics()),
                        cookie,
                        source: Source {
                            carrier,
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
            candidates.failed(witness.member(), &fault, fault.rejection());
            if !fault.may_try_another(errand) {
                return Err(candidates.refuse());
            }
        }
    }
}

type Outcome = Result<(Response<Incoming>, Connection), Fault>;

/// Sends it over a connection that rests, or over a new one.
async fn attempt(member: &Member, errand: &mut Errand<'_>, timeouts: ErrandTimeouts) -> Outcome {
    let resting = member.backend().resting();
    let begun = Instant::now();
    if let Some(connection) = resting.take(member.transport(), begun) {
        match send(connection, member, errand, timeouts).await {
            // It may have been closed while it rested, which says nothing of the backend.
            Err(Fault::Unreached(_)) => {}
            Err(Fault::Lost(_)) if errand.is_repeatable() && begun.elapsed() < STALE => {}
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
            BodyStage::Moving | BodyStage::Whole | BodyStage::TooLarge | BodyStage::Broken => {
                Fault::Late
            }
        });
    };
    match answer {
        Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => Err(Fault::Switched),
        Ok(answer) if !is_readable(answer.headers()) => Err(Fault::UnknownCoding),
        Ok(answer) => {
            connection.answered(&answer);
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
                BodyStage::Moving | BodyStage::Awaited | BodyStage::Whole => {
                    Fault::of(error.into_error())
                }
            },
        }),
    }
}

/// Waits for an answer; none where it is late, or the body too slow. A slow line does not count against the backend.
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
        () = progress.slow_for(least, patience), if least > 0 => None,
    }
}
