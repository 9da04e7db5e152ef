//! The operator drains a backend, and takes it back.

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use super::{becomes, configuration, shown, turns};
use crate::backends::Mortal;
use crate::harness::{Gateway, WebSocket, echo, eventually, open, soon};

/// The code that a session ends with.
pub(super) async fn close_code(socket: &mut WebSocket) -> u16 {
    let message = soon("a Close", socket.next()).await;
    match message {
        Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
        other => panic!("something else than a Close: {other:?}"),
    }
}

/// Trap 20, and that it can be undone.
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

#[tokio::test]
async fn a_session_on_its_way_when_the_drain_begins_is_drained_too() {
    let (a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let gateway = Gateway::start(&configuration("", &[a.entry(), b.entry()])).await;
    let address = gateway.address();
    let opening = (0..20).map(|_| tokio::spawn(open(address, "/")));
    let opening: Vec<_> = opening.collect();
    gateway.admin("POST", "/pools/chat/backends/a/drain").await;
    let mut ending = tokio::task::JoinSet::new();
    for session in opening {
        let session = session.await.expect("nobody panics");
        ending.spawn(read_to_the_end(session));
    }
    let labels = [("pool", "chat"), ("backend", "a")];
    let on_a = || gateway.count("wsgate_backend_sessions_active", &labels);
    eventually("no session is left on it", || on_a() == 0.0).await;
}

/// Answers a Close, as the library does by itself.
async fn read_to_the_end(mut session: WebSocket) {
    while let Some(Ok(_)) = session.next().await {}
}
