//! A side that takes no bytes.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, join, sink, split};

use super::{Pair, expect_closure};
use crate::harness::{BINARY, CLOSE, Frame, Speaker, Wire};
use crate::venue::{Side, Transport, Venue};

/// A venue where sides have `close` to take what they did not take in time.
async fn stalling(transport: Transport, close: &str) -> Venue {
    let more = format!(
        "defaults: {{ timeouts: {{ close: {close}, half_close: 1h }}, \
         websocket: {{ slow_consumer: {{ stall: 300ms }}, ping: {{ target: none }} }} }}\n"
    );
    Venue::start_with(transport, &more).await
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_reset_and_the_backend_told_over_ws() {
    a_client_that_takes_nothing_is_reset(Transport::Plain).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_reset_and_the_backend_told_over_wss() {
    a_client_that_takes_nothing_is_reset(Transport::Tls).await;
}

async fn a_client_that_takes_nothing_is_reset(transport: Transport) {
    let venue = stalling(transport, "300ms").await;
    let Pair {
        mut client,
        backend,
    } = Pair::new(&venue).await;
    let (mut backend, flooding) = flooding(backend, Speaker::Backend);
    backend.expect_close(Speaker::Client, 1001, "").await;
    expect_closure(&venue, "gateway", Some(1001), "stalled").await;
    flooding.abort();
    assert!(client.is_reset().await, "ended in order");
}

/// A little all the time is not nothing.
#[tokio::test]
async fn a_client_that_takes_little_is_borne_with() {
    let more =
        "defaults: { websocket: { slow_consumer: { stall: 4s }, ping: { target: none } } }\n";
    let venue = Venue::start_with(Transport::Plain, more).await;
    let Pair {
        mut client,
        backend,
    } = Pair::new(&venue).await;
    let (_backend, flooding) = flooding(backend, Speaker::Backend);
    // So that what the system holds for it is full.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..100 {
        client.take(10_000).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let active = venue
        .gateway
        .count("wsgate_sessions_active", &[("route", "chat")]);
    assert_eq!(active, 1.0, "the session goes on");
    flooding.abort();
}

#[tokio::test]
async fn a_backend_that_takes_nothing_is_reset_and_the_client_told() {
    let venue = stalling(Transport::Plain, "300ms").await;
    let Pair {
        client,
        mut backend,
    } = Pair::new(&venue).await;
    let (mut client, flooding) = flooding(client, Speaker::Client);
    client
        .expect_close(Speaker::Backend, 1013, "backend too slow")
        .await;
    expect_closure(&venue, "gateway", Some(1013), "stalled").await;
    flooding.abort();
    assert!(backend.is_reset().await, "ended in order");
}

#[tokio::test]
async fn a_client_that_comes_to_itself_is_told_behind_the_frame_over_ws() {
    a_side_that_comes_to_itself_is_told(Transport::Plain, Speaker::Client).await;
}

#[tokio::test]
async fn a_client_that_comes_to_itself_is_told_behind_the_frame_over_wss() {
    a_side_that_comes_to_itself_is_told(Transport::Tls, Speaker::Client).await;
}

#[tokio::test]
async fn a_backend_that_comes_to_itself_is_told_behind_the_frame() {
    a_side_that_comes_to_itself_is_told(Transport::Plain, Speaker::Backend).await;
}

/// It takes bytes again once the end is decided: the frame that was on its way, and the Close.
async fn a_side_that_comes_to_itself_is_told(transport: Transport, stalled: Speaker) {
    let venue = stalling(transport, "1h").await;
    let Pair { client, backend } = Pair::new(&venue).await;
    let (mut late, other) = match stalled {
        Speaker::Client => (client, backend),
        Speaker::Backend => (backend, client),
    };
    let (mut other, flooding) = flooding(other, stalled.other());
    let [to_late, to_other] = match stalled {
        Speaker::Client => [(1013, "client too slow"), (1001, "")],
        Speaker::Backend => [(1001, ""), (1013, "backend too slow")],
    };
    other.expect_close(stalled, to_other.0, to_other.1).await;
    let last = loop {
        let frame = late.frame().await;
        if frame.first == CLOSE {
            break frame;
        }
        assert_eq!((frame.first, frame.payload.len()), (BINARY, FLOOD));
    };
    assert_eq!(last, Frame::close(stalled.other(), to_late.0, to_late.1));
    flooding.abort();
    drop(other);
    late.send(stalled.close(1000, "")).await;
    late.expect_end().await;
    late.end().await;
    expect_closure(&venue, "gateway", Some(1013), "stalled").await;
}

/// Of one frame.
const FLOOD: usize = 256 << 10;

/// Sends whole frames for as long as they are taken; what comes back is still to be read.
fn flooding(
    side: Wire<Side>,
    speaker: Speaker,
) -> (
    Wire<impl AsyncRead + AsyncWrite + Unpin>,
    tokio::task::JoinHandle<()>,
) {
    let (reads, mut writes) = split(side.into_stream());
    let flooding = tokio::spawn(async move {
        let frame = speaker.frame(BINARY, &vec![1; FLOOD]);
        while writes.write_all(&frame).await.is_ok() {}
    });
    (Wire::new(join(reads, sink())), flooding)
}
