//! The ID of a request.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::session::SessionId;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest X-Request-ID that is accepted, in bytes.
const REQUEST_ID_LIMIT: usize = 128;

/// The ID of a request in logs and towards the backend: the client's X-Request-ID, or a random one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's X-Request-ID, unless it is too long or not printable ASCII.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get(&X_REQUEST_ID) {
            Some(id) if is_sound_id(id) => Self(id.clone()),
            _ => Self::random(),
        }
    }

    /// A random ID.
    pub(super) fn random() -> Self {
        let id = HeaderValue::from_bytes(&SessionId::random().digits());
        Self(id.expect("hexadecimal digits are a field value"))
    }

    /// As a header value.
    pub(super) fn value(&self) -> HeaderValue {
        self.0.clone()
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn is_sound_id(id: &HeaderValue) -> bool {
    (1..=REQUEST_ID_LIMIT).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}
