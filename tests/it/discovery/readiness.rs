//! A gateway is ready when it knows its backends, or that there are none.

use super::{NAME, backend_at, yaml};
use crate::harness::{Conduct, Gateway, NameServer, eventually, open, repeatedly};

async fn is_ready(gateway: &Gateway) {
    let asked = async || (gateway.admin("GET", "/readyz").await.status() == 200).then_some(());
    repeatedly("it is ready", asked).await;
}

#[tokio::test]
async fn a_gateway_that_knows_no_backend_yet_is_not_ready() {
    let server = NameServer::start().await;
    let backend = backend_at([127, 0, 0, 1], 0, "a").await;
    server.set_addresses(NAME, &["127.0.0.1"]);
    server.conduct(Conduct::Failing);
    let yaml = yaml(&server, backend.address().port(), "");
    let gateway = Gateway::start(&yaml).await;
    let labels = [("pool", "chat"), ("result", "failure")];
    let asked = || gateway.count("wsgate_pool_discovery_total", &labels);
    eventually("the resolver fails", || asked() >= 2.0).await;
    let answer = gateway.admin("GET", "/readyz").await;
    assert_eq!(
        (answer.status(), answer.body.as_str()),
        (503, "discovering chat\n")
    );
    assert_eq!(gateway.admin("GET", "/healthz").await.status(), 200);
    server.conduct(Conduct::Sound);
    is_ready(&gateway).await;
    open(gateway.address(), "/").await;
    // A pool that comes later, or is asked for otherwise, takes nothing of that back.
    server.conduct(Conduct::Failing);
    let address = server.address();
    let next = format!(
        "pools: {{ next: {{ discovery: {{ dns: next, port: 1, nameservers: [\"{address}\"] }} }}, chat"
    );
    let changed = yaml
        .replace("refresh: 100ms", "refresh: 200ms")
        .replace("pools: { chat", &next)
        .replace(
            "routes: {",
            "routes: { next: { match: { path: /next }, origins: any, pool: next },",
        );
    gateway.change(&changed).await;
    assert_eq!(gateway.admin("GET", "/readyz").await.body, "ready\n");
}

#[tokio::test]
async fn a_gateway_whose_backends_are_nowhere_is_ready() {
    let server = NameServer::start().await;
    server.set(NAME, &[]);
    // One answer suffices.
    let yaml = yaml(&server, 1, "").replace("refresh: 100ms", "refresh: 1h");
    let gateway = Gateway::start(&yaml).await;
    is_ready(&gateway).await;
}
