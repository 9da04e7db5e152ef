//! Answers: refusals, fixed answers, redirects, heads of backends' answers, and the 101.

use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_VERSION, SET_COOKIE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Extensions, HeaderMap, HeaderValue, Response, StatusCode, Version, response};
use hyper::ext::ReasonPhrase;

use super::RequestContext;
use super::headers::remove_hop_by_hop;
use crate::config::{FixedAnswer, Piece, Redirect};
use crate::fields::{Sole, list_items};
use crate::listener::{Body, text};
use crate::route::without_port;
use crate::session::Rejection;
use crate::websocket::VERSION;

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// The methods of RFC 9110 and RFC 5789 without CONNECT and TRACE. Other methods are forwarded as well.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const UPGRADE_TOKEN: HeaderValue = HeaderValue::from_static("Upgrade");

/// A refusal: its status, the fields that go with it, and a sentence for the client, as text or JSON.
pub(super) fn refusal(
    rejection: Rejection,
    request_headers: &HeaderMap,
    spelling: &Extensions,
) -> Response<Body> {
    let (kind, words) = match wants_json(request_headers) {
        true => (JSON, in_json(rejection)),
        false => (PLAIN_TEXT, format!("{}\n", rejection.message())),
    };
    let mut response = Response::new(text(words));
    *response.status_mut() = rejection.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    if rejection == Rejection::MethodNotAllowed {
        headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
    }
    if rejection.status() == StatusCode::UPGRADE_REQUIRED {
        headers.insert(UPGRADE, WEBSOCKET);
        headers.insert(CONNECTION, UPGRADE_TOKEN);
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        *response.extensions_mut() = spelling.clone();
    }
    if closes_connection(rejection) {
        announce_close(response.headers_mut());
    }
    response
}

/// Whether the connection is closed after the refusal: what follows an ambiguous request would be ambiguous, too; and a
/// connection over a limit stays over it.
fn closes_connection(rejection: Rejection) -> bool {
    matches!(
        rejection,
        Rejection::BadRequest(_)
            | Rejection::NotImplemented(_)
            | Rejection::GatewayFull
            | Rejection::ClientFull
    )
}

/// Adds `Connection: close`. An HTTP/1.1 connection whose request body was not read to its end is closed, and a client that
/// is not told may send its next request on it (RFC 9110 section 10.1.1).
pub(super) fn announce_close(headers: &mut HeaderMap) {
    headers.append(CONNECTION, HeaderValue::from_static("close"));
}

/// Whether Accept names JSON before any text type.
fn wants_json(headers: &HeaderMap) -> bool {
    let mut kinds = list_items(headers, &ACCEPT)
        .map(|kind| kind.split(|byte| *byte == b';').next().unwrap_or_default())
        .map(<[u8]>::trim_ascii);
    let known = kinds.find(|kind| kind.ends_with(b"json") || kind.starts_with(b"text/"));
    known.is_some_and(|kind| kind.ends_with(b"json"))
}

fn in_json(rejection: Rejection) -> String {
    let words = serde_json::json!({
        "error": rejection.label(),
        "status": rejection.status().as_u16(),
        "message": rejection.message(),
    });
    format!("{words}\n")
}

/// A redirect.
///
/// # Errors
/// If the location needs the host and the request has none, as HTTP/1.0 allows.
pub(super) fn redirect(
    redirect: &Redirect,
    context: RequestContext<'_>,
) -> Result<Response<Body>, Rejection> {
    let host = without_port(context.host()).unwrap_or_default();
    if host.is_empty() && redirect.to.contains(&Piece::Host) {
        return Err(Rejection::BadRequest("Host is missing."));
    }
    let pieces = redirect.to.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Host => host.to_owned(),
        Piece::Path => context.request.uri.path().to_owned(),
        Piece::Query => match context.request.uri.query() {
            Some(query) => format!("?{query}"),
            None => String::new(),
        },
    });
    let mut response = Response::new(text(""));
    *response.status_mut() = redirect.status;
    let location = HeaderValue::try_from(pieces.collect::<String>());
    response
        .headers_mut()
        .extend(location.map(|place| (LOCATION, place)));
    Ok(response)
}

/// The fixed answer of a route.
pub(super) fn fixed(answer: &FixedAnswer) -> Response<Body> {
    let mut response = Response::new(text(answer.body.clone()));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, PLAIN_TEXT);
    if answer.status.canonical_reason().is_none() {
        // hyper would write `<none>`.
        response
            .extensions_mut()
            .insert(ReasonPhrase::from_static(b""));
    }
    response
}

/// The head of a backend's answer as it goes to the client.
pub(super) fn relayed_head(mut head: response::Parts) -> response::Parts {
    let upgrade = match head.status {
        StatusCode::UPGRADE_REQUIRED => head.headers.remove(UPGRADE),
        _ => None,
    };
    normalize_length(&mut head);
    remove_hop_by_hop(&mut head.headers);
    if let Some(upgrade) = upgrade {
        head.headers.insert(UPGRADE, upgrade);
        head.headers.insert(CONNECTION, UPGRADE_TOKEN);
    }
    let reason = head.extensions.remove::<ReasonPhrase>();
    head.extensions = Extensions::new();
    if let Some(reason) = reason {
        head.extensions.insert(reason);
    }
    head.version = Version::HTTP_11;
    head
}

/// Makes sure that there is exactly one valid Content-Length. It is removed beside Transfer-Encoding (RFC 9112 section 6.3)
/// and from a 204 (RFC 9110 section 8.6).
fn normalize_length(head: &mut response::Parts) {
    let is_void =
        head.status == StatusCode::NO_CONTENT || head.headers.contains_key(TRANSFER_ENCODING);
    if !is_void && is_written_once(&head.headers) {
        return;
    }
    match length(&head.headers).filter(|_| !is_void) {
        Some(length) => head.headers.insert(CONTENT_LENGTH, length.into()),
        None => head.headers.remove(CONTENT_LENGTH),
    };
}

/// Whether Content-Length already has the form in which it would be written.
fn is_written_once(headers: &HeaderMap) -> bool {
    let Sole::Value(length) = Sole::of(headers, &CONTENT_LENGTH) else {
        return false;
    };
    // Up to 19 digits always fit into 64 bits.
    matches!(length.as_bytes(), [b'1'..=b'9', rest @ ..] if rest.len() < 19 && rest.iter().all(u8::is_ascii_digit))
}

/// The length, if all values of Content-Length agree.
fn length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = list_items(headers, &CONTENT_LENGTH).map(|length| {
        let length = str::from_utf8(length).ok()?;
        length.parse::<u64>().ok()
    });
    let first = lengths.next().flatten();
    first.filter(|first| lengths.all(|other| other == Some(*first)))
}

/// The 200 that is the 101 of HTTP/2 (RFC 8441 section 5). Sec-WebSocket-Accept is passed on only if the client sent the key.
pub(super) fn connected(mut headers: HeaderMap, has_brought_key: bool) -> Response<Body> {
    remove_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH);
    if !has_brought_key {
        headers.remove(SEC_WEBSOCKET_ACCEPT);
    }
    let mut response = Response::new(text(""));
    *response.headers_mut() = headers;
    response
}

/// Adds the sticky cookie. Not to answers that shared caches may store, or everybody served by the cache would be sent to the
/// same backend.
pub(super) fn set_cookie(headers: &mut HeaderMap, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie.filter(|_| !is_for_shared_caches(headers)) {
        headers.append(SET_COOKIE, cookie);
    }
}

/// Whether an answer says that shared caches may store it (RFC 9111 section 3).
fn is_for_shared_caches(headers: &HeaderMap) -> bool {
    let says = |wanted: &[&str]| {
        list_items(headers, &CACHE_CONTROL).any(|item| {
            let name = item.split(|byte| *byte == b'=').next().unwrap_or(item);
            let is_it = |wanted: &&str| name.eq_ignore_ascii_case(wanted.as_bytes());
            wanted.iter().any(is_it)
        })
    };
    says(&["public", "s-maxage", "max-age"]) && !says(&["private", "no-store", "no-cache"])
}

/// The 101: the backend's fields, with Upgrade and Connection written anew.
pub(super) fn switching(mut headers: HeaderMap) -> Response<Body> {
    remove_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(CONNECTION, UPGRADE_TOKEN);
    let mut response = Response::new(text(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response
}
