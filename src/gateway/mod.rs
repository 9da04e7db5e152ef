//! From one request to one answer. An opening handshake that is accepted also starts a tunnel.

mod context;
mod cors;
mod download;
mod field_list;
mod forward;
mod framing;
mod gather;
mod headers;
mod path;
mod provenance;
mod request_id;
mod respond;
mod session;
mod spelling;
mod unread;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use http::{Extensions, HeaderMap, Method, Request, Response, Version, request};
use hyper::body::Incoming;

use crate::admission::Admission;
use crate::drain::Stage;
use crate::listener::{Answer, Body, Client, Handler};
use crate::session::Rejection;
use crate::snapshot::{Current, Route, Snapshot, Target};
use crate::telemetry::{self, SessionRecord, Telemetry};
use context::RequestContext;
use forward::Forwarded;
use request_id::RequestId;
use session::Ready;
use unread::Unread;

/// Answers the requests of all listeners.
pub struct Gateway {
    current: Arc<Current>,
    telemetry: Arc<Telemetry>,
    admission: Admission,
    /// Makes hyper write the header names of answers to opening handshakes as RFC 6455 spells them.
    spelling: Extensions,
}

/// What a request leads to.
enum Outcome {
    /// The backend accepted the opening handshake; with the answer to it.
    Session(Response<Body>, Box<Ready>),
    /// A backend's answer to a plain request, or its refusal of an opening handshake.
    Forwarded(Box<Forwarded>),
    /// The gateway answers by itself.
    Answer(Response<Body>),
}

impl Handler for Gateway {
    /// The whole path of a request, from its head to the answer.
    async fn handle(&self, request: Request<Incoming>, client: Arc<Client>) -> Answer {
        let id = RequestId::of(request.headers());
        let (mut request, body) = request.into_parts();
        let mut unread = Unread::of(body);
        let converted = session::connect_to_get(&mut request);

        let context = RequestContext::new(&request, &client, &id);
        let mut record = self.record(context);
        let snapshot = self.current.load();
        let route = converted.and_then(|()| find_route(&snapshot, context));
        let outcome = match route {
            Ok(route) => {
                let opening = pin!(self.open(context, &mut unread, route, &mut record));
                unless_cut(&client, opening).await
            }
            Err(rejection) => Err(rejection),
        };

        let mut answer = match outcome {
            Ok(Outcome::Session(response, ready)) => {
                return ready.answer(response, &client, record, &self.spelling);
            }
            Ok(Outcome::Forwarded(forwarded)) => {
                let mut answer = forwarded.start(record);
                if !context.is_plain {
                    answer.extensions_mut().extend(self.spelling.clone());
                }
                return answer.into();
            }
            Ok(Outcome::Answer(answer)) => {
                record.answer(answer.status());
                answer
            }
            Err(rejection) => {
                record.refuse(rejection);
                self.refusal(rejection, context, route.ok())
            }
        };
        let fields = answer.headers_mut();
        unread.discard_or_close(&request, fields).await;
        answer.into()
    }

    fn refuse(&self, rejection: Rejection, request: Option<&request::Parts>, client: &Client) {
        let mut record = match request {
            None => self.record_unread(client),
            Some(request) => {
                let id = RequestId::of(&request.headers);
                self.record(RequestContext::new(request, client, &id))
            }
        };
        record.refuse(rejection);
    }
}

impl Gateway {
    /// A gateway that answers by the snapshot in force and allows at most `max_sessions` sessions.
    pub async fn new(
        current: Arc<Current>,
        telemetry: Arc<Telemetry>,
        max_sessions: usize,
    ) -> Self {
        Self {
            current,
            telemetry,
            admission: Admission::new(max_sessions),
            spelling: spelling::of_the_rfc().await,
        }
    }

    /// Follows the route to its target. Each step may reject the request.
    async fn open(
        &self,
        context: RequestContext<'_>,
        unread: &mut Unread,
        route: &Route,
        record: &mut SessionRecord,
    ) -> Result<Outcome, Rejection> {
        record.route(&route.metrics, route.target.takes_http());
        let is_plain = context.is_plain;
        if is_plain {
            framing::check(context.request)?;
        }
        // A plain request on a connection that is draining is still served; the connection ends with its answer.
        if route.is_draining() || !is_plain && context.client.is_draining() {
            return Err(Rejection::Draining);
        }
        let mut answer = match &route.target {
            Target::Pool(target) if is_plain => {
                return forward::open(context, unread, route, target, record).await;
            }
            Target::Pool(target) => {
                return session::open(context, route, target, &self.admission, record).await;
            }
            // A success would tell the client that the session is open (RFC 8441 section 5).
            Target::Respond(answer)
                if answer.status.is_success() && session::opens_over_http2(context.request) =>
            {
                return Err(session::NO_WEBSOCKET);
            }
            Target::Respond(answer) => {
                if context.request.method != Method::HEAD {
                    record.note_bodies(0, answer.body.len() as u64);
                }
                respond::fixed(answer)
            }
            Target::Redirect(redirect) => respond::redirect(redirect, context)?,
        };
        headers::apply_rules(route.answer.as_deref(), answer.headers_mut());
        Ok(Outcome::Answer(answer))
    }

    /// The answer to a refused request, with the header rules of the route that refused it, if one was found.
    fn refusal(
        &self,
        rejection: Rejection,
        context: RequestContext<'_>,
        route: Option<&Route>,
    ) -> Response<Body> {
        let mut refusal = respond::refusal(rejection, &context.request.headers, &self.spelling);
        if let Some(route) = route {
            headers::apply_rules_to_refusal(route.answer.as_deref(), refusal.headers_mut());
            cors::allow_reading(context, &route.target, refusal.headers_mut());
        }
        refusal
    }

    fn record(&self, context: RequestContext<'_>) -> SessionRecord {
        let request = context.request;
        let facts = telemetry::Request {
            id: context.id.as_str(),
            peer: context.peer,
            method: context.is_plain.then_some(&request.method),
            host: context.raw_host,
            target: request.uri.path_and_query(),
            version: request.version,
            headers: &request.headers,
        };
        SessionRecord::begin(&self.telemetry, &context.client.connection, facts)
    }

    /// The record of a request whose head could not be read.
    fn record_unread(&self, client: &Client) -> SessionRecord {
        let id = RequestId::random();
        let facts = telemetry::Request {
            id: id.as_str(),
            peer: client.connection.peer,
            method: None,
            host: b"",
            target: None,
            version: Version::HTTP_11,
            headers: &HeaderMap::new(),
        };
        SessionRecord::begin(&self.telemetry, &client.connection, facts)
    }
}

/// Does `work` until the listener's drain has come to its deadline. That wakes the task of the connection; over HTTP/2 it ends the
/// connection, which wakes those of its streams.
async fn unless_cut<T>(
    client: &Client,
    mut work: Pin<&mut impl Future<Output = Result<T, Rejection>>>,
) -> Result<T, Rejection> {
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Pending if client.drain().stage() == Stage::Cut => {
            Poll::Ready(Err(Rejection::Draining))
        }
        polled => polled,
    })
    .await
}

/// The route of a request. Refuses connections over a limit, and requests with more than one Host, before looking for it.
fn find_route<'a>(
    snapshot: &'a Snapshot,
    context: RequestContext<'_>,
) -> Result<&'a Route, Rejection> {
    if let Some(rejection) = context.client.over_limit {
        return Err(rejection);
    }
    framing::check_host(context.request)?;
    // The routes of a removed listener may be gone with it, while its last connections are still open.
    path::find(snapshot, context).map_err(|rejection| match rejection {
        Rejection::NoRoute if context.client.is_draining() => Rejection::Draining,
        other => other,
    })
}
