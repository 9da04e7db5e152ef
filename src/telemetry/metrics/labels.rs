//! The values that labels may have; each enumeration is closed, so that series stay bounded.

use crate::session::Rejection;

/// What a reload came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReloadResult {
    /// The new configuration is in force.
    Success,
    /// There were errors; the old configuration stays.
    Failure,
    /// The file says what runs already.
    Noop,
}

impl ReloadResult {
    const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Noop];

    /// The value of the `result` label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Noop => "noop",
        }
    }
}

/// Why a connection ended before it brought a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionRejection {
    /// The listener holds `limits.max_connections` already.
    Full,
    /// The system could not accept, for instance because descriptors are used up.
    AcceptFailed,
    /// What came is no sound HTTP.
    BadRequest,
    /// The request head is larger than `limits.request_head`.
    HeadTooLarge,
    /// The request head did not arrive within `timeouts.request_header`.
    HeadTooSlow,
}

impl ConnectionRejection {
    const ALL: [Self; 5] = [
        Self::Full,
        Self::AcceptFailed,
        Self::BadRequest,
        Self::HeadTooLarge,
        Self::HeadTooSlow,
    ];

    /// The value of the `reason` label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AcceptFailed => "accept_failed",
            Self::BadRequest => "bad_request",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTooSlow => "head_too_slow",
        }
    }
}

/// What a TLS handshake with a client came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsResult {
    /// The connection is encrypted.
    Success,
    /// The two could not agree, or the client broke the protocol.
    Failure,
    /// It took longer than `handshake_timeout`.
    Timeout,
    /// The client left before the end, as the checks of balancers in front do.
    ClientGone,
}

impl TlsResult {
    const ALL: [Self; 4] = [
        Self::Success,
        Self::Failure,
        Self::Timeout,
        Self::ClientGone,
    ];

    /// The value of the `result` label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::ClientGone => "client_gone",
        }
    }
}

/// What a request came to, before any session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandshakeResult {
    /// A session opened.
    Accepted,
    /// The gateway refused.
    Refused(Rejection),
    /// The backend answered something else than 101, and that was passed on.
    BackendAnswered,
    /// The route answers by itself, and did.
    Answered,
    /// The client left before there was an answer.
    ClientGone,
}

impl HandshakeResult {
    /// The value of the `result` label and log field.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(rejection) => rejection.label(),
            Self::BackendAnswered => "backend_answered",
            Self::Answered => "answered",
            Self::ClientGone => "client_gone",
        }
    }
}

/// What an attempt at a backend came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectResult {
    /// It agreed to the handshake.
    Opened,
    /// It answered something else than 101.
    Answered,
    /// Its name could not be resolved.
    ResolveFailed,
    /// No connection came about.
    ConnectFailed,
    /// No local port was free towards it.
    PortsExhausted,
    /// It did not answer in time.
    Timeout,
    /// It broke the handshake.
    HandshakeFailed,
    /// The client left, or the time for all attempts was over.
    Abandoned,
}

impl ConnectResult {
    const ALL: [Self; 8] = [
        Self::Opened,
        Self::Answered,
        Self::ResolveFailed,
        Self::ConnectFailed,
        Self::PortsExhausted,
        Self::Timeout,
        Self::HandshakeFailed,
        Self::Abandoned,
    ];

    /// The value of the `result` label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Answered => "answered",
            Self::ResolveFailed => "resolve_failed",
            Self::ConnectFailed => "connect_failed",
            Self::PortsExhausted => "ports_exhausted",
            Self::Timeout => "timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::Abandoned => "abandoned",
        }
    }
}

pub(super) fn reload_results() -> impl Iterator<Item = &'static str> {
    ReloadResult::ALL.into_iter().map(ReloadResult::label)
}

pub(super) fn connection_rejections() -> impl Iterator<Item = &'static str> {
    ConnectionRejection::ALL
        .into_iter()
        .map(ConnectionRejection::label)
}

pub(super) fn tls_results() -> impl Iterator<Item = &'static str> {
    TlsResult::ALL.into_iter().map(TlsResult::label)
}

pub(super) fn connect_results() -> impl Iterator<Item = &'static str> {
    ConnectResult::ALL.into_iter().map(ConnectResult::label)
}

pub(super) fn handshake_results() -> impl Iterator<Item = &'static str> {
    let beyond_rejections = [
        HandshakeResult::Accepted,
        HandshakeResult::BackendAnswered,
        HandshakeResult::Answered,
        HandshakeResult::ClientGone,
    ];
    beyond_rejections
        .into_iter()
        .map(HandshakeResult::label)
        .chain(Rejection::LABELS)
}

/// Every value that [`close_code`] has.
pub(super) const CLOSE_CODES: [&str; 16] = [
    "none", "1000", "1001", "1002", "1003", "1007", "1008", "1009", "1010", "1011", "1012", "1013",
    "1014", "3xxx", "4xxx", "other",
];

/// The `code` label of a Close code: the codes with a meaning of their own (RFC 6455 section 7.4.1 and the
/// registry it founds), the two ranges of section 7.4.2, and one value for the rest.
pub(super) fn close_code(code: Option<u16>) -> &'static str {
    match code {
        None => "none",
        Some(1000) => "1000",
        Some(1001) => "1001",
        Some(1002) => "1002",
        Some(1003) => "1003",
        Some(1007) => "1007",
        Some(1008) => "1008",
        Some(1009) => "1009",
        Some(1010) => "1010",
        Some(1011) => "1011",
        Some(1012) => "1012",
        Some(1013) => "1013",
        Some(1014) => "1014",
        Some(3000..=3999) => "3xxx",
        Some(4000..=4999) => "4xxx",
        Some(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_close_code_falls_into_a_listed_bucket() {
        let codes = (0..=u16::MAX).map(Some).chain([None]);
        let buckets: BTreeSet<_> = codes.map(close_code).collect();
        assert_eq!(buckets, BTreeSet::from(CLOSE_CODES));
    }

    #[test]
    fn no_result_is_listed_twice() {
        let results: Vec<_> = handshake_results().collect();
        assert_eq!(results.len(), results.iter().collect::<BTreeSet<_>>().len());
    }
}
