//! Answers: refusals in words, fixed answers, what a backend answered, and the 101.

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{Extensions, HeaderMap, HeaderValue, Response, StatusCode, Version, response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::headers::remove_hop_by_hop;
use crate::config::FixedAnswer;
use crate::listener::{Body, text};
use crate::session::Rejection;
use crate::websocket::VERSION;

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE_TOKEN: HeaderValue = HeaderValue::from_static("Upgrade");

/// A refusal: its status, the fields that belong to it, a sentence for the client.
pub(super) fn refusal(rejection: Rejection, spelling: &Extensions) -> Response<Body> {
    let mut response = Response::new(text(format!("{}\n", rejection.message())));
    *response.status_mut() = rejection.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PLAIN_TEXT);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    if rejection == Rejection::GatewayFull {
        // Its place is wanted; and a connection that was one too many stays so.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if rejection.status() == StatusCode::UPGRADE_REQUIRED {
        headers.insert(UPGRADE, WEBSOCKET);
        headers.insert(CONNECTION, UPGRADE_TOKEN);
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        *response.extensions_mut() = spelling.clone();
    }
    response
}

/// The answer of a route that answers by itself.
pub(super) fn fixed(answer: &FixedAnswer) -> Response<Body> {
    let mut response = Response::new(text(answer.body.clone()));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, PLAIN_TEXT);
    response
}

/// What a backend answered instead of a 101, as it is.
pub(super) fn relayed(answer: Response<Incoming>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    Response::from_parts(relayed_head(head), body.map_err(Into::into).boxed_unsync())
}

/// The head of a backend's answer as it goes to the client.
pub(super) fn relayed_head(mut head: response::Parts) -> response::Parts {
    let upgrade = head.headers.get(UPGRADE).cloned();
    remove_hop_by_hop(&mut head.headers);
    if let Some(upgrade) = upgrade.filter(|_| head.status == StatusCode::UPGRADE_REQUIRED) {
        head.headers.insert(UPGRADE, upgrade);
        head.headers.insert(CONNECTION, UPGRADE_TOKEN);
    }
    head.extensions = Extensions::new();
    head.version = Version::HTTP_11;
    head
}

/// The 101: the backend's fields, the upgrade pair written afresh.
pub(super) fn switching(mut headers: HeaderMap, spelling: &Extensions) -> Response<Body> {
    remove_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(CONNECTION, UPGRADE_TOKEN);
    let mut response = Response::new(text(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    *response.extensions_mut() = spelling.clone();
    response
}
