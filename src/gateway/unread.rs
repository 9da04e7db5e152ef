//! Bodies of requests that were answered without them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, Version, request};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::respond::announce_close;
use crate::websocket::{list_has_token, looks_like_websocket};

/// The largest that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// How long that may take: what is so small is on its way already.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads a small body to its end, so that the connection can go on, or says in the answer that it ends. hyper would close it
/// without a word.
pub(super) async fn discard_or_close(
    body: Option<Incoming>,
    request: &request::Parts,
    answer: &mut HeaderMap,
) {
    let ends_anyway = list_has_token(answer, &CONNECTION, "close");
    let is_left = !ends_anyway && !discard(body, request).await;
    // Over HTTP/2 a body that nobody reads ends its stream alone.
    if is_left && request.version <= Version::HTTP_11 {
        announce_close(answer);
    }
}

/// Reads a small body; tells whether it came to its end. Over HTTP/2 hyper would reset the stream, and some clients take that
/// for a failure (curl 7.88).
///
/// A client that waits to be told to send it is not told. What follows an opening handshake is no body to some. Nor may one
/// come for long on a stream of HTTP/2 that announces none.
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
