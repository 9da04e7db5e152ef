//! The gateway asks whether the sides are there.

use std::time::Duration;

use tokio::time::interval;

use super::{Pair, expect_closure, patient, with_websocket};
use crate::harness::{Frame, PING, PONG, Speaker, eventually};
use crate::venue::{Transport, Venue};

const OFTEN: &str = "interval: 50ms, timeout: 1h";

async fn asking(transport: Transport, target: Speaker, often: &str) -> Venue {
    let target = target.label();
    with_websocket(transport, &format!("ping: {{ {often}, target: {target} }}")).await
}

/// Reads the gateway's Ping to `speaker`; what its Pong has to say.
async fn asked(pair: &mut Pair, speaker: Speaker) -> Vec<u8> {
    let Frame {
        first,
        speaker: says,
        payload,
    } = pair.side(speaker).frame().await;
    assert_eq!((first, says), (PING, speaker.other()));
    payload
}

#[tokio::test]
async fn the_pong_of_a_client_to_the_gateway_is_not_passed_on_over_ws() {
    the_pong_to_the_gateway_is_not_passed_on(Transport::Plain, Speaker::Client).await;
}

#[tokio::test]
async fn the_pong_of_a_client_to_the_gateway_is_not_passed_on_over_wss() {
    the_pong_to_the_gateway_is_not_passed_on(Transport::Tls, Speaker::Client).await;
}

#[tokio::test]
async fn the_pong_of_a_backend_to_the_gateway_is_not_passed_on() {
    the_pong_to_the_gateway_is_not_passed_on(Transport::Plain, Speaker::Backend).await;
}

async fn the_pong_to_the_gateway_is_not_passed_on(transport: Transport, target: Speaker) {
    let venue = asking(transport, target, OFTEN).await;
    let mut pair = Pair::new(&venue).await;
    for round in 0..3 {
        let payload = asked(&mut pair, target).await;
        // The Pong is cut in two, and stands between frames that pass.
        let pong = target.frame(PONG, &payload);
        let (head, tail) = pong.split_at(1 + round * 4);
        let before = target.text("before");
        let after = target.text("after");
        pair.side(target).send([&before, head].concat()).await;
        pair.side(target.other()).expect(&before).await;
        pair.side(target).send([tail, &after].concat()).await;
        pair.side(target.other()).expect(&after).await;
    }
    let trips = || {
        venue
            .gateway
            .count("wsgate_ping_rtt_seconds_count", &[("route", "chat")])
    };
    eventually("three round trips are counted", || trips() == 3.0).await;
}

#[tokio::test]
async fn pings_and_pongs_of_the_sides_pass() {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    for speaker in [Speaker::Client, Speaker::Backend] {
        for (first, payload) in [
            (PING, &[7; 125][..]),
            (PONG, b"unasked"),
            (PONG, b""),
            (PING, b""),
        ] {
            pair.passes(speaker, &speaker.frame(first, payload)).await;
        }
    }
}

#[tokio::test]
async fn another_pong_than_the_gateways_passes() {
    let venue = asking(Transport::Plain, Speaker::Client, OFTEN).await;
    let mut pair = Pair::new(&venue).await;
    asked(&mut pair, Speaker::Client).await;
    let pong = Speaker::Client.frame(PONG, b"8 bytes!");
    pair.passes(Speaker::Client, &pong).await;
}

const SOON: &str = "interval: 100ms, timeout: 200ms";

/// It is not read while the backend takes nothing, so that nobody knows what it says.
#[tokio::test]
async fn a_client_that_is_held_up_by_the_backend_is_not_overdue() {
    let message = Speaker::Client.frame(crate::harness::BINARY, &vec![7; 8 << 20]);
    let upload = message.repeat(4);
    let length = upload.len();
    let often = "interval: 100ms, timeout: 1s";
    let venue = asking(Transport::Plain, Speaker::Client, often).await;
    let Pair {
        mut client,
        mut backend,
    } = Pair::new(&venue).await;
    let sending = tokio::spawn(async move {
        client.send(upload).await;
        client
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    backend.take(length).await;
    let _client = sending.await.expect("nothing ends it");
}

#[tokio::test]
async fn a_silent_client_is_reset_and_the_backend_told_over_ws() {
    a_silent_side_is_reset(Transport::Plain, Speaker::Client, 1001, "").await;
}

#[tokio::test]
async fn a_silent_client_is_reset_and_the_backend_told_over_wss() {
    a_silent_side_is_reset(Transport::Tls, Speaker::Client, 1001, "").await;
}

#[tokio::test]
async fn a_silent_backend_is_reset_and_the_client_told() {
    a_silent_side_is_reset(Transport::Plain, Speaker::Backend, 1014, "backend lost").await;
}

async fn a_silent_side_is_reset(transport: Transport, silent: Speaker, code: u16, reason: &str) {
    let venue = asking(transport, silent, SOON).await;
    let mut pair = Pair::new(&venue).await;
    asked(&mut pair, silent).await;
    let (gone, told) = pair.sides(silent);
    told.expect_close(silent, code, reason).await;
    told.send(silent.other().close(1000, "")).await;
    told.expect_end().await;
    told.end().await;
    assert!(gone.is_reset().await, "ended in order");
    expect_closure(&venue, silent.label(), Some(code), "pong_overdue").await;
}

/// Some clients answer no Ping; what they send shows that they are there.
#[tokio::test]
async fn a_client_that_sends_data_but_no_pong_stays() {
    const TEXTS: usize = 60;
    let venue = asking(
        Transport::Plain,
        Speaker::Client,
        "interval: 100ms, timeout: 2s",
    )
    .await;
    let mut pair = Pair::new(&venue).await;
    let mut pace = interval(Duration::from_millis(50));
    for _ in 0..TEXTS {
        pace.tick().await;
        pair.passes(Speaker::Client, &Speaker::Client.text("here"))
            .await;
    }
}

/// It would see a truncated TLS stream.
#[tokio::test]
async fn a_client_that_is_told_nothing_of_a_silent_backend_is_ended_in_order() {
    let keys = format!("ping: {{ {SOON}, target: backend }}, backend_lost_code: 0");
    let venue = with_websocket(Transport::Tls, &keys).await;
    let mut pair = Pair::new(&venue).await;
    asked(&mut pair, Speaker::Backend).await;
    let (gone, told) = pair.sides(Speaker::Backend);
    told.expect_end().await;
    told.end().await;
    assert!(gone.is_reset().await, "ended in order");
    expect_closure(&venue, "backend", None, "pong_overdue").await;
}
