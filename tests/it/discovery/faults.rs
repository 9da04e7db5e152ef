//! Resolvers that fail, and names that lead nowhere for a while.

use super::{NAME, backend_at, backends, has, of, yaml};
use crate::harness::{Conduct, Gateway, NameServer, Place, eventually};
use crate::process::Process;

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

/// Thirty ports at forty addresses.
#[tokio::test]
async fn more_backends_than_a_pool_takes_are_told_once() {
    let server = NameServer::start().await;
    let addresses: Vec<_> = (1..=40).map(|it| format!("127.0.1.{it}")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    server.set_addresses("host.internal", &addresses);
    let places = (1..=30).map(|port| Place::Service(0, 0, port, "host.internal"));
    server.set("_ws._tcp.chat.internal", &places.collect::<Vec<_>>());
    let process = Process::start(&of("srv: _ws._tcp.chat.internal,", &server)).await;
    let told = || {
        let words = "only the first 1000 of 1200 backends are used";
        process.log().matches(words).count()
    };
    eventually("it is told", || told() == 1).await;
    let asked = server.questions();
    eventually("it is asked again", || server.questions() > asked + 4).await;
    assert_eq!(told(), 1);
}
