//! The name of a request.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::session::SessionId;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
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
        let id = HeaderValue::from_bytes(&SessionId::random().digits());
        Self(id.expect("hexadecimal digits are a field value"))
    }

    /// As the value of a field.
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
