//! From socket to request: addresses, deadlines, bounds.

mod bounds;
mod crowds;
mod deadlines;
mod descriptors;
mod introductions;
mod sockets;
mod throttles;
mod uploads;

use crate::harness::{Gateway, Wire, expect_few_words};

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

/// Sends bytes that never become a request, and expects to be told so and to be let go.
async fn expect_cut_short(gateway: &Gateway, bytes: &str, status: u16, result: &str) {
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(bytes).await;
    let answer = wire.answer().await;
    assert_eq!(answer.status(), status, "{answer:?}");
    expect_few_words(&answer);
    assert_eq!(answer.values("connection"), ["close"]);
    assert_eq!(wire.rest().await, b"");
    let line = gateway.line("refused").await;
    assert_eq!(line["status"], status, "{line}");
    assert_eq!(line["result"], result, "{line}");
    assert_eq!(gateway.handshakes("", result), 1.0);
}
