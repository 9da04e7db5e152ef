//! A backend that returns gets sessions of those that are too full.

use std::net::SocketAddr;

use futures_util::StreamExt;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use super::{becomes, configuration};
use crate::backends::Mortal;
use crate::harness::{Gateway, WebSocket, close_code, echo, eventually, open};

const SESSIONS: usize = 12;
/// As fast as can be.
const REBALANCE: &str = "rebalance: { threshold: 101%, rate: 100%/s },";
const RESUME: &str = "/pools/chat/backends/b/resume";

fn active(gateway: &Gateway, backend: &str) -> f64 {
    let labels = [("pool", "chat"), ("backend", backend)];
    gateway.count("wsgate_backend_sessions_active", &labels)
}

fn rebalanced(gateway: &Gateway) -> f64 {
    let labels = [
        ("initiator", "gateway"),
        ("code", "1012"),
        ("reason", "rebalance"),
    ];
    gateway.count("wsgate_sessions_closed_total", &labels)
}

/// A client that reads, and comes back when it is told 1012.
async fn faithful(address: SocketAddr, mut session: WebSocket) {
    while let Some(Ok(message)) = session.next().await {
        let Message::Close(Some(frame)) = message else {
            continue;
        };
        assert_eq!(
            (u16::from(frame.code), frame.reason.as_str()),
            (1012, "rebalance")
        );
        session = open(address, "/").await;
    }
}

/// A gateway whose sessions are all on `a`, because `b` is drained.
async fn lopsided(a: &Mortal, b: &Mortal, rebalance: &str) -> (Gateway, Vec<WebSocket>) {
    let gateway = Gateway::start(&configuration(rebalance, &[a.entry(), b.entry()])).await;
    gateway.admin("POST", "/pools/chat/backends/b/drain").await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(open(gateway.address(), "/").await);
    }
    eventually("all are on a", || active(&gateway, "a") == SESSIONS as f64).await;
    (gateway, sessions)
}

/// Waits until another gateway, which has to rebalance from now on, has asked sessions at two ticks of its clock: by then
/// any other one has looked too.
async fn pass_ticks(a: &Mortal, b: &Mortal) {
    let (other, _sessions) = lopsided(a, b, REBALANCE).await;
    other.admin("POST", RESUME).await;
    // A tick allows a quarter of a second's worth, which is three.
    eventually("two ticks", || rebalanced(&other) > 3.0).await;
}

#[tokio::test]
async fn sessions_above_the_share_go_to_the_backend_that_returned() {
    let (a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let (gateway, sessions) = lopsided(&a, &b, REBALANCE).await;
    let mut clients = JoinSet::new();
    for session in sessions {
        clients.spawn(faithful(gateway.address(), session));
    }
    pass_ticks(&a, &b).await;
    assert_eq!(rebalanced(&gateway), 0.0, "at rest");
    gateway.admin("POST", RESUME).await;
    becomes(&gateway, "b", "ready").await;
    // In turn every other one comes back to where it was, so the bound may end it just above the share.
    let is_even = || {
        let (on_a, on_b) = (active(&gateway, "a"), active(&gateway, "b"));
        on_b >= SESSIONS as f64 / 3.0 && on_a + on_b == SESSIONS as f64
    };
    eventually("the one that returned has its part", is_even).await;
    // A lease is given back a moment before its session is counted.
    let are_counted = || rebalanced(&gateway) >= SESSIONS as f64 / 3.0;
    eventually("those who went are counted", are_counted).await;
    assert!(clients.try_join_next().is_none(), "nobody gave up");
}

#[tokio::test]
async fn idle_sessions_go_first_and_no_more_than_the_surplus() {
    let (a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let (gateway, mut sessions) = lopsided(&a, &b, REBALANCE).await;
    let idle = sessions.split_off(SESSIONS / 2);
    for session in &mut sessions {
        echo(session, "busy").await;
    }
    let is_counted = || {
        let labels = [("direction", "client_to_backend")];
        gateway.count("wsgate_messages_total", &labels) == sessions.len() as f64
    };
    eventually("their traffic is reported", is_counted).await;
    gateway.admin("POST", RESUME).await;
    for mut session in idle {
        assert_eq!(close_code(&mut session).await, 1012);
    }
    pass_ticks(&a, &b).await;
    for session in &mut sessions {
        echo(session, "still here").await;
    }
    assert_eq!(rebalanced(&gateway), (SESSIONS / 2) as f64);
}

#[tokio::test]
async fn without_the_key_sessions_stay() {
    let (a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let (gateway, mut sessions) = lopsided(&a, &b, "").await;
    gateway.admin("POST", RESUME).await;
    becomes(&gateway, "b", "ready").await;
    pass_ticks(&a, &b).await;
    for session in &mut sessions {
        echo(session, "still here").await;
    }
    assert_eq!(rebalanced(&gateway), 0.0);
}
