//! What goes to the backend and what comes back: hop-by-hop fields end here, the rest passes untouched.

use http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, request};

use super::{Asked, forwarded};
use crate::session::SessionId;
use crate::websocket::write_name;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields that concern one connection only (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields in which the gateway speaks for the client. What a client says there of itself is not believed.
const SPOKEN_BY_THE_GATEWAY: [HeaderName; 7] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_REAL_IP,
    X_REQUEST_ID,
];

/// The longest X-Request-ID that is taken over, in bytes.
const REQUEST_ID_LIMIT: usize = 128;

/// The name of a request in logs and towards the backend: the client's X-Request-ID, or a new one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes over what the client sent, unless it is too long or more than printable ASCII.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get(&X_REQUEST_ID) {
            Some(id) if is_sound_id(id) => Self(id.clone()),
            _ => Self::random(),
        }
    }

    /// Makes a new one.
    pub(super) fn random() -> Self {
        let id = SessionId::random().to_string();
        Self(HeaderValue::try_from(id).expect("hexadecimal digits are a field value"))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn is_sound_id(id: &HeaderValue) -> bool {
    (1..=REQUEST_ID_LIMIT).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// The host that is asked for, with its port if it has one: that of the target, otherwise Host
/// (RFC 9112 section 3.2.2).
pub(super) fn host(request: &request::Parts) -> &str {
    match request.uri.authority() {
        Some(authority) => authority.as_str(),
        None => request
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
    }
}

/// Writes the head of an opening handshake as it goes to a backend.
///
/// The upgrade pair is written afresh; what the gateway says of the client comes last and cannot be taken
/// away by a Connection field. Names of Sec-WebSocket-* are spelt as in the RFC, since some backends compare
/// them to the letter.
pub(super) fn opening_head(asked: Asked<'_>) -> Vec<u8> {
    let Asked { request, id, .. } = asked;
    let mut head = Vec::with_capacity(1024);
    let target = request
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    head.extend_from_slice(b"GET ");
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    write_field(&mut head, &HOST, host(request).as_bytes());
    write_field(&mut head, &UPGRADE, b"websocket");
    write_field(&mut head, &CONNECTION, b"Upgrade");
    for (name, value) in &request.headers {
        let is_ours = *name == HOST || SPOKEN_BY_THE_GATEWAY.contains(name);
        if !is_ours && *name != CONTENT_LENGTH && !ends_here(name, &request.headers) {
            write_field(&mut head, name, value.as_bytes());
        }
    }
    for (name, value) in forwarded::fields(asked) {
        write_field(&mut head, &name, value.as_bytes());
    }
    write_field(&mut head, &X_REQUEST_ID, id.0.as_bytes());
    head.extend_from_slice(b"\r\n");
    head
}

fn write_field(head: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    write_name(name, head);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// Takes out of an answer what concerns only the connection to the backend.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let ending: Vec<HeaderName> = headers
        .keys()
        .filter(|name| ends_here(name, headers))
        .cloned()
        .collect();
    for name in ending {
        headers.remove(name);
    }
}

/// Whether a field ends at this hop: always, or because Connection names it. Connection cannot name what
/// both ends of a WebSocket must see.
fn ends_here(name: &HeaderName, headers: &HeaderMap) -> bool {
    if HOP_BY_HOP.contains(name) {
        return true;
    }
    let is_end_to_end = *name == HOST || name.as_str().starts_with("sec-websocket-");
    !is_end_to_end && crate::websocket::list_has_token(headers, &CONNECTION, name.as_str())
}
