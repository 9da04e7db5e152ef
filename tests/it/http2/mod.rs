//! HTTP/2 towards clients, and WebSocket over it (RFC 8441).

mod endings;
mod frames;
mod limits;
mod requests;
mod sessions;

use crate::backends::Backend;
use crate::harness::{Gateway, Http2, before};

/// A plain listener that takes HTTP/2, with these keys, each begun by a comma.
fn listener(keys: &str) -> String {
    format!("listeners: {{ main: {{ address: \"127.0.0.1:0\", h2c: true{keys} }} }}\n")
}

/// A gateway with such a listener before `backend`, and a connection to it.
async fn start(keys: &str, backend: &Backend) -> (Gateway, Http2) {
    let gateway = Gateway::start(&format!("{}{}", listener(keys), before(&[backend]))).await;
    let client = Http2::connect(gateway.address()).await;
    (gateway, client)
}
