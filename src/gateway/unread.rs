//! Request bodies that are left over when the answer is ready.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, Version, request};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::respond::announce_close;
use crate::websocket::{list_has_token, looks_like_websocket};

/// The largest body that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// How long that may take; such a small body should be on its way already.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads and drops a small body, so that the connection can be used again; otherwise adds `Connection: close`, as hyper would
/// close the connection without telling the client.
pub(super) async fn discard_or_close(
    body: Option<Incoming>,
    request: &request::Parts,
    answer: &mut HeaderMap,
) {
    let ends_anyway = list_has_token(answer, &CONNECTION, "close");
    let is_left = !ends_anyway && !discard(body, request).await;
    // Over HTTP/2 an unread body ends only its own stream.
    if is_left && request.version <= Version::HTTP_11 {
        announce_close(answer);
    }
}

/// Reads and drops a small body; returns whether it came to its end. For HTTP/2 this keeps hyper from resetting the stream,
/// which some clients (curl 7.88) report as a failure.
///
/// Not read: a body that the client sends only after a 100 (Expect), what follows an opening handshake (it may be frames),
/// and a body of unknown length over HTTP/2.
async fn discard(body: Option<Incoming>, request: &request::Parts) -> bool {
    let Some(body) = body else { return false };
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
