//! The values of labels. They are closed sets, so that the number of series is bounded.

use http::StatusCode;

use crate::session::Rejection;
use crate::websocket::Opcode;

enumeration! {
    /// The outcome of a reload.
    pub enum ReloadResult {
        /// The new configuration is in force.
        Success => "success",
        /// There were errors; the old configuration stays in force.
        Failure => "failure",
        /// The configuration is the same as before.
        Noop => "noop",
    }
    /// The label value.
    pub fn label;
}

enumeration! {
    /// Why the listener refused a connection, or one request over HTTP/2.
    pub enum ConnectionRejection {
        /// The listener holds `limits.max_connections` already.
        Full => "full",
        /// The client holds `limits.max_connections_per_client` already.
        ClientFull => "client_full",
        /// Its address is in `deny`, or not in `allow`.
        Denied => "denied",
        /// The listener requires a PROXY header, and the peer is in none of `trusted_proxies`.
        ProxyUntrusted => "proxy_untrusted",
        /// The listener requires a PROXY header, and the connection began without one.
        ProxyMissing => "proxy_missing",
        /// The PROXY header breaks the rules, or is too long.
        ProxyMalformed => "proxy_malformed",
        /// The system refused to accept, for instance because descriptors are used up.
        AcceptFailed => "accept_failed",
        /// `limits.concurrent_tls_handshakes` are under way already.
        TlsFull => "tls_full",
        /// The client sent no valid HTTP.
        BadRequest => "bad_request",
        /// The request head is larger than `limits.request_head`.
        HeadTooLarge => "head_too_large",
        /// The request head, or the PROXY header before it, did not arrive within `timeouts.request_header`.
        HeadTooSlow => "head_too_slow",
        /// The client broke the rules of HTTP/2, or flooded the connection.
        Http2Error => "http2_error",
    }
    /// The label value.
    pub fn label;
}

enumeration! {
    /// The outcome of a TLS handshake with a client.
    pub enum TlsResult {
        /// The connection is encrypted.
        Success => "success",
        /// No agreement was possible, or the client broke the protocol.
        Failure => "failure",
        /// It took longer than `handshake_timeout`.
        Timeout => "timeout",
        /// The client left before the end, as TCP checks of load balancers do.
        ClientGone => "client_gone",
    }
    /// The label value.
    pub fn label;
}

/// The outcome of a request, before any session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandshakeResult {
    /// A session opened.
    Accepted,
    /// The gateway refused.
    Refused(Rejection),
    /// The backend answered with another status than 101, which was forwarded.
    BackendAnswered,
    /// The route answered by itself, without a pool.
    Answered,
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
        }
    }
}

enumeration! {
    /// The outcome of an attempt at a backend.
    pub enum ConnectResult {
        /// It accepted the handshake.
        Opened => "opened",
        /// It answered with another status than 101.
        Answered => "answered",
        /// Its name could not be resolved.
        ResolveFailed => "resolve_failed",
        /// It could not be connected to.
        ConnectFailed => "connect_failed",
        /// No local port was free towards it.
        PortsExhausted => "ports_exhausted",
        /// Its certificate is invalid, or the TLS handshake failed otherwise.
        TlsFailed => "tls_failed",
        /// It did not answer in time.
        Timeout => "timeout",
        /// Its answer to the handshake was invalid.
        HandshakeFailed => "handshake_failed",
        /// The client left, or its body was too large, too slow or broken.
        Abandoned => "abandoned",
    }
    /// The label value.
    pub fn label;
}

/// The statuses that are counted individually, in order; others are counted by class.
const STATUSES: [&str; 31] = [
    "200", "201", "202", "204", "206", "301", "302", "303", "304", "307", "308", "400", "401",
    "403", "404", "405", "406", "408", "409", "410", "412", "413", "415", "416", "422", "429",
    "500", "501", "502", "503", "504",
];

/// The labels of statuses that are not in [`STATUSES`]; `none` if there was no answer.
const CLASSES: [&str; 6] = ["none", "2xx", "3xx", "4xx", "5xx", "other"];

/// The label of the answer to a plain request.
pub(super) fn status(status: Option<StatusCode>) -> &'static str {
    let [
        none,
        success,
        redirection,
        client_error,
        server_error,
        other,
    ] = CLASSES;
    let Some(status) = status else {
        return none;
    };
    if let Ok(index) = STATUSES.binary_search(&status.as_str()) {
        return STATUSES[index];
    }
    match status.as_u16() / 100 {
        2 => success,
        3 => redirection,
        4 => client_error,
        5 => server_error,
        _ => other,
    }
}

/// Every value of [`status`].
pub(super) fn statuses() -> impl Iterator<Item = &'static str> {
    STATUSES.into_iter().chain(CLASSES)
}

enumeration! {
    /// The outcome of a check of a backend.
    pub enum CheckResult {
        /// It passed.
        Success => "success",
        /// The backend could not be reached, or answered wrongly.
        Failure => "failure",
        /// It did not finish in time.
        Timeout => "timeout",
    }
    /// The label value.
    pub fn label;
}

enumeration! {
    /// The result of a discovery query.
    pub enum DiscoveryResult {
        /// Backends were found.
        Success => "success",
        /// The name does not exist, or has no such records.
        Empty => "empty",
        /// A name server refused, or its answer was invalid.
        Failure => "failure",
        /// No name server answered in time.
        Timeout => "timeout",
    }
    /// The label value.
    pub fn label;
}

/// Every label value of [`HandshakeResult`].
pub(super) fn handshake_results() -> impl Iterator<Item = &'static str> {
    let beyond_rejections = [
        HandshakeResult::Accepted,
        HandshakeResult::BackendAnswered,
        HandshakeResult::Answered,
    ];
    beyond_rejections
        .into_iter()
        .map(HandshakeResult::label)
        .chain(Rejection::LABELS)
}

/// The opcodes of messages.
pub(super) fn message_opcodes() -> impl Iterator<Item = &'static str> {
    opcodes(|opcode| matches!(opcode, Opcode::Text | Opcode::Binary))
}

/// The opcodes of control frames.
pub(super) fn control_opcodes() -> impl Iterator<Item = &'static str> {
    opcodes(Opcode::is_control)
}

fn opcodes(counted: fn(Opcode) -> bool) -> impl Iterator<Item = &'static str> {
    let opcodes = Opcode::ALL
        .into_iter()
        .filter(move |opcode| counted(*opcode));
    opcodes.map(Opcode::label)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_result_is_listed_twice() {
        let results: Vec<_> = handshake_results().collect();
        assert_eq!(results.len(), results.iter().collect::<BTreeSet<_>>().len());
    }

    #[test]
    fn every_status_has_a_label_that_is_listed() {
        let listed: Vec<_> = statuses().collect();
        for number in 100..1000 {
            let label = status(StatusCode::from_u16(number).ok());
            assert!(listed.contains(&label), "{number}: {label}");
            assert!(label.len() == 5 || label == number.to_string() || label.ends_with("xx"));
        }
        assert_eq!(status(None), "none");
        assert!(STATUSES.is_sorted());
    }
}
