//! The host that a request asks for.

use http::header::HOST;
use http::{HeaderValue, request};

use crate::route::is_sound_authority;

/// The host that is asked for, with its port if it has one; empty where it is none that could be read.
pub(super) fn host(request: &request::Parts) -> &str {
    str::from_utf8(given(request)).unwrap_or_default()
}

/// The same, where it could be one; a request may ask for none (RFC 9112 section 3.2).
pub(super) fn sound_host(given: &[u8]) -> Option<&str> {
    let host = str::from_utf8(given).ok()?;
    is_sound_authority(host).then_some(host)
}

/// The same as the value of a field, where it is [sound](sound_host); none where no host is asked for.
pub(super) fn host_value(request: &request::Parts) -> Option<HeaderValue> {
    let host = match request.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => request.headers.get(HOST).cloned(),
    };
    host.filter(|host| !host.is_empty())
}

/// That of the target, otherwise Host (RFC 9112 section 3.2.2), as it is given.
pub(super) fn given(request: &request::Parts) -> &[u8] {
    match request.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => request.headers.get(HOST).map_or(&[], HeaderValue::as_bytes),
    }
}
