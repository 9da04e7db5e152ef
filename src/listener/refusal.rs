//! Refusing a head that never became a request.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::body::{Body, text};
use super::linger::linger;
use crate::session::Rejection;
use crate::stream::Stream;
use crate::telemetry::ConnectionRejection;

/// How long a refused client is given to take the refusal and end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a head came to that never became a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// What the client is told.
    pub(super) rejection: Rejection,
    /// How the connection is counted.
    pub(super) reason: ConnectionRejection,
}

impl Fault {
    pub(super) const SLOW: Self = Self {
        rejection: Rejection::HeadTooSlow,
        reason: ConnectionRejection::HeadTooSlow,
    };

    pub(super) const HEAD_TOO_LARGE: Self = Self {
        rejection: Rejection::HeadTooLarge,
        reason: ConnectionRejection::HeadTooLarge,
    };

    /// A head that is not sound, in these words.
    pub(super) fn bad(words: &'static str) -> Self {
        Self {
            rejection: Rejection::BadRequest(words),
            reason: ConnectionRejection::BadRequest,
        }
    }

    /// What fits what hyper says of a head; none where there is nobody left to be told.
    ///
    /// `received` is what has been read of the head, `limit` how many bytes it may have.
    pub(super) fn of(error: &hyper::Error, received: &[u8], limit: usize) -> Option<Self> {
        if error.is_parse_too_large() {
            let has_target = received.iter().take(limit).any(|byte| *byte == b'\n');
            return Some(Self {
                rejection: match has_target {
                    true => Rejection::HeadTooLarge,
                    false => Rejection::TargetTooLong,
                },
                reason: ConnectionRejection::HeadTooLarge,
            });
        }
        error
            .is_parse()
            .then(|| Self::bad("The request is no sound HTTP."))
    }
}

/// Tells the client, then ends the connection.
pub(super) async fn refuse(mut stream: Stream, rejection: Rejection) {
    let told = async {
        // Whatever goes wrong here: the client has left.
        if stream.write_all(answer(rejection).as_bytes()).await.is_ok() {
            linger(stream).await;
        }
    };
    let _ = timeout(PATIENCE, told).await;
}

fn answer(rejection: Rejection) -> String {
    let status = rejection.status();
    let text = rejection.message();
    format!(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        text.len() + 1,
    )
}

/// The refusal of a head that was read, but is not sound.
pub(super) fn response(rejection: Rejection) -> Response<Body> {
    let mut response = Response::new(text(format!("{}\n", rejection.message())));
    *response.status_mut() = rejection.status();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
