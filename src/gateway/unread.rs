//! Request bodies that are left over when the answer is ready.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, Version, request};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::respond::announce_close;
use crate::fields::list_has_token;
use crate::websocket::looks_like_websocket;

/// The largest body that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// How long that may take; such a small body should be on its way already.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is left of the body of a request.
pub(super) enum Unread {
    /// All of it.
    All(Incoming),
    /// A reader began with it, and dropped it.
    Rest,
    /// It was read to its end, or there was none.
    Nothing,
}

impl Unread {
    pub(super) fn of(body: Incoming) -> Self {
        match body.is_end_stream() {
            true => Self::Nothing,
            false => Self::All(body),
        }
    }

    /// Takes the body, if all of it is left.
    pub(super) fn take(&mut self) -> Option<Incoming> {
        match std::mem::replace(self, Self::Rest) {
            Self::All(body) => Some(body),
            left => {
                *self = left;
                None
            }
        }
    }

    /// The bytes that are known to follow.
    pub(super) fn least(&self) -> u64 {
        match self {
            Self::All(body) => body.size_hint().lower(),
            Self::Rest | Self::Nothing => 0,
        }
    }

    /// Reads and drops a small body, so that the connection can be used again; otherwise adds `Connection: close`, as hyper
    /// would close the connection without telling the client.
    pub(super) async fn discard_or_close(self, request: &request::Parts, answer: &mut HeaderMap) {
        // Over HTTP/2 no answer ends the connection, and an unread body ends only its own stream.
        let is_http2 = request.version > Version::HTTP_11;
        let ends_anyway = !is_http2 && list_has_token(answer, &CONNECTION, "close");
        let is_read = match self {
            Self::All(body) => ends_anyway || discard(body, request).await,
            Self::Rest => ends_anyway,
            Self::Nothing => true,
        };
        if !is_read && !is_http2 {
            announce_close(answer);
        }
    }
}

/// Reads and drops a small body; returns whether it came to its end. For HTTP/2 this keeps hyper from resetting the stream,
/// which some clients (curl 7.88) report as a failure.
///
/// Not read: a body that the client sends only after a 100 (Expect), what follows an opening handshake (it may be frames),
/// and a body of unknown length over HTTP/2.
async fn discard(body: Incoming, request: &request::Parts) -> bool {
    let hint = body.size_hint();
    let length = if request.version == Version::HTTP_2 {
        hint.upper()
    } else {
        Some(hint.lower())
    };
    let is_small = length.is_some_and(|length| length <= LARGEST as u64);
    let headers = &request.headers;
    if !is_small || headers.contains_key(EXPECT) || looks_like_websocket(headers) {
        return false;
    }
    timeout(PATIENCE, discard_all(body)).await.unwrap_or(false)
}

async fn discard_all(mut body: Incoming) -> bool {
    let mut read = 0;
    while read <= LARGEST {
        match body.frame().await {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => return false,
            None => return true,
        }
    }
    false
}
