//! What ends a session ends it on an HTTP/2 connection too, and leaves the connection to the others.

use h2::Reason;
use http::Request;

use super::endings::{session, venue};
use crate::harness::{PATIENT, Speaker, eventually};

/// The code of the Close that a session with these settings ends with, once its client has sent this.
async fn code(settings: &str, sent: &[u8]) -> u16 {
    let more = format!("defaults: {{ websocket: {{ {settings} }} }}\n");
    let (_gateway, arrivals, mut client) = venue("", &more).await;
    let (mut session, _backend) = session(&mut client, &arrivals).await;
    session.send(sent).await;
    let close = session.frame().await;
    assert!(!client.has_ended(), "{settings}");
    u16::from_be_bytes([close.payload[0], close.payload[1]])
}

#[tokio::test]
async fn time_and_limits_end_a_session() {
    let many = Speaker::Client.text("one").repeat(6);
    let reserved = Speaker::Client.frame(0x83, b"x");
    for (settings, sent, expected) in [
        ("idle: 200ms", &[][..], 1001),
        ("max_age: 200ms", &[][..], 1012),
        ("max_messages_per_second: 5", &many, 1008),
        ("on_protocol_error: close", &reserved, 1002),
    ] {
        assert_eq!(code(settings, sent).await, expected, "{settings}");
    }
}

#[tokio::test]
async fn a_backend_that_is_lost_is_told_to_the_client() {
    let (_gateway, arrivals, mut client) = venue("", "").await;
    let (mut lost, backend) = session(&mut client, &arrivals).await;
    let (mut kept, mut other) = session(&mut client, &arrivals).await;
    backend.reset();
    lost.expect_close(Speaker::Backend, 1014, "backend lost")
        .await;
    kept.send(Speaker::Client.text("here")).await;
    other.expect(Speaker::Client.text("here")).await;
}

/// A browser has one connection for all of its tabs: sockets that stay open for hours must leave room for its requests.
#[tokio::test]
async fn three_hundred_sessions_and_a_request_share_a_connection() {
    let (_gateway, arrivals, mut client) = venue("", PATIENT).await;
    let mut sessions = Vec::new();
    for _ in 0..300 {
        sessions.push(session(&mut client, &arrivals).await);
    }
    let request = Request::get("http://gateway.test/");
    let _answer = client.send(request).await;
    arrivals.asked().await;
    for (number, (client, backend)) in sessions.iter_mut().enumerate() {
        let text = Speaker::Client.text(&number.to_string());
        client.send(&text).await;
        backend.expect(&text).await;
    }
}

/// CVE-2023-44487, by a client whose other tabs are innocent.
#[tokio::test]
async fn who_takes_very_many_requests_back_keeps_its_sessions() {
    let keys = ", limits: { http2_streams: 300 }";
    let (gateway, arrivals, mut client) = venue(keys, PATIENT).await;
    let (mut session, mut backend) = session(&mut client, &arrivals).await;
    let mut asked = Vec::new();
    for _ in 0..260 {
        let request = Request::get("http://gateway.test/");
        asked.push((client.send(request).await, arrivals.asked().await));
    }
    for ((_answer, sending), _backend) in &mut asked {
        sending.send_reset(Reason::CANCEL);
    }
    let labels = [("listener", "main"), ("reason", "http2_error")];
    eventually("the flood is counted", || {
        gateway.count("wsgate_listener_rejects_total", &labels) == 1.0
    })
    .await;
    session.send(Speaker::Client.text("here")).await;
    backend.expect(Speaker::Client.text("here")).await;
    drop(session);
    client.ended().await.expect("it was told to leave");
}
