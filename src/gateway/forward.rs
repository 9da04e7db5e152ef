//! A plain request: checked, sent to the pool, and its answer streamed back.

use std::pin::pin;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::cors::Grant;
use super::download::{Download, DrainMoment, Exchange};
use super::gather::Gathered;
use super::unread::Unread;
use super::{Outcome, RequestContext, cors, headers, path, respond};
use crate::config::{FieldRules, Http};
use crate::drain::{Drain, DrainWatch, Stage};
use crate::fields::list_items;
use crate::listener::Body;
use crate::session::Rejection;
use crate::snapshot::{PoolTarget, Route};
use crate::telemetry::SessionRecord;
use crate::upstream::{Answered, BodyProgress, Errand, ErrandTimeouts};

const ONLY_WEBSOCKET: Rejection =
    Rejection::UpgradeRequired("Only WebSocket connections are accepted here.");

/// An answer whose head has arrived, before it is passed to the client.
pub(super) struct Forwarded {
    answered: Answered,
    route: DrainWatch,
    upload: Arc<BodyProgress>,
    rules: Option<Arc<FieldRules>>,
    grant: Option<Grant>,
    drain_moment: Option<DrainMoment>,
}

/// Sends the request to the pool and waits for the head of the answer.
pub(super) async fn open(
    context: RequestContext<'_>,
    unread: &mut Unread,
    route: &Route,
    target: &PoolTarget,
    record: &mut SessionRecord,
) -> Result<Outcome, Rejection> {
    let http = target.http.as_ref().ok_or(ONLY_WEBSOCKET)?;
    check_size(unread, http)?;
    if let Some(cors) = &http.cors
        && cors::is_preflight(context.request)
    {
        let rules = route.answer.as_deref();
        return cors::preflight(context, cors, target, rules).map(Outcome::Answer);
    }
    let uri = path::towards_backend(context.request, target)?;
    let watch = route.drain().watch();
    let fields = || headers::plain_fields(context, target);
    let method = context.request.method.clone();
    let mut errand = Errand::new(method, uri, &fields, unread.take())
        .with_max_body(http.max_body)
        .on_behalf_of(context.ends());
    let timeouts = ErrandTimeouts {
        connect: target.timeouts.connect,
        answer: http.request_timeout,
        least: http.least_upload(),
    };
    // Plain requests never wait for a free backend, so no drain has to end a wait.
    let hints = context.hints(None);
    let tell = |backend: &_| record.backend(backend);
    let answered = watch
        .within(
            Stage::BEFORE_CUT,
            pin!(target.pool.forward(&mut errand, hints, timeouts, tell)),
        )
        .await
        .ok_or(Rejection::Draining)?;
    let answered = answered.inspect_err(|_| *unread = left_of(&mut errand))?;
    if headers::asks_for_other_upgrade(&context.request.headers) {
        record.note_dropped_upgrade();
    }
    let drain_moment = is_event_source(context, &answered.answer).then(|| {
        let [listener, route] = [context.client.drain(), route.drain()].map(Arc::clone);
        drain_moment(listener, route, answered.source.drain())
    });
    Ok(Outcome::Forwarded(Box::new(Forwarded {
        answered,
        route: watch,
        upload: errand.progress(),
        rules: route.answer.clone(),
        grant: Grant::of(context, target),
        drain_moment,
    })))
}

/// What is left of the body of a request that got no answer.
fn left_of(errand: &mut Errand<'_>) -> Unread {
    match errand.take_body() {
        Some(body) => Unread::All(body),
        None if errand.progress().is_whole() => Unread::Nothing,
        None => Unread::Rest,
    }
}

/// Whether the answer is a stream for an EventSource. Such a stream has no end, and the browser reconnects when it is closed.
/// Other clients that get events (as the answer to a POST, for example) would take an early end for the whole answer.
fn is_event_source(context: RequestContext<'_>, answer: &Response<Incoming>) -> bool {
    let names = |headers: &HeaderMap, field: &HeaderName| {
        list_items(headers, field).any(|item| {
            let kind = item.split(|byte| *byte == b';').next().unwrap_or(item);
            kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        })
    };
    context.request.method == Method::GET
        && names(answer.headers(), &CONTENT_TYPE)
        && names(&context.request.headers, &ACCEPT)
}

/// Ends at a random moment within the window of the first drain that begins, as sessions do.
fn drain_moment(listener: Arc<Drain>, route: Arc<Drain>, backend: Arc<Drain>) -> DrainMoment {
    let share = fastrand::f32();
    Box::pin(async move {
        tokio::select! {
            () = listener.moment(share) => {}
            () = route.moment(share) => {}
            () = backend.moment(share) => {}
        }
    })
}

impl Forwarded {
    /// What a backend answered to an opening handshake instead of a 101.
    pub(super) fn instead_of_session(answered: Answered, watch: DrainWatch, route: &Route) -> Self {
        Self {
            answered,
            route: watch,
            rules: route.answer.clone(),
            upload: BodyProgress::of_none(),
            grant: None,
            drain_moment: None,
        }
    }

    /// Passes the answer on.
    pub(super) fn start(self, mut record: SessionRecord) -> Response<Body> {
        let Answered {
            answer,
            cookie,
            source,
            ..
        } = self.answered;
        let (head, body) = answer.into_parts();
        record.pass(head.status);
        let has_read = self.upload.is_whole();
        let exchange = Exchange::new(source, self.route, record);
        let mut head = respond::relayed_head(head);
        headers::apply_rules(self.rules.as_deref(), &mut head.headers);
        let download =
            Download::new(body, exchange, self.upload, self.rules).until(self.drain_moment);
        if let Some(grant) = self.grant {
            grant.write(&mut head.headers);
        }
        respond::set_cookie(&mut head.headers, cookie);
        if !has_read {
            respond::announce_close(&mut head.headers);
        }
        Response::from_parts(head, Gathered::new(download).boxed_unsync())
    }
}

/// Refuses a body at once whose Content-Length is over the limit.
fn check_size(unread: &Unread, http: &Http) -> Result<(), Rejection> {
    match http.max_body {
        Some(most) if unread.least() > most => Err(Rejection::BodyTooLarge),
        Some(_) | None => Ok(()),
    }
}
