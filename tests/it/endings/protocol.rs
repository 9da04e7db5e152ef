//! Frames against RFC 6455: each ends the session, or passes with all that follows.

use super::{Pair, expect_closure, with_websocket};
use crate::harness::{CLOSE, PING, Speaker, TEXT, TEXT_BEGUN, TEXT_ENDED, eventually};
use crate::venue::{Transport, Venue};

/// What `speaker` may not send, by name.
fn violations(speaker: Speaker) -> Vec<(&'static str, Vec<u8>)> {
    let frame = |first, payload: &[u8]| speaker.frame(first, payload);
    let mut not_minimal = speaker.header(TEXT, 1 << 16);
    not_minimal[2..10].copy_from_slice(&5_u64.to_be_bytes());
    let mut top_bit = speaker.header(TEXT, 1 << 16);
    top_bit[2] = 0x80;
    vec![
        ("a reserved bit", frame(0xc1, b"x")),
        ("a reserved bit of a Ping", frame(0xa9, b"x")),
        ("a reserved opcode", frame(0x83, b"x")),
        ("a reserved opcode of control frames", frame(0x8b, b"x")),
        ("a fragmented Ping", frame(0x09, b"x")),
        ("a Ping that is too long", frame(PING, &[1; 126])),
        (
            "a frame of the other side",
            speaker.other().frame(TEXT, b"x"),
        ),
        ("a continuation of nothing", frame(TEXT_ENDED, b"x")),
        (
            "a message within a message",
            [frame(TEXT_BEGUN, b"x"), frame(TEXT, b"y")].concat(),
        ),
        ("a length that is not the shortest", not_minimal),
        ("a length with the top bit", top_bit),
        ("a Close with one byte", frame(CLOSE, b"\x03")),
        (
            "a Close with a code that is never sent",
            speaker.close(1005, ""),
        ),
        (
            "a Close whose reason is no UTF-8",
            frame(CLOSE, b"\x03\xe8\xc3\x28"),
        ),
    ]
}

/// What of a violation is sound and passes.
fn sound_part(name: &str, speaker: Speaker) -> Vec<u8> {
    match name {
        "a message within a message" => speaker.frame(TEXT_BEGUN, b"x"),
        _ => Vec::new(),
    }
}

#[expect(clippy::print_stdout, reason = "shows which row failed")]
fn tell(name: &str) {
    println!("{name}");
}

async fn venue(transport: Transport, on_protocol_error: &str) -> Venue {
    let keys = format!("on_protocol_error: {on_protocol_error}, ping: {{ target: none }}");
    with_websocket(transport, &keys).await
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_over_ws() {
    who_breaks_the_protocol_is_told(Transport::Plain, Speaker::Client).await;
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_over_wss() {
    who_breaks_the_protocol_is_told(Transport::Tls, Speaker::Client).await;
}

#[tokio::test]
async fn a_backend_that_breaks_the_protocol_is_told() {
    who_breaks_the_protocol_is_told(Transport::Plain, Speaker::Backend).await;
}

async fn who_breaks_the_protocol_is_told(transport: Transport, fault: Speaker) {
    let venue = venue(transport, "close").await;
    let labels = [
        ("initiator", "gateway"),
        ("code", "1002"),
        ("reason", "protocol_error"),
    ];
    let mut ended = 0.0;
    for (name, bytes) in violations(fault) {
        tell(name);
        let mut pair = Pair::new(&venue).await;
        pair.passes(fault, &fault.text("sound")).await;
        let (from, to) = pair.sides(fault);
        from.send(&bytes).await;
        to.expect(sound_part(name, fault)).await;
        to.expect_close(fault, 1001, "").await;
        from.expect_close(fault.other(), 1002, "protocol error")
            .await;
        to.send(fault.other().close(1000, "")).await;
        to.expect_end().await;
        to.end().await;
        // Nobody can tell where its frames end now, so no answer is awaited.
        from.expect_end().await;
        from.end().await;
        ended += 1.0;
        let count = || venue.gateway.count("wsgate_sessions_closed_total", &labels);
        eventually("the end is counted", || count() == ended).await;
    }
}

#[tokio::test]
async fn a_broken_protocol_is_read_in_the_log() {
    let venue = venue(Transport::Plain, "close").await;
    let mut pair = Pair::new(&venue).await;
    pair.backend.send(Speaker::Client.text("masked")).await;
    pair.backend
        .expect_close(Speaker::Client, 1002, "protocol error")
        .await;
    pair.client.expect_close(Speaker::Backend, 1001, "").await;
    drop(pair);
    expect_closure(&venue, "gateway", Some(1002), "protocol_error").await;
    let line = venue.gateway.line("close").await;
    assert_eq!(line["detail"], "masked frame from a backend", "{line}");
}

#[tokio::test]
async fn what_a_client_sends_against_the_protocol_passes_where_it_may() {
    what_is_against_the_protocol_passes(Speaker::Client).await;
}

#[tokio::test]
async fn what_a_backend_sends_against_the_protocol_passes_where_it_may() {
    what_is_against_the_protocol_passes(Speaker::Backend).await;
}

async fn what_is_against_the_protocol_passes(fault: Speaker) {
    let venue = venue(Transport::Plain, "pass").await;
    for (name, bytes) in violations(fault) {
        tell(name);
        let mut pair = Pair::new(&venue).await;
        pair.passes(fault, &fault.text("sound")).await;
        pair.passes(fault, &bytes).await;
        pair.passes(fault, b"whatever follows").await;
        let other = fault.other();
        pair.passes(other, &other.text("the other direction")).await;
    }
}

#[tokio::test]
async fn a_session_that_goes_on_after_a_violation_tells_it_at_its_end() {
    let venue = venue(Transport::Plain, "pass").await;
    let mut pair = Pair::new(&venue).await;
    let reserved = Speaker::Backend.frame(0x83, b"x");
    pair.passes(Speaker::Backend, &reserved).await;
    let _backend = pair.reset_client();
    let line = venue.gateway.line("close").await;
    assert_eq!(line["detail"], "reserved opcode", "{line}");
}
