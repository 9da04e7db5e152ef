//! Refusing a head that never became a request.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::Settings;
use super::body::{Body, text};
use super::linger::{PAUSE, REFUSED, linger};
use crate::config::ProxyHeader;
use crate::proxy_protocol::is_header;
use crate::session::Rejection;
use crate::stream::Stream;
use crate::telemetry::ConnectionRejection;

/// The beginning of a TLS connection: the type of the record and its major version (RFC 8446 section 5.1).
const TLS_HANDSHAKE: &[u8] = b"\x16\x03";

/// Why a head was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// The answer to the client.
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

    /// An invalid head, with the message for the client.
    pub(super) fn bad(words: &'static str) -> Self {
        Self {
            rejection: Rejection::BadRequest(words),
            reason: ConnectionRejection::BadRequest,
        }
    }

    /// Translates an error of hyper; `None` if there is no client left to answer.
    ///
    /// `received` is what was read of the head.
    pub(super) fn of(error: &hyper::Error, received: &[u8], settings: &Settings) -> Option<Self> {
        if error.is_parse_too_large() {
            let limit = settings.limits.request_head;
            let has_target = received.iter().take(limit).any(|byte| *byte == b'\n');
            return Some(Self {
                rejection: match has_target {
                    true => Rejection::HeadTooLarge,
                    false => Rejection::TargetTooLong,
                },
                reason: ConnectionRejection::HeadTooLarge,
            });
        }
        error.is_parse().then(|| {
            Self::bad(if received.starts_with(TLS_HANDSHAKE) {
                "This is TLS, but the listener does not use TLS."
            } else if is_header(received) {
                unread_header(settings.proxy_protocol)
            } else {
                "The request is not valid HTTP."
            })
        })
    }
}

/// Why a PROXY header was taken for a request.
fn unread_header(mode: ProxyHeader) -> &'static str {
    match mode {
        ProxyHeader::None => "This is a PROXY header, but the listener has no `proxy_protocol`.",
        ProxyHeader::Accept => {
            "This is a PROXY header of a peer that is not in `trusted_proxies`, or a second one."
        }
        ProxyHeader::Require => "This is a second PROXY header.",
    }
}

/// Sends the refusal, then closes the connection.
pub(super) async fn refuse(mut stream: Stream, rejection: Rejection) {
    let refused = async {
        // On an error the client has left.
        if stream.write_all(answer(rejection).as_bytes()).await.is_ok() {
            linger(stream, PAUSE).await;
        }
    };
    let _ = timeout(REFUSED, refused).await;
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

/// The refusal of a head that could be parsed, but is invalid.
pub(super) fn response(rejection: Rejection) -> Response<Body> {
    let mut response = Response::new(text(format!("{}\n", rejection.message())));
    *response.status_mut() = rejection.status();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
