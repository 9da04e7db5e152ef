//! From socket to request: addresses, deadlines, bounds.

mod bounds;
mod crowds;
mod deadlines;
mod descriptors;
mod introductions;
mod sockets;
mod throttles;
mod uploads;

use crate::harness::Gateway;

/// A route that answers by itself.
const ROUTE: &str = "routes: { fixed: { respond: { status: 200, body: in } } }\n";

/// A request on a connection that stays open.
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

/// The listener `main` with more keys.
fn listening(more: &str) -> String {
    format!("listeners: {{ main: {{ address: \"127.0.0.1:0\"{more} }} }}\n{ROUTE}")
}

/// How many connections of the listener `main` ended before a request for this reason.
fn rejects(gateway: &Gateway, reason: &str) -> f64 {
    let labels = [("listener", "main"), ("reason", reason)];
    gateway.count("wsgate_listener_rejects_total", &labels)
}
