//! Both sides say Close themselves.

use std::time::Duration;

use tokio::time::timeout;

use super::{Pair, expect_closure, patient};
use crate::harness::{CLOSE, Speaker};
use crate::venue::{Transport, Venue};

#[tokio::test]
async fn two_closes_end_a_session_of_the_client_over_ws() {
    two_closes_end_a_session(Transport::Plain, Speaker::Client).await;
}

#[tokio::test]
async fn two_closes_end_a_session_of_the_client_over_wss() {
    two_closes_end_a_session(Transport::Tls, Speaker::Client).await;
}

#[tokio::test]
async fn two_closes_end_a_session_of_the_backend_over_ws() {
    two_closes_end_a_session(Transport::Plain, Speaker::Backend).await;
}

#[tokio::test]
async fn two_closes_end_a_session_of_the_backend_over_wss() {
    two_closes_end_a_session(Transport::Tls, Speaker::Backend).await;
}

async fn two_closes_end_a_session(transport: Transport, first: Speaker) {
    let venue = patient(transport).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(first, &first.text("before")).await;
    pair.passes(first, &first.close(4321, "enough")).await;
    let second = first.other();
    pair.passes(second, &second.text("still allowed")).await;
    pair.passes(second, &second.close(1000, "")).await;
    pair.client.expect_end().await;
    pair.backend.expect_end().await;
    // Both leave their sockets open, which is no part of the session any more.
    expect_closure(&venue, first.label(), Some(4321), "finished").await;
    drop(pair);
}

/// It ends the connection instead of an answer, as some do.
#[tokio::test]
async fn a_close_that_the_backend_only_ends_at_is_the_first() {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(Speaker::Client, &Speaker::Client.close(4321, "enough"))
        .await;
    pair.backend.end().await;
    pair.client
        .expect_close(Speaker::Backend, 1014, "backend lost")
        .await;
    pair.client.expect_end().await;
    pair.client.end().await;
    pair.backend.gone().await;
    expect_closure(&venue, "client", Some(4321), "half_close").await;
}

/// It resets the connection instead of an answer, as servers do that do not read what still waits.
#[tokio::test]
async fn a_close_that_the_backend_breaks_at_is_the_first() {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(Speaker::Client, &Speaker::Client.close(1000, ""))
        .await;
    let Pair {
        mut client,
        backend,
    } = pair;
    crate::venue::reset(&*backend.into_stream());
    client
        .expect_close(Speaker::Backend, 1014, "backend lost")
        .await;
    client.expect_end().await;
    client.end().await;
    expect_closure(&venue, "client", Some(1000), "half_close").await;
}

#[tokio::test]
async fn a_close_that_the_client_breaks_at_is_the_first() {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(
        Speaker::Backend,
        &Speaker::Backend.close(4001, "log in again"),
    )
    .await;
    let mut backend = pair.reset_client();
    backend.gone().await;
    backend.end().await;
    expect_closure(&venue, "backend", Some(4001), "half_close").await;
}

/// Each says Close before it has heard that of the other.
#[tokio::test]
async fn two_closes_that_cross_end_a_session() {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    let closes = [
        Speaker::Client.close(1000, "bye"),
        Speaker::Backend.close(1000, "so long"),
    ];
    let Pair { client, backend } = &mut pair;
    tokio::join!(client.send(&closes[0]), backend.send(&closes[1]));
    backend.expect(&closes[0]).await;
    client.expect(&closes[1]).await;
    for side in [client, backend] {
        side.expect_end().await;
        side.end().await;
    }
    let line = venue.gateway.line("close").await;
    assert_eq!(line["close_reason"], "finished", "{line}");
    assert_eq!(line["close_code"], 1000, "{line}");
}

/// The side that ends a connection first keeps it for a minute, and the gateway would run out of ports (RFC 6455 section 7.1.1).
#[tokio::test]
async fn the_backend_may_end_first() {
    let venue = patient(Transport::Plain).await;
    // It has a second. A machine that is slower than that shows it in another session.
    for _ in 0..5 {
        let mut pair = Pair::new(&venue).await;
        for speaker in [Speaker::Client, Speaker::Backend] {
            pair.passes(speaker, &speaker.close(1000, "")).await;
        }
        pair.client.expect_end().await;
        let gone = timeout(Duration::from_millis(100), pair.backend.gone()).await;
        pair.client.end().await;
        pair.backend.end().await;
        if gone.is_err() {
            expect_closure(&venue, "client", Some(1000), "finished").await;
            return;
        }
    }
    panic!("the gateway ends the backend's connection at once");
}

/// Neither side ends its connection, so the gateway does.
#[tokio::test]
async fn the_gateway_ends_a_session_that_nobody_ends() {
    let more = "defaults: { timeouts: { close: 100ms, half_close: 1h } }\n";
    let venue = Venue::start_with(Transport::Plain, more).await;
    let mut pair = Pair::new(&venue).await;
    for speaker in [Speaker::Backend, Speaker::Client] {
        pair.passes(speaker, &speaker.close(1000, "")).await;
    }
    expect_closure(&venue, "backend", Some(1000), "finished").await;
    pair.client.expect_end().await;
    pair.backend.expect_end().await;
}

#[tokio::test]
async fn a_close_that_a_client_does_not_answer_ends_the_session_at_the_deadline() {
    a_close_without_an_answer_ends_the_session(Speaker::Backend).await;
}

#[tokio::test]
async fn a_close_that_a_backend_does_not_answer_ends_the_session_at_the_deadline() {
    a_close_without_an_answer_ends_the_session(Speaker::Client).await;
}

async fn a_close_without_an_answer_ends_the_session(first: Speaker) {
    let more = "defaults: { timeouts: { close: 1h, half_close: 100ms } }\n";
    let venue = Venue::start_with(Transport::Plain, more).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(first, &first.close(3210, "")).await;
    pair.client.expect_end().await;
    pair.backend.expect_end().await;
    pair.client.end().await;
    pair.backend.end().await;
    expect_closure(&venue, first.label(), Some(3210), "half_close").await;
}

/// Many servers do so: they close a socket in which bytes wait that they do not want.
#[tokio::test]
async fn a_backend_that_is_reset_after_its_close_is_not_lost() {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(Speaker::Backend, &Speaker::Backend.close(1000, ""))
        .await;
    let Pair {
        mut client,
        backend,
    } = pair;
    crate::venue::reset(&*backend.into_stream());
    client.send(Speaker::Client.close(1000, "")).await;
    client.expect_end().await;
    client.end().await;
    expect_closure(&venue, "backend", Some(1000), "finished").await;
}

/// A client that ended its half still gets all, though it reads slowly.
#[tokio::test]
async fn what_comes_before_the_last_close_arrives_at_a_slow_client_that_has_ended() {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    pair.client.end().await;
    pair.backend.expect_close(Speaker::Client, 1001, "").await;
    let last = [
        Speaker::Backend.frame(crate::harness::BINARY, &vec![7; 12 << 20]),
        Speaker::Backend.frame(CLOSE, &[]),
    ]
    .concat();
    let Pair {
        mut client,
        mut backend,
    } = pair;
    let sending = async {
        backend.send(&last).await;
        backend.end().await;
    };
    let receiving = async {
        for piece in last.chunks(1 << 20) {
            client.expect(piece).await;
            tokio::task::yield_now().await;
        }
        client.expect_end().await;
    };
    tokio::join!(sending, receiving);
    expect_closure(&venue, "client", Some(1001), "lost").await;
}
