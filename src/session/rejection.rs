//! Why requests are refused.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::StatusCode;
use tracing::Level;

/// Why a request was refused before a session or an answer of a backend began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// No route matches this host and path.
    NoRoute,
    /// The route accepts only WebSocket, and this is a plain request.
    UpgradeRequired,
    /// The opening handshake is malformed (RFC 6455 section 4.2.1); with the message.
    BadHandshake(&'static str),
    /// The request is not valid HTTP; with the message.
    BadRequest(&'static str),
    /// Sec-WebSocket-Version is not 13 (RFC 6455 section 4.4).
    UnsupportedVersion,
    /// The Origin is not allowed, missing, opaque or repeated; with the message.
    OriginDenied(&'static str),
    /// The gateway or the listener is at its limit of sessions or connections.
    GatewayFull,
    /// The client is at its limit of connections.
    ClientFull,
    /// `limits.handshakes_per_second` is exceeded.
    TooManyHandshakes,
    /// The gateway is stopping, or the listener or route is drained.
    Draining,
    /// No backend of the pool is ready.
    NoReadyBackend,
    /// Every ready backend of the pool is full, and none got room in time.
    PoolFull,
    /// Every candidate refused the connection or broke the handshake; with the failure of the last one.
    BackendFailed(&'static str),
    /// The backends did not answer in time.
    BackendTimeout,
    /// The request head is larger than `limits.request_head`.
    HeadTooLarge,
    /// The request target is too long.
    TargetTooLong,
    /// The request head did not arrive within `timeouts.request_header`.
    HeadTooSlow,
    /// The request's body is larger than `http.max_body`.
    BodyTooLarge,
    /// The request's body made no progress for `http.request_timeout`, or was slower than `http.min_upload_rate`.
    BodyTooSlow,
    /// The method is never accepted.
    MethodNotAllowed,
    /// The request needs something that is not implemented; with the message.
    NotImplemented(&'static str),
}

/// The seconds of Retry-After. The range spreads the retries of clients that are refused together.
const RETRY_AFTER: RangeInclusive<u64> = 5..=10;

impl Rejection {
    /// All values of [`Rejection::label`], for metrics that start at 0.
    pub const LABELS: [&'static str; 21] = [
        "no_route",
        "upgrade_required",
        "bad_handshake",
        "bad_request",
        "unsupported_version",
        "origin_denied",
        "gateway_full",
        "client_full",
        "too_many_handshakes",
        "draining",
        "no_ready_backend",
        "pool_full",
        "backend_failed",
        "backend_timeout",
        "head_too_large",
        "target_too_long",
        "head_too_slow",
        "body_too_large",
        "body_too_slow",
        "method_not_allowed",
        "not_implemented",
    ];

    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::UpgradeRequired | Self::UnsupportedVersion => StatusCode::UPGRADE_REQUIRED,
            Self::BadHandshake(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::OriginDenied(_) => StatusCode::FORBIDDEN,
            Self::GatewayFull
            | Self::TooManyHandshakes
            | Self::Draining
            | Self::NoReadyBackend
            | Self::PoolFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::ClientFull => StatusCode::TOO_MANY_REQUESTS,
            Self::BackendFailed(_) => StatusCode::BAD_GATEWAY,
            Self::BackendTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooSlow | Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// The value of the `result` label and log field, one of [`Rejection::LABELS`].
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::UpgradeRequired => "upgrade_required",
            Self::BadHandshake(_) => "bad_handshake",
            Self::BadRequest(_) => "bad_request",
            Self::UnsupportedVersion => "unsupported_version",
            Self::OriginDenied(_) => "origin_denied",
            Self::GatewayFull => "gateway_full",
            Self::ClientFull => "client_full",
            Self::TooManyHandshakes => "too_many_handshakes",
            Self::Draining => "draining",
            Self::NoReadyBackend => "no_ready_backend",
            Self::PoolFull => "pool_full",
            Self::BackendFailed(_) => "backend_failed",
            Self::BackendTimeout => "backend_timeout",
            Self::HeadTooLarge => "head_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooSlow => "head_too_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotImplemented(_) => "not_implemented",
        }
    }

    /// The level in the access log: INFO for the client's faults, WARN for ours.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::NoRoute
            | Self::UpgradeRequired
            | Self::BadHandshake(_)
            | Self::BadRequest(_)
            | Self::UnsupportedVersion
            | Self::OriginDenied(_)
            | Self::ClientFull
            | Self::Draining
            | Self::HeadTooLarge
            | Self::TargetTooLong
            | Self::HeadTooSlow
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::MethodNotAllowed
            | Self::NotImplemented(_) => Level::INFO,
            Self::GatewayFull
            | Self::TooManyHandshakes
            | Self::NoReadyBackend
            | Self::PoolFull
            | Self::BackendFailed(_)
            | Self::BackendTimeout => Level::WARN,
        }
    }

    /// The message for the client; it reveals nothing internal.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::NoRoute => "Nothing is served at this host and path.",
            Self::UpgradeRequired => "Only WebSocket connections are taken here.",
            Self::BadHandshake(detail)
            | Self::BadRequest(detail)
            | Self::OriginDenied(detail)
            | Self::NotImplemented(detail) => detail,
            Self::UnsupportedVersion => "Only WebSocket version 13 is spoken here.",
            Self::GatewayFull => "The gateway is full. Try again in a moment.",
            Self::ClientFull => "There are too many connections from this address.",
            Self::TooManyHandshakes => "Too many come at once. Try again in a moment.",
            Self::Draining => "This is being taken out of service. Try again in a moment.",
            Self::NoReadyBackend => "No backend is ready. Try again in a moment.",
            Self::PoolFull => "All backends are full. Try again in a moment.",
            Self::BackendFailed(_) => {
                "The backend could not be reached, or did not answer as it should."
            }
            Self::BackendTimeout => "The backend did not answer in time.",
            Self::HeadTooLarge => "The request head is too large.",
            Self::TargetTooLong => "The request target is too long.",
            Self::HeadTooSlow => "The request head did not arrive in time.",
            Self::BodyTooLarge => "The request body is too large.",
            Self::BodyTooSlow => "The request body did not arrive in time.",
            Self::MethodNotAllowed => "This method is not taken here.",
        }
    }

    /// Details for the operator; empty if the label says it all.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::BadHandshake(detail)
            | Self::BadRequest(detail)
            | Self::OriginDenied(detail)
            | Self::NotImplemented(detail)
            | Self::BackendFailed(detail) => detail,
            Self::NoRoute
            | Self::UpgradeRequired
            | Self::UnsupportedVersion
            | Self::GatewayFull
            | Self::ClientFull
            | Self::TooManyHandshakes
            | Self::Draining
            | Self::NoReadyBackend
            | Self::PoolFull
            | Self::BackendTimeout
            | Self::HeadTooLarge
            | Self::TargetTooLong
            | Self::HeadTooSlow
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::MethodNotAllowed => "",
        }
    }

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

    const ALL: [Rejection; 21] = [
        Rejection::NoRoute,
        Rejection::UpgradeRequired,
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
