//! How sessions on an HTTP/2 connection end, and when the connection does.

use std::future::pending;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::sleep;
use wsgate::server::Outcome;

use super::listener;
use crate::backends::Backend;
use crate::harness::{
    BINARY, Frame, Gateway, Http2, PATIENT, PING, Speaker, Wire, http2_connect as connect,
};
use crate::venue::Arrivals;

/// A gateway before a backend that the scenario plays.
pub(super) async fn venue(keys: &str, more: &str) -> (Gateway, Arrivals, Http2) {
    let arrivals = Arrivals::listen().await;
    let yaml = format!("{}{}{more}", listener(keys), arrivals.route());
    let gateway = Gateway::start(&yaml).await;
    let client = Http2::connect(gateway.address()).await;
    (gateway, arrivals, client)
}

/// An open session, both ends.
pub(super) async fn session(
    client: &mut Http2,
    arrivals: &Arrivals,
) -> (Wire<crate::harness::Http2Stream>, Wire) {
    let request = connect("/");
    let ((session, _), backend) = tokio::join!(client.open(request), arrivals.agreed());
    (session, backend)
}

async fn expect_line(gateway: &Gateway, initiator: &str, reason: &str) {
    let line = gateway.line("close").await;
    assert_eq!(line["close_initiator"], initiator, "{line}");
    assert_eq!(line["close_reason"], reason, "{line}");
    assert_eq!(line["protocol"], "h2", "{line}");
}

#[tokio::test]
async fn a_client_that_resets_its_stream_is_told_to_the_backend() {
    let (gateway, arrivals, mut client) = venue("", PATIENT).await;
    let (session, mut backend) = session(&mut client, &arrivals).await;
    session.into_stream().reset();
    backend.expect_close(Speaker::Client, 1001, "").await;
    backend.send(Speaker::Backend.close(1000, "")).await;
    backend.expect_end().await;
    backend.end().await;
    expect_line(&gateway, "client", "lost").await;
    assert!(!client.has_ended());
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_to_every_backend() {
    let (_gateway, arrivals, mut client) = venue("", PATIENT).await;
    let (first, mut one) = session(&mut client, &arrivals).await;
    let (second, mut two) = session(&mut client, &arrivals).await;
    drop((client, first, second));
    one.expect_close(Speaker::Client, 1001, "").await;
    two.expect_close(Speaker::Client, 1001, "").await;
}

#[tokio::test]
async fn ends_of_both_halves_pass_on() {
    let (gateway, arrivals, mut client) = venue("", PATIENT).await;
    let (mut session, mut backend) = session(&mut client, &arrivals).await;
    session.send(Speaker::Client.close(1000, "bye")).await;
    session.end().await;
    backend.expect(Speaker::Client.close(1000, "bye")).await;
    backend.send(Speaker::Backend.text("one more")).await;
    session.expect(Speaker::Backend.text("one more")).await;
    backend.send(Speaker::Backend.close(1000, "bye")).await;
    session.expect(Speaker::Backend.close(1000, "bye")).await;
    session.expect_end().await;
    backend.expect_end().await;
    backend.end().await;
    expect_line(&gateway, "client", "finished").await;
}

/// All of it has left the backend, whose Close is heard at once.
#[tokio::test]
async fn a_slow_client_gets_what_is_kept_for_it_behind_its_close() {
    a_slow_client_gets_all("close: 3s, half_close: 1h", 128 << 10).await;
}

/// Most of it waits at the backend, and the Close behind it.
#[tokio::test]
async fn a_slow_client_gets_what_a_backend_sends_behind_its_close() {
    a_slow_client_gets_all("close: 1h, half_close: 3s", 2 << 20).await;
}

/// In all it takes longer than it may pause.
async fn a_slow_client_gets_all(timeouts: &str, length: usize) {
    let arrivals = Arrivals::listen().await;
    let more = format!("defaults: {{ timeouts: {{ {timeouts} }} }}\n");
    let yaml = format!("{}{}{more}", listener(""), arrivals.route());
    let gateway = Gateway::start(&yaml).await;
    let stream = TcpStream::connect(gateway.address()).await;
    let stream = stream.expect("the address takes connections");
    let mut client = Http2::with_window(stream, 16 << 10).await;
    let (mut session, mut backend) = session(&mut client, &arrivals).await;
    session.send(Speaker::Client.close(1000, "")).await;
    backend.expect(Speaker::Client.close(1000, "")).await;
    let last = [
        Speaker::Backend.frame(BINARY, &vec![7; length]),
        Speaker::Backend.close(1000, ""),
    ]
    .concat();
    let sending = async {
        backend.send(&last).await;
        backend.expect_end().await;
    };
    let receiving = async {
        for (number, piece) in last.chunks(length / 32).enumerate() {
            session.expect(piece).await;
            // The gateway does not see how slowly it takes the last window.
            if number < 24 {
                sleep(Duration::from_millis(150)).await;
            }
        }
        session.expect_end().await;
        session.end().await;
    };
    tokio::join!(sending, receiving);
    expect_line(&gateway, "client", "finished").await;
}

/// Its backend answers no Close and sends on.
#[tokio::test]
async fn a_slow_client_does_not_keep_its_session_for_ever() {
    let timeouts = "defaults: { timeouts: { close: 200ms, half_close: 200ms } }\n";
    let (gateway, arrivals, mut client) = venue("", timeouts).await;
    let (mut session, mut backend) = session(&mut client, &arrivals).await;
    session.send(Speaker::Client.close(1000, "")).await;
    backend.expect(Speaker::Client.close(1000, "")).await;
    let frame = Speaker::Backend.frame(BINARY, &vec![7; 1 << 16]);
    let sending = async {
        while backend.try_send(&frame).await {}
        pending().await
    };
    let taking = async {
        let (mut stream, mut taken) = (session.into_stream(), vec![0; 16 << 10]);
        while matches!(stream.read(&mut taken).await, Ok(1..)) {
            sleep(Duration::from_millis(20)).await;
        }
        pending().await
    };
    tokio::select! {
        () = sending => {}
        () = taking => {}
        () = expect_line(&gateway, "client", "half_close") => {}
    }
}

#[tokio::test]
async fn a_session_that_does_not_follow_a_close_is_reset() {
    let impatient = "defaults: { timeouts: { close: 200ms, half_close: 200ms } }\n";
    let drain = "drain: { window: 0s, deadline: 1h }\n";
    let (gateway, arrivals, mut client) = venue("", &format!("{impatient}{drain}")).await;
    let (mut session, _backend) = session(&mut client, &arrivals).await;
    let answer = gateway.admin("POST", "/drain?route=chat").await;
    assert!(answer.status() < 300, "{answer:?}");
    session
        .expect_close(Speaker::Backend, 1012, "service restart")
        .await;
    assert_eq!(session.into_stream().is_reset().await, h2::Reason::CANCEL);
    assert!(!client.has_ended());
}

#[tokio::test]
async fn a_drain_ends_the_sessions_and_then_the_connection() {
    let drain = "drain: { window: 0s, deadline: 1h }\n";
    let (mut gateway, arrivals, mut client) = venue("", &format!("{PATIENT}{drain}")).await;
    let (mut session, mut backend) = session(&mut client, &arrivals).await;
    gateway.stop().await;
    session
        .expect_close(Speaker::Backend, 1012, "service restart")
        .await;
    backend.expect_close(Speaker::Client, 1001, "").await;
    assert!(!client.has_ended());
    session.send(Speaker::Client.close(1012, "")).await;
    backend.send(Speaker::Backend.close(1001, "")).await;
    session.expect_end().await;
    session.end().await;
    backend.expect_end().await;
    backend.end().await;
    client.ended().await.expect("an end in order");
    assert_eq!(gateway.outcome().await, Outcome::Drained);
    expect_line(&gateway, "gateway", "drain").await;
}

#[tokio::test]
async fn a_connection_without_streams_is_ended_and_one_with_a_session_is_not() {
    let keys = ", timeouts: { request_header: 1s, keep_alive: 1s }";
    let (gateway, arrivals, mut client) = venue(keys, PATIENT).await;
    let (mut session, mut backend) = session(&mut client, &arrivals).await;
    // Two that never had a stream come and go meanwhile.
    for _ in 0..2 {
        let idle = Http2::connect(gateway.address()).await;
        idle.ended().await.expect("an end in order");
    }
    assert!(!client.has_ended());
    session.send(Speaker::Client.text("here")).await;
    backend.expect(Speaker::Client.text("here")).await;
    drop((session, backend));
    client.ended().await.expect("an end in order");
}

#[tokio::test]
async fn pings_of_the_gateway_are_answered_within_the_session() {
    let ping = "defaults: { websocket: { ping: { interval: 50ms, timeout: 20s } } }\n";
    let backend = Backend::echo().await;
    let yaml = format!(
        "{}{}{ping}",
        listener(""),
        crate::harness::before(&[&backend])
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Http2::connect(gateway.address()).await;
    let (mut session, _) = client.open(connect("/")).await;
    let Frame { first, payload, .. } = session.frame().await;
    assert_eq!(first, PING);
    session
        .send(Speaker::Client.frame(crate::harness::PONG, &payload))
        .await;
    let answered = || gateway.count("wsgate_ping_rtt_seconds_count", &[("route", "chat")]);
    crate::harness::eventually("the round trip is counted", || answered() >= 1.0).await;
}

#[tokio::test]
async fn a_message_too_big_is_told_to_its_sender() {
    let limit = "defaults: { timeouts: { close: 1h }, websocket: { max_message_size: 1KiB } }\n";
    let backend = Backend::echo().await;
    let yaml = format!(
        "{}{}{limit}",
        listener(""),
        crate::harness::before(&[&backend])
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Http2::connect(gateway.address()).await;
    let (mut session, _) = client.open(connect("/")).await;
    session.send(Speaker::Client.text(&"x".repeat(2000))).await;
    let close = session.frame().await;
    assert_eq!(close.payload[..2], 1009_u16.to_be_bytes());
}
