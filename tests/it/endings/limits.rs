//! Messages that are too large or too many.

use super::{Pair, expect_closure, with_websocket};
use crate::harness::{BINARY, PING, Speaker, TEXT_BEGUN, TEXT_ENDED};
use crate::venue::{Transport, Venue};

const LIMIT: &str = "max_message_size: 1KiB, ping: { target: none }";

#[tokio::test]
async fn a_message_of_a_client_that_is_too_big_ends_the_session_over_ws() {
    a_message_that_is_too_big_ends_the_session(Transport::Plain, Speaker::Client).await;
}

#[tokio::test]
async fn a_message_of_a_client_that_is_too_big_ends_the_session_over_wss() {
    a_message_that_is_too_big_ends_the_session(Transport::Tls, Speaker::Client).await;
}

#[tokio::test]
async fn a_message_of_a_backend_that_is_too_big_ends_the_session() {
    a_message_that_is_too_big_ends_the_session(Transport::Plain, Speaker::Backend).await;
}

/// The header alone decides: nothing of the payload has been sent when the sender is told, and not even the
/// header has passed.
async fn a_message_that_is_too_big_ends_the_session(transport: Transport, sender: Speaker) {
    let venue = with_websocket(transport, LIMIT).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(sender, &sender.frame(BINARY, &[1; 1024])).await;
    let whole = sender.frame(BINARY, &[2; 1025]);
    let (header, payload) = whole.split_at(whole.len() - 1025);
    pair.side(sender).send(header).await;
    expect_told(&mut pair, sender).await;
    pair.side(sender).send(payload).await;
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(1009), "message_too_big").await;
}

async fn expect_told(pair: &mut Pair, sender: Speaker) {
    let (fault, other) = pair.sides(sender);
    fault
        .expect_close(sender.other(), 1009, "message too big")
        .await;
    other.expect_close(sender, 1001, "").await;
}

/// The backend's frame has begun and does not end: its client cannot be told.
#[tokio::test]
async fn a_frame_that_does_not_end_is_waited_for_as_long_as_an_answer() {
    let more = format!(
        "defaults: {{ timeouts: {{ close: 300ms, half_close: 1h }}, websocket: {{ {LIMIT} }} }}\n"
    );
    let venue = Venue::start_with(Transport::Plain, &more).await;
    let mut pair = Pair::new(&venue).await;
    let half = [&Speaker::Backend.header(BINARY, 1000)[..], b"half"].concat();
    pair.passes(Speaker::Backend, &half).await;
    let too_big = Speaker::Client.header(BINARY, 1025);
    pair.client.send(too_big).await;
    pair.backend.expect_close(Speaker::Client, 1001, "").await;
    assert!(pair.client.is_reset().await, "ended in order");
    assert!(pair.backend.is_reset().await, "ended in order");
    expect_closure(&venue, "gateway", Some(1001), "stuck").await;
}

#[tokio::test]
async fn a_fragmented_message_of_a_client_that_is_too_big_ends_the_session() {
    a_fragmented_message_that_is_too_big_ends_the_session(Speaker::Client).await;
}

#[tokio::test]
async fn a_fragmented_message_of_a_backend_that_is_too_big_ends_the_session() {
    a_fragmented_message_that_is_too_big_ends_the_session(Speaker::Backend).await;
}

/// The fragment that makes it too big comes at once with what is before and behind it, the Close included.
async fn a_fragmented_message_that_is_too_big_ends_the_session(sender: Speaker) {
    let venue = with_websocket(Transport::Plain, LIMIT).await;
    let mut pair = Pair::new(&venue).await;
    let sound = [
        sender.frame(TEXT_BEGUN, &[b'a'; 1000]),
        sender.frame(PING, &[b'b'; 125]),
    ]
    .concat();
    let rest = [
        sender.frame(TEXT_ENDED, &[b'c'; 25]),
        sender.close(1000, "all at once"),
    ]
    .concat();
    let (from, to) = pair.sides(sender);
    from.send([&sound[..], &rest].concat()).await;
    to.expect(&sound).await;
    expect_told(&mut pair, sender).await;
    let other = sender.other();
    pair.side(other).send(other.close(1000, "")).await;
    for speaker in [sender, other] {
        pair.side(speaker).expect_end().await;
        pair.side(speaker).end().await;
    }
    expect_closure(&venue, "gateway", Some(1009), "message_too_big").await;
    let line = venue.gateway.line("close").await;
    let messages = [&line["messages_in"], &line["messages_out"]];
    assert_eq!(messages, [0, 0], "what does not pass is not counted");
}

#[tokio::test]
async fn a_client_that_sends_too_many_messages_is_told_over_ws() {
    a_client_that_sends_too_many_messages_is_told(Transport::Plain).await;
}

#[tokio::test]
async fn a_client_that_sends_too_many_messages_is_told_over_wss() {
    a_client_that_sends_too_many_messages_is_told(Transport::Tls).await;
}

async fn a_client_that_sends_too_many_messages_is_told(transport: Transport) {
    let keys = "max_messages_per_second: 5, ping: { target: none }";
    let venue = with_websocket(transport, keys).await;
    let mut pair = Pair::new(&venue).await;
    let many = Speaker::Backend.text("no limit").repeat(20);
    pair.passes(Speaker::Backend, &many).await;
    let one = [
        Speaker::Client.frame(TEXT_BEGUN, b"of two "),
        Speaker::Client.frame(TEXT_ENDED, b"frames"),
    ]
    .concat();
    pair.client.send(one.repeat(6)).await;
    pair.backend.expect(one.repeat(5)).await;
    pair.client
        .expect_close(Speaker::Backend, 1008, "too many messages")
        .await;
    pair.backend.expect_close(Speaker::Client, 1001, "").await;
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(1008), "too_many_messages").await;
}
