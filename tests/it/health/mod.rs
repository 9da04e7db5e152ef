//! Which backends get sessions: checks, ejections, and what the operator says.

mod checks;
mod ejections;
mod operator;
mod rebalancing;
mod sessions;

use serde_json::Value;

use crate::harness::{Gateway, Opening, ask, repeatedly};

/// A route `chat` to a pool `chat` of these backends, each as the file has it, with these keys.
fn configuration(pool: &str, backends: &[String]) -> String {
    format!(
        "routes: {{ chat: {{ origins: any, pool: chat, timeouts: {{ close: 1s }} }} }}\n\
         pools: {{ chat: {{ {pool} backends: [{}] }} }}\n\
         drain: {{ window: 0s, deadline: 20s }}\n",
        backends.join(", ")
    )
}

/// What the status says of a backend.
async fn shown(gateway: &Gateway, backend: &str) -> Value {
    let status = gateway.status().await;
    let backends = status["pools"][0]["backends"].as_array().expect("a list");
    let found = backends.iter().find(|entry| entry["name"] == backend);
    found.expect("the backend is there").clone()
}

/// Waits until the status shows the backend in this state.
async fn becomes(gateway: &Gateway, backend: &str, state: &str) -> Value {
    let look = async || {
        let shown = shown(gateway, backend).await;
        (shown["state"] == state).then_some(shown)
    };
    repeatedly(&format!("{backend} is {state}"), look).await
}

fn up(gateway: &Gateway, backend: &str) -> f64 {
    let labels = [("pool", "chat"), ("backend", backend)];
    gateway.count("wsgate_backend_up", &labels)
}

/// Opens a session and leaves: the status of the answer, and the backend that it names.
async fn turn(gateway: &Gateway) -> (u16, String) {
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    let backend = answer.value("x-backend").unwrap_or_default().to_owned();
    (answer.status(), backend)
}

/// The backends of `count` sessions, each of which has to open.
async fn turns(gateway: &Gateway, count: usize) -> String {
    let mut names = String::new();
    for _ in 0..count {
        let (status, name) = turn(gateway).await;
        assert_eq!(status, 101);
        names.push_str(&name);
    }
    names
}
