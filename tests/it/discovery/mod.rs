//! Pools whose backends are found in the DNS.

mod changes;
mod faults;
mod readiness;
mod services;

use std::net::SocketAddr;

use crate::backends::Backend;
use crate::harness::{Gateway, NameServer, eventually};

/// The name under which backends are found.
const NAME: &str = "chat.internal";

/// A pool of the addresses of [`NAME`] at `port`, with more keys in `discovery`.
fn yaml(server: &NameServer, port: u16, more: &str) -> String {
    of(&format!("dns: {NAME}, port: {port}, {more}"), server)
}

/// A pool with these keys in `discovery`, asking `server` ten times a second.
fn of(keys: &str, server: &NameServer) -> String {
    let server = server.address();
    format!(
        "routes: {{ chat: {{ origins: any, timeouts: {{ half_close: 200ms, close: 200ms }}, pool: chat }} }}\n\
         drain: {{ window: 0s, deadline: 5s }}\n\
         pools: {{ chat: {{ discovery: {{ {keys} refresh: 100ms, nameservers: [\"{server}\"] }} }} }}\n"
    )
}

/// The names of the pool's backends, as the status has them.
async fn backends(gateway: &Gateway) -> Vec<String> {
    let status = gateway.status().await;
    let backends = status["pools"][0]["backends"].as_array().expect("a list");
    let name = |backend: &serde_json::Value| backend["name"].as_str().map(str::to_owned);
    backends.iter().filter_map(name).collect()
}

/// Waits until the pool has these backends.
async fn has(gateway: &Gateway, expected: &[String]) {
    #[expect(clippy::cast_precision_loss, reason = "a handful of backends")]
    let count = expected.len() as f64;
    let are_found = || {
        let metrics = gateway.metrics();
        let is_there = |name: &String| {
            let labels = [("backend", name.as_str())];
            let sessions = metrics.value("wsgate_backend_sessions_active", &labels);
            sessions.is_some()
        };
        let found = metrics.value("wsgate_pool_discovered_backends", &[("pool", "chat")]);
        found == Some(count) && expected.iter().all(is_there)
    };
    eventually("the backends are found", are_found).await;
    assert_eq!(backends(gateway).await, expected);
}

/// A backend that says its name, at this address and any port, or the given one.
async fn backend_at(ip: [u8; 4], port: u16, name: &str) -> Backend {
    Backend::named_at(SocketAddr::from((ip, port)), name).await
}
