//! Sessions that end by the clock.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use super::{Pair, expect_closure, with_websocket};
use crate::harness::{BINARY, PING, Speaker};
use crate::venue::{Transport, Venue};

const QUIET: &str = "ping: { target: none }";

#[tokio::test]
async fn an_idle_session_ends_over_ws() {
    an_idle_session_ends(Transport::Plain).await;
}

#[tokio::test]
async fn an_idle_session_ends_over_wss() {
    an_idle_session_ends(Transport::Tls).await;
}

async fn an_idle_session_ends(transport: Transport) {
    let venue = with_websocket(transport, &format!("idle: 200ms, {QUIET}")).await;
    let mut pair = Pair::new(&venue).await;
    pair.client
        .expect_close(Speaker::Backend, 1001, "idle")
        .await;
    pair.backend.expect_close(Speaker::Client, 1001, "").await;
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(1001), "idle").await;
}

#[tokio::test]
async fn pings_do_not_keep_an_abandoned_session() {
    let venue = with_websocket(Transport::Plain, &format!("idle: 200ms, {QUIET}")).await;
    let Pair {
        mut client,
        mut backend,
    } = Pair::new(&venue).await;
    let ping = Speaker::Client.frame(PING, b"?");
    let pinging = async {
        let mut pace = interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            client.send(&ping).await;
        }
    };
    let ending = async {
        let mut frame = backend.frame().await;
        while frame.first == PING {
            frame = backend.frame().await;
        }
        frame
    };
    let end = tokio::select! {
        end = ending => end,
        () = pinging => unreachable!(),
    };
    assert_eq!(end, crate::harness::Frame::close(Speaker::Client, 1001, ""));
}

/// Its payload takes many times the idle time.
#[tokio::test]
async fn a_slow_frame_is_not_idle() {
    const PIECES: usize = 60;
    let venue = with_websocket(Transport::Plain, &format!("idle: 2s, {QUIET}")).await;
    let mut pair = Pair::new(&venue).await;
    let frame = Speaker::Backend.frame(BINARY, &[9; PIECES * 10]);
    for piece in frame.chunks(10) {
        pair.passes(Speaker::Backend, piece).await;
        sleep(Duration::from_millis(80)).await;
    }
}

#[tokio::test]
async fn an_old_session_ends_over_ws() {
    an_old_session_ends(Transport::Plain).await;
}

#[tokio::test]
async fn an_old_session_ends_over_wss() {
    an_old_session_ends(Transport::Tls).await;
}

async fn an_old_session_ends(transport: Transport) {
    let venue = with_websocket(transport, &format!("max_age: 200ms, {QUIET}")).await;
    let mut pair = Pair::new(&venue).await;
    pair.client
        .expect_close(Speaker::Backend, 1012, "session too old")
        .await;
    pair.backend.expect_close(Speaker::Client, 1001, "").await;
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(1012), "max_age").await;
}

/// It takes several times as long as the answer to a Close may.
#[tokio::test]
async fn a_frame_that_moves_is_finished_at_the_maximum_age() {
    const PIECES: usize = 40;
    let keys = format!("max_age: 200ms, {QUIET}");
    let more = format!("defaults: {{ timeouts: {{ close: 3s }}, websocket: {{ {keys} }} }}\n");
    let venue = Venue::start_with(Transport::Plain, &more).await;
    let mut pair = Pair::new(&venue).await;
    let frame = Speaker::Backend.frame(BINARY, &[9; PIECES * 10]);
    for piece in frame.chunks(10) {
        pair.passes(Speaker::Backend, piece).await;
        sleep(Duration::from_millis(80)).await;
    }
    pair.client
        .expect_close(Speaker::Backend, 1012, "session too old")
        .await;
    pair.backend.expect_close(Speaker::Client, 1001, "").await;
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(1012), "max_age").await;
}

/// As one may be without end.
#[tokio::test]
async fn a_frame_that_does_not_move_is_cut_at_the_maximum_age() {
    let keys = format!("max_age: 200ms, {QUIET}");
    let more = format!("defaults: {{ timeouts: {{ close: 300ms }}, websocket: {{ {keys} }} }}\n");
    let venue = Venue::start_with(Transport::Plain, &more).await;
    let mut pair = Pair::new(&venue).await;
    let half = [
        &Speaker::Backend.header(BINARY, 1000)[..],
        b"no more than this",
    ]
    .concat();
    pair.passes(Speaker::Backend, &half).await;
    assert!(pair.client.is_reset().await, "ended in order");
    expect_closure(&venue, "gateway", Some(1001), "stuck").await;
}

/// Sessions that opened together do not come back together.
#[tokio::test]
async fn the_jitter_spreads_the_ages() {
    const SESSIONS: usize = 20;
    let keys = format!("max_age: 2s, max_age_jitter: 100%, {QUIET}");
    let venue = with_websocket(Transport::Plain, &keys).await;
    let mut ages = JoinSet::new();
    for _ in 0..SESSIONS {
        ages.spawn(age(Pair::new(&venue).await));
    }
    let ages = ages.join_all().await;
    let youngest = ages.iter().min().expect("sessions");
    let oldest = ages.iter().max().expect("sessions");
    assert!(*oldest - *youngest > Duration::from_millis(500), "{ages:?}");
}

/// How long it lasts.
async fn age(mut pair: Pair) -> Duration {
    let opened = Instant::now();
    pair.client
        .expect_close(Speaker::Backend, 1012, "session too old")
        .await;
    opened.elapsed()
}
