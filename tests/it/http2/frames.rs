//! Frames made by hand, such as no library sends. A flood ends its connection at a bounded cost and leaves
//! others alone.

use std::time::Duration;

use http::Request;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use super::listener;
use crate::harness::{Gateway, Http2, Wire, eventually, send_until_stalled, soon};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FIXED: &str = "routes: { fixed: { respond: { status: 200, body: in } } }\n";
/// Far more than any of the bounds.
const MANY: u32 = 20_000;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// `:method: GET`, `:scheme: http`, `:path: /` of the static table, and an authority (RFC 7541 appendix A).
const GET: &[u8] = b"\x82\x86\x84\x41\x04test";

/// The same with `:method: POST`.
const POST: &[u8] = b"\x83\x86\x84\x41\x04test";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short frame")
        .to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

async fn start() -> Gateway {
    Gateway::start(&format!("{}{FIXED}", listener(""))).await
}

/// A connection that has begun.
async fn begun(gateway: &Gateway) -> Wire {
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
        .await;
    wire
}

/// Sends what `flood` makes until the gateway has had enough, and looks whether it has, and whether it still
/// serves others.
async fn expect_end(flood: impl Fn(u32) -> Vec<u8>) {
    let gateway = start().await;
    let mut wire = begun(&gateway).await;
    for number in 0..MANY {
        if !wire.try_send(flood(number)).await {
            break;
        }
    }
    wire.gone().await;
    let labels = [("listener", "main"), ("reason", "http2_error")];
    eventually("the end is counted", || {
        gateway.count("wsgate_listener_rejects_total", &labels) == 1.0
    })
    .await;
    expect_service(&gateway).await;
}

/// The stream that a client begins as its `number`th.
fn stream(number: u32) -> u32 {
    number * 2 + 1
}

#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    expect_end(|number| {
        let cancel = 8_u32.to_be_bytes();
        let stream = stream(number);
        [
            frame(HEADERS, END_HEADERS | END_STREAM, stream, GET),
            frame(RST_STREAM, 0, stream, &cancel),
        ]
        .concat()
    })
    .await;
}

/// Each moves the windows of all open streams (CVE-2019-9515).
#[tokio::test]
async fn a_flood_of_settings_ends_the_connection() {
    expect_end(|number| {
        let initial_window_size = [0, 4, 0, 0, 0, u8::from(number % 2 == 0)];
        frame(SETTINGS, 0, 0, &initial_window_size)
    })
    .await;
}

/// Behind a proxy each may be another client's.
#[tokio::test]
async fn what_is_taken_back_behind_a_proxy_ends_nothing() {
    let keys = ", trusted_proxies: [127.0.0.1]";
    let gateway = Gateway::start(&format!("{}{FIXED}", listener(keys))).await;
    let mut wire = begun(&gateway).await;
    for hundred in 0..4 {
        take_a_hundred_back(&mut wire, hundred * 101).await;
    }
}

/// A page of a map or a search cancels its requests by the dozen, and the sessions of the browser are on the same connection.
#[tokio::test]
async fn a_hundred_requests_that_are_taken_back_at_once_end_nothing() {
    let gateway = start().await;
    take_a_hundred_back(&mut begun(&gateway).await, 0).await;
}

/// Takes requests back in the write that makes them, from the `first` on, and expects an answer to another one.
async fn take_a_hundred_back(wire: &mut Wire, first: u32) {
    let flags = END_STREAM | END_HEADERS;
    let begun = (first..first + 100).map(|number| {
        let cancel = frame(RST_STREAM, 0, stream(number), &8_u32.to_be_bytes());
        [frame(HEADERS, flags, stream(number), GET), cancel].concat()
    });
    wire.send(begun.collect::<Vec<_>>().concat()).await;
    let asked = stream(first + 100);
    wire.send(frame(HEADERS, flags, asked, GET)).await;
    while !is_answered(wire, asked).await {}
}

/// What was on its way while its upload was answered is no mistake (RFC 9113 section 5.1).
#[tokio::test]
async fn what_comes_late_for_answered_uploads_ends_nothing() {
    let gateway = start().await;
    let mut wire = begun(&gateway).await;
    for number in 0..200 {
        let begin = frame(HEADERS, END_HEADERS, stream(number), POST);
        wire.send(begin).await;
        while !is_answered(&mut wire, stream(number)).await {}
    }
    // As many as fill the window of a stream, from each in turn. Those that the gateway remembers are the last ones.
    for round in 0..16 {
        let late = (0..150).map(|number| frame(DATA, 0, stream(number), b"late"));
        wire.send(late.collect::<Vec<_>>().concat()).await;
        let asked = stream(200 + round);
        wire.send(frame(HEADERS, END_STREAM | END_HEADERS, asked, GET))
            .await;
        while !is_answered(&mut wire, asked).await {}
    }
}

/// Whether the next frame answers this stream.
async fn is_answered(wire: &mut Wire, asked: u32) -> bool {
    let (head, _) = next_frame(wire).await;
    assert_ne!(head[3], GOAWAY, "it ends");
    head[3] == HEADERS && head[5..] == asked.to_be_bytes()
}

#[tokio::test]
async fn a_connection_that_rests_for_long_is_told_before_it_ends() {
    let keys = ", timeouts: { request_header: 3s }";
    let gateway = Gateway::start(&format!("{}{FIXED}", listener(keys))).await;
    let mut wires = Vec::new();
    for _ in 0..8 {
        wires.push(begun(&gateway).await);
    }
    for mut wire in wires {
        while kind_of_next(&mut wire).await != GOAWAY {}
    }
}

/// RFC 9113 section 6.8: what was begun before the client knew is served, as the last GOAWAY will say.
#[tokio::test]
async fn a_request_on_its_way_while_the_gateway_stops_is_served() {
    let gateway = start().await;
    let mut wire = answered_before_a_stop(&gateway).await;
    while kind_of_next(&mut wire).await != GOAWAY {}
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, stream(1), GET))
        .await;
    loop {
        let (head, payload) = next_frame(&mut wire).await;
        if head[3] == HEADERS {
            // `:status: 200` of the static table.
            assert_eq!(payload[0], 0x88);
            return;
        }
    }
}

/// A closed socket would answer with a reset, and the client would lose what it has not read.
#[tokio::test]
async fn a_client_that_goes_on_sending_at_a_stop_is_not_reset() {
    let gateway = start().await;
    let mut wire = answered_before_a_stop(&gateway).await;
    loop {
        let (head, payload) = next_frame(&mut wire).await;
        if head[3] == PING {
            wire.send(frame(PING, ACK, 0, &payload)).await;
            break;
        }
    }
    assert!(!wire.is_reset().await);
    wire.send(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])).await;
    assert!(!wire.is_reset().await);
}

/// A connection on which one request has been answered when the gateway begins to stop.
async fn answered_before_a_stop(gateway: &Gateway) -> Wire {
    let mut wire = begun(gateway).await;
    let flags = END_STREAM | END_HEADERS;
    wire.send(frame(HEADERS, flags, stream(0), GET)).await;
    while !is_answered(&mut wire, stream(0)).await {}
    gateway.stop().await;
    wire
}

/// h2 holds the rest of the answer, which is handed to it at once.
#[tokio::test]
async fn a_client_that_pauses_at_a_stop_gets_all_of_its_answer() {
    let (window, length) = (65_535, 80_000);
    let body = "b".repeat(length);
    let yaml = format!("routes: {{ fixed: {{ respond: {{ status: 200, body: {body} }} }} }}\n");
    let gateway = Gateway::start(&format!("{}{yaml}", listener(""))).await;
    let mut wire = begun(&gateway).await;
    let flags = END_STREAM | END_HEADERS;
    wire.send(frame(HEADERS, flags, stream(0), GET)).await;
    take_data(&mut wire, window).await;
    gateway.stop().await;
    sleep(Duration::from_secs(3)).await;
    for number in [0, stream(0)] {
        wire.send(frame(WINDOW_UPDATE, 0, number, &[0, 1, 0, 0]))
            .await;
    }
    take_data(&mut wire, length - window).await;
}

/// Takes `count` bytes of DATA.
async fn take_data(wire: &mut Wire, count: usize) {
    let mut taken = 0;
    while taken < count {
        let (head, payload) = next_frame(wire).await;
        if head[3] == DATA {
            taken += payload.len();
        }
    }
    assert_eq!(taken, count);
}

/// What the next frame is, which is passed over.
async fn kind_of_next(wire: &mut Wire) -> u8 {
    next_frame(wire).await.0[3]
}

/// The header and the payload of the next frame.
async fn next_frame(wire: &mut Wire) -> (Vec<u8>, Vec<u8>) {
    let head = wire.take(9).await;
    let length = usize::from(head[1]) << 8 | usize::from(head[2]);
    let payload = wire.take(length).await;
    (head, payload)
}

#[tokio::test]
async fn a_head_that_never_ends_ends_the_connection() {
    expect_end(|number| match number {
        0 => frame(HEADERS, 0, 1, GET),
        // A field that is not indexed, with an empty value: x = "".
        _ => frame(CONTINUATION, 0, 1, b"\x00\x01x\x00"),
    })
    .await;
}

#[tokio::test]
async fn continuations_of_nothing_end_the_connection() {
    expect_end(|number| match number {
        0 => frame(HEADERS, 0, 1, GET),
        _ => frame(CONTINUATION, 0, 1, &[]),
    })
    .await;
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection() {
    expect_end(|_| frame(PING, 0, 1, &[0; 8])).await;
    expect_end(|_| frame(SETTINGS, 0, 0, &[0; 5])).await;
    expect_end(|_| frame(CONTINUATION, END_HEADERS, 1, GET)).await;
    // A window of more than 2^31 - 1.
    expect_end(|_| frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])).await;
}

/// Frames that are answered, each of them (CVE-2019-9512).
fn pings() -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8]).repeat(1000)
}

/// Sends Pings for as long as they are taken.
async fn flood(to: &mut (impl AsyncWrite + Unpin)) {
    let pings = pings();
    while to.write_all(&pings).await.is_ok() {}
}

async fn expect_service(gateway: &Gateway) {
    let mut good = Http2::connect(gateway.address()).await;
    let get = Request::get("https://gateway.test/");
    assert_eq!(good.ask(get).await.0.status(), 200);
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_held_up() {
    let gateway = start().await;
    let mut stream = begun(&gateway).await.into_stream();
    let pings = pings();
    send_until_stalled(&mut stream, |place| &pings[place % pings.len()..]).await;
    expect_service(&gateway).await;
}

/// A client that reads the answers to its flood pays as much as the gateway does, and keeps no other waiting.
#[tokio::test]
async fn a_flood_whose_answers_are_read_keeps_nobody_waiting() {
    let gateway = start().await;
    let (mut reading, mut writing) = tokio::io::split(begun(&gateway).await.into_stream());
    let mut dropped = tokio::io::sink();
    tokio::select! {
        _ = tokio::io::copy(&mut reading, &mut dropped) => {}
        () = flood(&mut writing) => {}
        () = async { for _ in 0..20 { expect_service(&gateway).await } } => return,
    }
    panic!("the gateway ended a connection that was answered");
}

/// However slowly it goes on: the first head has the time of a head, and then that of a connection that is told to leave.
#[tokio::test]
async fn a_first_head_that_comes_bit_by_bit_ends_the_connection() {
    let keys = ", timeouts: { request_header: 300ms, keep_alive: 1h }";
    let gateway = Gateway::start(&format!("{}{FIXED}", listener(keys))).await;
    let mut wire = begun(&gateway).await;
    wire.send(frame(HEADERS, 0, 1, GET)).await;
    let dripping = async {
        while wire
            .try_send(frame(CONTINUATION, 0, 1, b"\x00\x01x\x00"))
            .await
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("the end of the connection", dripping).await;
}

#[tokio::test]
async fn fields_of_a_connection_are_malformed() {
    let gateway = start().await;
    for (name, value) in [
        ("connection", "x-hop"),
        ("upgrade", "websocket"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "1"),
        ("te", "gzip"),
        ("Name", "in capitals"),
        ("name", "two\r\nlines"),
    ] {
        let mut wire = begun(&gateway).await;
        let field = [
            &[0, u8::try_from(name.len()).unwrap()],
            name.as_bytes(),
            &[u8::try_from(value.len()).unwrap()],
            value.as_bytes(),
        ];
        let head = [GET, &field.concat()].concat();
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head))
            .await;
        assert_ne!(outcome(&mut wire).await, HEADERS, "{name}: {value}");
    }
}

/// What a stream comes to: an answer, a reset, or the end of the connection.
async fn outcome(wire: &mut Wire) -> u8 {
    loop {
        let kind = kind_of_next(wire).await;
        if matches!(kind, HEADERS | RST_STREAM | GOAWAY) {
            return kind;
        }
    }
}
