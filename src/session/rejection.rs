//! Why requests are refused.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::StatusCode;
use tracing::Level;

/// Declares the rejections. After each come the status of its answer, its level in the access log (INFO for the client's
/// faults, WARN for ours), its label, and the message for the client.
macro_rules! rejections {
    ($($(#[$doc:meta])* $name:ident $(($detail:ident: $kind:ty))? => $status:ident $level:ident $label:literal, $message:expr;)*) => {
        /// Why a request was refused before a session or an answer of a backend began.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Rejection {
            $($(#[$doc])* $name $(($kind))?,)*
        }

        impl Rejection {
            /// All values of [`Rejection::label`], for metrics that start at 0.
            pub const LABELS: [&'static str; [$($label),*].len()] = [$($label),*];

            /// The status of the answer.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$name { .. } => StatusCode::$status,)*
                }
            }

            /// The value of the `result` label and log field, one of [`Rejection::LABELS`].
            #[must_use]
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $label,)*
                }
            }

            /// The level in the access log.
            #[must_use]
            pub fn level(self) -> Level {
                match self {
                    $(Self::$name { .. } => Level::$level,)*
                }
            }

            /// The message for the client; it reveals nothing internal.
            #[must_use]
            #[expect(unused_variables, reason = "a detail that is not for the client")]
            pub fn message(self) -> &'static str {
                match self {
                    $(Self::$name $(($detail))? => $message,)*
                }
            }

            /// Details for the operator; empty if the label says it all.
            #[must_use]
            pub fn detail(self) -> &'static str {
                match self {
                    $(Self::$name $(($detail))? => [$($detail,)? ""][0],)*
                }
            }
        }
    };
}

rejections! {
    /// No route matches this host and path.
    NoRoute => NOT_FOUND INFO "no_route",
        "Nothing is served at this host and path.";
    /// A plain request to a route that accepts only WebSocket, or an opening handshake without Upgrade; with the message.
    UpgradeRequired(detail: &'static str) => UPGRADE_REQUIRED INFO "upgrade_required",
        detail;
    /// The opening handshake is malformed (RFC 6455 section 4.2.1); with the message.
    BadHandshake(detail: &'static str) => BAD_REQUEST INFO "bad_handshake",
        detail;
    /// The request is not valid HTTP; with the message.
    BadRequest(detail: &'static str) => BAD_REQUEST INFO "bad_request",
        detail;
    /// Sec-WebSocket-Version is not 13 (RFC 6455 section 4.4).
    UnsupportedVersion => UPGRADE_REQUIRED INFO "unsupported_version",
        "Only WebSocket version 13 is supported.";
    /// The Origin is not allowed, missing, opaque or repeated; with the message.
    OriginDenied(detail: &'static str) => FORBIDDEN INFO "origin_denied",
        detail;
    /// The gateway or the listener is at its limit of sessions or connections.
    GatewayFull => SERVICE_UNAVAILABLE WARN "gateway_full",
        "The gateway is full. Try again in a moment.";
    /// The client is at its limit of connections.
    ClientFull => TOO_MANY_REQUESTS INFO "client_full",
        "There are too many connections from this address.";
    /// `limits.handshakes_per_second` is exceeded.
    TooManyHandshakes => SERVICE_UNAVAILABLE WARN "too_many_handshakes",
        "Too many at once. Try again in a moment.";
    /// The gateway is stopping, or the listener or route is drained.
    Draining => SERVICE_UNAVAILABLE INFO "draining",
        "This is being taken out of service. Try again in a moment.";
    /// No backend of the pool is ready.
    NoReadyBackend => SERVICE_UNAVAILABLE WARN "no_ready_backend",
        "No backend is ready. Try again in a moment.";
    /// Every ready backend of the pool is full, and none got room in time.
    PoolFull => SERVICE_UNAVAILABLE WARN "pool_full",
        "All backends are full. Try again in a moment.";
    /// Every candidate refused the connection or broke the handshake; with the failure of the last one.
    BackendFailed(detail: &'static str) => BAD_GATEWAY WARN "backend_failed",
        "The backend could not be reached, or did not answer as it should.";
    /// The backends did not answer in time.
    BackendTimeout => GATEWAY_TIMEOUT WARN "backend_timeout",
        "The backend did not answer in time.";
    /// The request head is larger than `limits.request_head`.
    HeadTooLarge => REQUEST_HEADER_FIELDS_TOO_LARGE INFO "head_too_large",
        "The request head is too large.";
    /// The request target is too long.
    TargetTooLong => URI_TOO_LONG INFO "target_too_long",
        "The request target is too long.";
    /// The request head did not arrive within `timeouts.request_header`.
    HeadTooSlow => REQUEST_TIMEOUT INFO "head_too_slow",
        "The request head did not arrive in time.";
    /// The request's body is larger than `http.max_body`.
    BodyTooLarge => PAYLOAD_TOO_LARGE INFO "body_too_large",
        "The request body is too large.";
    /// The request's body made no progress for `http.request_timeout`, or was slower than `http.min_upload_rate`.
    BodyTooSlow => REQUEST_TIMEOUT INFO "body_too_slow",
        "The request body did not arrive in time.";
    /// The client left before there was an answer, in the middle of its body for instance. A client that ended only its
    /// sending half still gets this answer.
    ClientGone => BAD_REQUEST INFO "client_gone",
        "The body did not arrive whole.";
    /// The method is never accepted.
    MethodNotAllowed => METHOD_NOT_ALLOWED INFO "method_not_allowed",
        "This method is not allowed.";
    /// The request needs something that is not implemented; with the message.
    NotImplemented(detail: &'static str) => NOT_IMPLEMENTED INFO "not_implemented",
        detail;
}

/// The seconds of Retry-After. The range spreads the retries of clients that are refused together.
const RETRY_AFTER: RangeInclusive<u64> = 5..=10;

impl Rejection {
    /// The value of Retry-After, if a retry may help (RFC 9110 section 10.2.3); random within a range.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        let is_passing = matches!(
            self.status(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        is_passing.then(|| Duration::from_secs(fastrand::u64(RETRY_AFTER)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: [Rejection; 22] = [
        Rejection::NoRoute,
        Rejection::UpgradeRequired(""),
        Rejection::BadHandshake(""),
        Rejection::BadRequest(""),
        Rejection::UnsupportedVersion,
        Rejection::OriginDenied(""),
        Rejection::GatewayFull,
        Rejection::ClientFull,
        Rejection::TooManyHandshakes,
        Rejection::Draining,
        Rejection::NoReadyBackend,
        Rejection::PoolFull,
        Rejection::BackendFailed(""),
        Rejection::BackendTimeout,
        Rejection::HeadTooLarge,
        Rejection::TargetTooLong,
        Rejection::HeadTooSlow,
        Rejection::BodyTooLarge,
        Rejection::BodyTooSlow,
        Rejection::ClientGone,
        Rejection::MethodNotAllowed,
        Rejection::NotImplemented(""),
    ];

    #[test]
    fn every_label_is_listed() {
        assert_eq!(ALL.map(Rejection::label), Rejection::LABELS);
    }

    #[test]
    fn asks_to_retry_only_where_it_may_help() {
        for rejection in ALL {
            let passes = [429, 503].contains(&rejection.status().as_u16());
            assert_eq!(rejection.retry_after().is_some(), passes, "{rejection:?}");
        }
    }

    #[test]
    fn does_not_call_all_back_together() {
        let waits = (0..1000).filter_map(|_| Rejection::TooManyHandshakes.retry_after());
        let waits: BTreeSet<u64> = waits.map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, RETRY_AFTER.collect());
    }
}
