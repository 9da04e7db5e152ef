//! Heads that come slowly, connections that rest, and several requests on one connection.

use std::time::Duration;

use tokio::time::sleep;

use super::{REQUEST, ROUTE, expect_cut_short, listening, rejects};
use crate::harness::{Gateway, Identity, Wire, connect_tls, directory, eventually};

const HEADER: &str = ", timeouts: { request_header: 1s, keep_alive: 1h }";

#[tokio::test]
async fn a_head_that_stops_half_way_is_408() {
    let gateway = Gateway::start(&listening(HEADER)).await;
    expect_cut_short(&gateway, "GET / HTTP/1.1\r\nHos", 408, "head_too_slow").await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_408_at_the_same_deadline() {
    let gateway = Gateway::start(&listening(HEADER)).await;
    let mut wire = Wire::connect(gateway.address()).await;
    let slow = format!("GET / HTTP/1.1\r\nX-Slow: {}", "x".repeat(2000));
    for byte in slow.bytes() {
        if gateway.log().text().contains("head_too_slow") || !wire.try_send([byte]).await {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(wire.answer().await.status(), 408);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_left_without_a_word() {
    let gateway = Gateway::start(&listening(HEADER)).await;
    let mut wire = Wire::connect(gateway.address()).await;
    assert!(wire.rest().await.is_empty());
    assert!(gateway.lines_so_far().await.is_empty());
}

#[tokio::test]
async fn the_first_bytes_have_the_same_deadline_where_http2_may_come() {
    let gateway = Gateway::start(&listening(&format!("{HEADER}, h2c: true"))).await;
    let mut silent = Wire::connect(gateway.address()).await;
    let mut half = Wire::connect(gateway.address()).await;
    half.send("PRI * HT").await;
    assert_eq!(half.answer().await.status(), 408);
    assert!(silent.rest().await.is_empty());
    assert_eq!(rejects(&gateway, "head_too_slow"), 1.0);
    assert_eq!(gateway.lines_so_far().await.len(), 1);
}

#[tokio::test]
async fn the_second_head_has_a_deadline_of_its_own() {
    let gateway = Gateway::start(&listening(HEADER)).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(REQUEST).await;
    assert_eq!(wire.answer().await.status(), 200);
    // One that came later is given up: the deadline has passed.
    let mut silent = Wire::connect(gateway.address()).await;
    assert!(silent.rest().await.is_empty());
    wire.send(REQUEST).await;
    assert_eq!(wire.answer().await.status(), 200);
    wire.send("GET / HT").await;
    assert_eq!(wire.answer().await.status(), 408);
}

#[tokio::test]
async fn half_a_head_that_came_with_the_request_before_it_is_408() {
    let times = ", timeouts: { request_header: 1h, keep_alive: 200ms }";
    let gateway = Gateway::start(&listening(times)).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send([REQUEST, "GET / HT"].concat()).await;
    assert_eq!(wire.answer().await.status(), 200);
    assert_eq!(wire.answer().await.status(), 408);
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_ended() {
    let keep_alive = ", timeouts: { request_header: 1h, keep_alive: 1s }";
    let gateway = Gateway::start(&listening(keep_alive)).await;
    let mut wire = Wire::connect(gateway.address()).await;
    for _ in 0..3 {
        wire.send(REQUEST).await;
        assert_eq!(wire.answer().await.status(), 200);
    }
    assert!(wire.rest().await.is_empty());
}

/// Longer than a connection is idle before it gives its buffers back.
const REST: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn a_connection_that_has_rested_goes_on_as_before() {
    let gateway = Gateway::start(&listening(HEADER)).await;
    let mut wire = Wire::connect(gateway.address()).await;
    for _ in 0..2 {
        wire.send(REQUEST).await;
        assert_eq!(wire.answer().await.status(), 200);
        sleep(REST).await;
    }
    let (first, rest) = REQUEST.split_at(5);
    wire.send(first).await;
    sleep(Duration::from_millis(50)).await;
    wire.send([rest, REQUEST].concat()).await;
    for _ in 0..2 {
        assert_eq!(wire.answer().await.status(), 200);
    }
    sleep(REST).await;
    wire.send("GET / HT").await;
    assert_eq!(wire.answer().await.status(), 408);
}

/// Some clients send one behind a body (RFC 9112 section 2.2).
#[tokio::test]
async fn an_empty_line_between_two_requests_is_no_head() {
    let gateway = Gateway::start(&listening(HEADER)).await;
    let mut with_request = Wire::connect(gateway.address()).await;
    let mut at_once = Wire::connect(gateway.address()).await;
    let mut later = Wire::connect(gateway.address()).await;
    with_request.send([REQUEST, "\r\n"].concat()).await;
    at_once.send(REQUEST).await;
    later.send(REQUEST).await;
    for wire in [&mut with_request, &mut at_once, &mut later] {
        assert_eq!(wire.answer().await.status(), 200);
    }
    at_once.send("\r\n").await;
    sleep(REST).await;
    later.send("\r\n").await;
    // Longer than a head may take.
    sleep(REST).await;
    for mut wire in [with_request, at_once, later] {
        wire.send(["\n", REQUEST].concat()).await;
        assert_eq!(wire.answer().await.status(), 200);
    }
    assert_eq!(rejects(&gateway, "head_too_slow"), 0.0);
}

#[tokio::test]
async fn the_empty_line_at_the_end_of_a_head_counts_wherever_it_comes() {
    let patient = ", timeouts: { request_header: 1h, keep_alive: 1h }";
    let gateway = Gateway::start(&listening(patient)).await;
    let (head, end) = REQUEST.split_at(REQUEST.len() - 2);
    for pause in [Duration::ZERO, REST] {
        let mut wire = Wire::connect(gateway.address()).await;
        wire.send([REQUEST, head].concat()).await;
        assert_eq!(wire.answer().await.status(), 200);
        sleep(pause).await;
        wire.send(end).await;
        assert_eq!(wire.answer().await.status(), 200);
    }
}

#[tokio::test]
async fn half_a_head_that_came_with_the_request_before_it_has_no_rest() {
    let gateway = Gateway::start(&listening(HEADER)).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send([REQUEST, "GET / HT"].concat()).await;
    assert_eq!(wire.answer().await.status(), 200);
    // `keep_alive` is an hour.
    assert_eq!(wire.answer().await.status(), 408);
}

#[tokio::test]
async fn a_connection_rests_under_tls_and_ends_with_its_listener() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["gateway.test"]);
    let certificates = identity.yaml();
    let yaml = format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{certificates}] }} }} }}\n{ROUTE}"
    );
    let gateway = Gateway::start_in(directory, &yaml).await;
    let stream = connect_tls(gateway.address(), "gateway.test", identity.trust()).await;
    let mut wire = Wire::new(stream.expect("the handshake succeeds"));
    for _ in 0..2 {
        wire.send(REQUEST).await;
        assert_eq!(wire.answer().await.status(), 200);
        sleep(REST).await;
    }
    gateway.stop().await;
    // Without close_notify this would fail.
    assert!(wire.rest().await.is_empty());
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_turn() {
    let gateway = Gateway::start(&listening("")).await;
    let mut wire = Wire::connect(gateway.address()).await;
    let missing = "GET /missing HTTP/1.1\r\nHost: other.test\r\nX-Request-ID: b\r\n\r\n";
    wire.send([REQUEST, missing, REQUEST].concat()).await;
    for _ in 0..3 {
        assert_eq!(wire.answer().await.status(), 200);
    }
    let paths = || -> Vec<_> {
        let lines = gateway.log().lines();
        lines.iter().map(|line| line["path"].clone()).collect()
    };
    let in_turn = || paths() == ["/", "/missing", "/"];
    eventually("the log has them in turn", in_turn).await;
}
