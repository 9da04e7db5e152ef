//! The configurations that most scenarios have: one route, one pool.

use crate::backends::Backend;

/// No deadline comes in the time of a scenario, however slow the machine: what happens does not happen because of one, but
/// that a backend is ended that does not end first. Nor does the gateway ask whether the sides are there.
pub(crate) const PATIENT: &str = "defaults: { timeouts: { connect: 1h, handshake: 1h, close: 1h, half_close: 1h }, \
                                  websocket: { ping: { target: none } } }\n";

/// A route `chat` for every host and path and origin, to a pool `chat` of these backends.
pub(crate) fn before(backends: &[&Backend]) -> String {
    routed("origins: any", backends)
}

/// As [`before`], with these keys in the route instead of `origins: any`.
pub(crate) fn routed(keys: &str, backends: &[&Backend]) -> String {
    format!(
        "routes: {{ chat: {{ {keys}, pool: chat }} }}\n{}",
        pool("", backends)
    )
}

/// As [`before`], but a side that leaves without a Close, or does not follow one, is given up soon.
pub(crate) fn impatient(backends: &[&Backend]) -> String {
    let keys = "origins: any, timeouts: { half_close: 200ms, close: 200ms }";
    routed(keys, backends)
}

/// The pool `chat`, with these keys, each ended by a comma.
pub(crate) fn pool(keys: &str, backends: &[&Backend]) -> String {
    let urls = backends
        .iter()
        .map(|backend| format!("\"{}\"", backend.url()));
    let urls = urls.collect::<Vec<_>>().join(", ");
    format!("pools: {{ chat: {{ {keys} backends: [{urls}] }} }}\n")
}
