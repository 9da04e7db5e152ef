//! How large a head may be, and how many connections there may be.

use super::{REQUEST, expect_cut_short, listening, rejects};
use crate::harness::{Gateway, Opening, Wire, ask, eventually, expect_few_words, repeatedly};

#[tokio::test]
async fn a_head_up_to_the_limit_is_taken_and_a_larger_one_is_431() {
    let with = |size: usize| Opening::to("/").with("X-Large", &"x".repeat(size)).text();
    for (limit, size) in [("1KiB", 1 << 10), ("8KiB", 8 << 10)] {
        let keys = format!(", limits: {{ request_head: {limit} }}");
        let gateway = Gateway::start(&listening(&keys)).await;
        let status = async |bytes| ask(gateway.address(), with(bytes)).await.status();
        assert_eq!(status(size - 700).await, 200, "{limit}");
        expect_cut_short(&gateway, &with(size), 431, "head_too_large").await;
        assert_eq!(status(1 << 20).await, 431, "{limit}");
        let line = gateway.line("refused").await;
        // Nobody has read what it asked for.
        assert!(line["path"].is_null(), "{line}");
    }
}

#[tokio::test]
async fn a_head_of_too_many_fields_is_431() {
    let gateway = Gateway::start(&listening("")).await;
    let many = (0..2000).fold(Opening::to("/"), |request, _| request.with("X", "1"));
    expect_cut_short(&gateway, &many.text(), 431, "head_too_large").await;
}

#[tokio::test]
async fn a_target_that_is_too_long_is_414() {
    let keys = ", limits: { request_head: 8KiB }";
    let target = format!("/{}", "x".repeat(20_000));
    for head in [Opening::to(&target).text(), format!("GET {target}")] {
        let gateway = Gateway::start(&listening(keys)).await;
        expect_cut_short(&gateway, &head, 414, "target_too_long").await;
    }
}

#[tokio::test]
async fn connections_over_the_limit_are_told_and_closed_until_there_is_room() {
    let gateway = Gateway::start(&listening(", limits: { max_connections: 2 }")).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::connect(gateway.address()).await;
        wire.send(REQUEST).await;
        assert_eq!(wire.answer().await.status(), 200);
        held.push(wire);
    }
    let mut surplus = Wire::connect(gateway.address()).await;
    surplus.send(REQUEST).await;
    let answer = surplus.answer().await;
    assert_eq!(answer.status(), 503);
    expect_few_words(&answer);
    assert!(answer.value("retry-after").is_some());
    assert!(surplus.rest().await.is_empty());
    assert_eq!(gateway.line("refused").await["result"], "gateway_full");
    assert_eq!(gateway.handshakes("", "gateway_full"), 1.0);
    let labels = [("listener", "main"), ("reason", "full")];
    assert_eq!(gateway.count("wsgate_listener_rejects_total", &labels), 1.0);
    drop(held);
    let is_empty = async || {
        let status = gateway.status().await;
        (status["listeners"][0]["connections"] == 0).then_some(())
    };
    repeatedly("the places are free", is_empty).await;
    assert_eq!(ask(gateway.address(), REQUEST).await.status(), 200);
}

/// The listener is full for a client that it would not take anyway: that is one refusal, not two.
#[tokio::test]
async fn a_connection_that_is_denied_is_not_refused_once_more() {
    let keys = ", limits: { max_connections: 1 }, deny: [127.0.0.2]";
    let gateway = Gateway::start(&listening(keys)).await;
    let mut held = Wire::connect(gateway.address()).await;
    held.send(REQUEST).await;
    assert_eq!(held.answer().await.status(), 200);
    let mut denied = Wire::connect_from("127.0.0.2", gateway.address()).await;
    denied.gone().await;
    assert_eq!(rejects(&gateway, "denied"), 1.0);
    assert_eq!(rejects(&gateway, "full"), 0.0);
}

/// A client that was told so and says nothing more is gone only after `timeouts.request_header`.
#[tokio::test]
async fn connections_that_are_only_refused_take_no_place() {
    let keys = ", limits: { max_connections: 1 }, timeouts: { request_header: 1h }";
    let gateway = Gateway::start(&listening(keys)).await;
    let mut held = Wire::connect(gateway.address()).await;
    held.send(REQUEST).await;
    assert_eq!(held.answer().await.status(), 200);
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(Wire::connect(gateway.address()).await);
    }
    eventually("they are to be refused", || {
        rejects(&gateway, "full") == 3.0
    })
    .await;
    drop(held);
    let is_served = async || {
        let answer = ask(gateway.address(), REQUEST).await;
        (answer.status() == 200).then_some(())
    };
    repeatedly("the place is free", is_served).await;
}

/// More than are accepted to be told: the rest waits for its turn, and has it.
#[tokio::test]
async fn a_crowd_over_the_limit_is_told_to_the_last() {
    let gateway = Gateway::start(&listening(", limits: { max_connections: 1 }")).await;
    let _held = Wire::connect(gateway.address()).await;
    let accepted = || gateway.count("wsgate_listener_accepts_total", &[("listener", "main")]);
    eventually("the first has the place", || accepted() == 1.0).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(Wire::connect(gateway.address()).await);
    }
    for wire in &mut crowd {
        wire.send(REQUEST).await;
    }
    for wire in &mut crowd {
        assert_eq!(wire.answer().await.status(), 503);
    }
}
