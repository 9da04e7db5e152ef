//! Resolvers that fail, and names that lead nowhere for a while.

use super::{NAME, backend_at, backends, has, yaml};
use crate::harness::{Conduct, Gateway, NameServer, eventually};

async fn expect_kept(conduct: Conduct, result: &str) {
    let server = NameServer::start().await;
    let backend = backend_at([127, 0, 0, 1], 0, "a").await;
    let found = vec![backend.address().to_string()];
    server.set_addresses(NAME, &["127.0.0.1"]);
    let gateway = Gateway::start(&yaml(&server, backend.address().port(), "")).await;
    has(&gateway, &found).await;
    server.conduct(conduct);
    let labels = [("pool", "chat"), ("result", result)];
    let asked = || gateway.count("wsgate_pool_discovery_total", &labels);
    eventually("the resolver fails", || asked() >= 1.0).await;
    assert_eq!(backends(&gateway).await, found);
    assert_eq!(
        gateway.status().await["pools"][0]["discovery"]["result"],
        result
    );
}

#[tokio::test]
async fn a_failing_resolver_changes_nothing() {
    expect_kept(Conduct::Failing, "failure").await;
}

#[tokio::test]
async fn a_silent_resolver_changes_nothing() {
    expect_kept(Conduct::Silent, "timeout").await;
}

#[tokio::test]
async fn a_name_that_is_gone_for_long_empties_the_pool() {
    let server = NameServer::start().await;
    let backend = backend_at([127, 0, 0, 1], 0, "a").await;
    server.set_addresses(NAME, &["127.0.0.1"]);
    let gateway = Gateway::start(&yaml(&server, backend.address().port(), "")).await;
    has(&gateway, &[backend.address().to_string()]).await;
    server.set(NAME, &[]);
    has(&gateway, &[]).await;
    let labels = [("pool", "chat"), ("result", "empty")];
    assert!(gateway.count("wsgate_pool_discovery_total", &labels) >= 5.0);
    server.set_addresses(NAME, &["127.0.0.1"]);
    has(&gateway, &[backend.address().to_string()]).await;
}

#[tokio::test]
async fn a_pool_that_is_gone_is_asked_for_no_longer() {
    let server = NameServer::start().await;
    let backend = backend_at([127, 0, 0, 1], 0, "a").await;
    server.set_addresses(NAME, &["127.0.0.1"]);
    let gateway = Gateway::start(&yaml(&server, backend.address().port(), "")).await;
    has(&gateway, &[backend.address().to_string()]).await;
    // The clock: a pool that takes its place, and is asked for as often.
    let other = NameServer::start().await;
    let next = yaml(&other, backend.address().port(), "");
    let next = next
        .replace("chat: { discovery", "next: { discovery")
        .replace("pool: chat", "pool: next");
    gateway.change(&next).await;
    let asked = server.questions();
    eventually("the other pool is asked for", || other.questions() > 20).await;
    let under_way = 2;
    assert!(server.questions() <= asked + under_way, "it is asked for");
    eventually("the series leave", || {
        let found = gateway.metrics();
        let labels = [("pool", "chat")];
        found
            .value("wsgate_pool_discovered_backends", &labels)
            .is_none()
    })
    .await;
}
