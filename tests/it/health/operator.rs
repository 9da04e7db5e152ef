//! The operator drains a backend, and takes it back.

use super::{becomes, configuration, shown, turns};
use crate::backends::Mortal;
use crate::harness::{Gateway, Opening, close_code, echo, open};
use crate::venue::{Transport, Venue, agreement};

/// And it can be undone.
#[tokio::test]
async fn a_drained_backend_gets_no_new_sessions_until_it_is_resumed() {
    let (a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let gateway = Gateway::start(&configuration("", &[a.entry(), b.entry()])).await;
    let mut session = open(gateway.address(), "/").await;
    echo(&mut session, "on a").await;
    let answer = gateway.admin("POST", "/pools/chat/backends/a/drain").await;
    assert_eq!(answer.status(), 202);
    let told: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(told["pool"], "chat");
    assert_eq!(told["backend"]["state"], "drained");
    assert_eq!(told["backend"]["reason"], "drained by the operator");
    assert_eq!(close_code(&mut session).await, 1012);
    assert_eq!(turns(&gateway, 4).await, "bbbb");
    assert_eq!(super::up(&gateway, "a"), 1.0, "drained is not down");
    let answer = gateway.admin("POST", "/pools/chat/backends/a/resume").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(shown(&gateway, "a").await["state"], "ready");
    let mut names = turns(&gateway, 4).await.into_bytes();
    names.sort_unstable();
    assert_eq!(names, b"aabb");
    let mut session = open(gateway.address(), "/").await;
    let mut other = open(gateway.address(), "/").await;
    echo(&mut session, "not drained").await;
    echo(&mut other, "not drained either").await;
}

#[tokio::test]
async fn a_drain_holds_over_reloads() {
    let (a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let yaml = configuration("", &[a.entry(), b.entry()]);
    let gateway = Gateway::start(&yaml).await;
    gateway.admin("POST", "/pools/chat/backends/a/drain").await;
    gateway
        .change(&yaml.replace("pools: { chat: {", "pools: { chat: { attempts: 2,"))
        .await;
    assert_eq!(shown(&gateway, "a").await["state"], "drained");
    assert_eq!(turns(&gateway, 3).await, "bbb");
    gateway.admin("POST", "/pools/chat/backends/a/resume").await;
    assert!(turns(&gateway, 2).await.contains('a'));
}

/// What is removed and added again is another backend: neither drained nor known.
#[tokio::test]
async fn a_backend_added_again_begins_anew() {
    let (a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let both = configuration("", &[a.entry(), b.entry()]);
    let gateway = Gateway::start(&both).await;
    gateway.admin("POST", "/pools/chat/backends/a/drain").await;
    gateway.change(&configuration("", &[b.entry()])).await;
    let gone = gateway.admin("POST", "/pools/chat/backends/a/resume").await;
    assert_eq!(gone.status(), 404);
    gateway.change(&both).await;
    assert_eq!(shown(&gateway, "a").await["state"], "ready");
}

#[tokio::test]
async fn a_drain_by_name_is_undone_by_resume() {
    let (a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let gateway = Gateway::start(&configuration("", &[a.entry(), b.entry()])).await;
    assert_eq!(
        gateway.admin("POST", "/drain?backend=a").await.status(),
        202
    );
    becomes(&gateway, "a", "drained").await;
    gateway.admin("POST", "/pools/chat/backends/a/resume").await;
    becomes(&gateway, "a", "ready").await;
}

/// The backend has been asked, but has not agreed yet, when the drain begins.
#[tokio::test]
async fn a_session_on_its_way_when_the_drain_begins_is_drained_too() {
    let venue = Venue::start_with(Transport::Plain, "drain: { window: 0s, deadline: 1h }\n").await;
    let mut client = venue.connect().await;
    client.send(Opening::to("/").text()).await;
    let mut backend = venue.arrivals.asked().await;
    let drain = "/pools/chat/backends/one/drain";
    assert_eq!(venue.gateway.admin("POST", drain).await.status(), 202);
    backend.send(agreement()).await;
    assert_eq!(client.head().await.status(), 101);
    client.end().await;
    assert_eq!(client.frame().await.close_code(), Some(1012));
    client.expect_end().await;
    backend.gone().await;
}
