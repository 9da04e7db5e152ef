//! Ends that were planned: the gateway stops, or a part of it is removed.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;
use wsgate::server::Outcome;

use super::{Pair, expect_closure, expect_line};
use crate::harness::{
    BINARY, CLOSE, Frame, Gateway, Opening, PING, Speaker, TEXT, TEXT_BEGUN, Wire, repeatedly,
};
use crate::venue::{Arrivals, Side, Transport, Venue, agree};

const DRAIN: &str =
    "drain: { window: 0s, deadline: 1h, close_code: 4012, reason: \"moving on\" }\n";

fn more(close: &str) -> String {
    format!(
        "defaults: {{ timeouts: {{ close: {close}, half_close: 1h }}, \
         websocket: {{ max_message_size: 0, ping: {{ target: none }} }} }}\n{DRAIN}"
    )
}

async fn draining(transport: Transport, close: &str) -> Venue {
    Venue::start_with(transport, &more(close)).await
}

/// Asks for a drain after which the gateway goes on.
async fn drain(venue: &Venue) {
    let answer = venue.gateway.admin("POST", "/drain").await;
    assert!(answer.status() < 300, "{answer:?}");
}

async fn expect_told(pair: &mut Pair) {
    pair.client
        .expect_close(Speaker::Backend, 4012, "moving on")
        .await;
    pair.backend.expect_close(Speaker::Client, 1001, "").await;
}

#[tokio::test]
async fn a_stop_is_told_in_the_configured_words_over_ws() {
    a_stop_is_told_in_the_configured_words(Transport::Plain).await;
}

#[tokio::test]
async fn a_stop_is_told_in_the_configured_words_over_wss() {
    a_stop_is_told_in_the_configured_words(Transport::Tls).await;
}

async fn a_stop_is_told_in_the_configured_words(transport: Transport) {
    let mut venue = draining(transport, "1h").await;
    let mut pair = Pair::new(&venue).await;
    for speaker in [Speaker::Client, Speaker::Backend] {
        pair.passes(speaker, &speaker.frame(TEXT_BEGUN, b"begun"))
            .await;
    }
    venue.gateway.stop().await;
    expect_told(&mut pair).await;
    pair.answer().await;
    assert_eq!(venue.gateway.outcome().await, Outcome::Drained);
    expect_line(&venue, "gateway", Some(4012), "drain").await;
}

#[tokio::test]
async fn a_removed_backend_is_told_in_the_same_way() {
    let venue = draining(Transport::Plain, "1h").await;
    let mut pair = Pair::new(&venue).await;
    let other = Arrivals::listen().await;
    let rest = other.route() + &more("1h");
    venue.gateway.change(&(main_listener() + &rest)).await;
    expect_told(&mut pair).await;
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(4012), "drain").await;
}

#[tokio::test]
async fn a_removed_route_is_told_in_the_same_way() {
    let venue = draining(Transport::Plain, "1h").await;
    let mut pair = Pair::new(&venue).await;
    let rest = venue
        .arrivals
        .route()
        .replace("chat: { origins", "moved: { origins")
        + &more("1h");
    venue.gateway.change(&(main_listener() + &rest)).await;
    expect_told(&mut pair).await;
    pair.answer().await;
    expect_line(&venue, "gateway", Some(4012), "drain").await;
}

#[tokio::test]
async fn a_removed_listener_is_told_in_the_same_way() {
    let venue = draining(Transport::Plain, "1h").await;
    let mut pair = Pair::new(&venue).await;
    let listeners = "listeners: { other: { address: \"127.0.0.1:0\" } }\n";
    let rest = venue.arrivals.route() + &more("1h");
    venue.gateway.change(&(listeners.to_owned() + &rest)).await;
    expect_told(&mut pair).await;
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(4012), "drain").await;
}

fn main_listener() -> String {
    "listeners: { main: { address: \"127.0.0.1:0\" } }\n".to_owned()
}

#[tokio::test]
async fn no_byte_of_a_close_falls_into_a_large_frame_of_a_backend_over_ws() {
    no_byte_of_a_close_falls_into_a_large_frame(Transport::Plain, Speaker::Backend).await;
}

#[tokio::test]
async fn no_byte_of_a_close_falls_into_a_large_frame_of_a_backend_over_wss() {
    no_byte_of_a_close_falls_into_a_large_frame(Transport::Tls, Speaker::Backend).await;
}

#[tokio::test]
async fn no_byte_of_a_close_falls_into_a_large_frame_of_a_client() {
    no_byte_of_a_close_falls_into_a_large_frame(Transport::Plain, Speaker::Client).await;
}

const LARGE: usize = 16 << 20;
const PIECE: usize = 1 << 20;

/// Half of the frame has been sent when the drain begins: its sender is told, which shows that the end is
/// decided, and then it sends the rest and more, of which nothing passes.
async fn no_byte_of_a_close_falls_into_a_large_frame(transport: Transport, sender: Speaker) {
    let venue = draining(transport, "1h").await;
    let mut pair = Pair::new(&venue).await;
    let frame = sender.frame(BINARY, &crate::venue::noise(64, LARGE));
    let (first, second) = frame.split_at(LARGE / 2);
    let (from, to) = pair.sides(sender);
    tokio::join!(from.send(first), expect_in_pieces(to, first));
    drain(&venue).await;
    let told = from.frame().await;
    let more = [
        sender.frame(TEXT, b"too late"),
        sender.close(1000, "an answer"),
    ]
    .concat();
    let sending = async {
        from.send(second).await;
        from.send(&more).await;
    };
    tokio::join!(sending, expect_in_pieces(to, second));
    let last = to.frame().await;
    let [to_client, to_backend] = match sender {
        Speaker::Client => [told, last],
        Speaker::Backend => [last, told],
    };
    assert_eq!(to_client, Frame::close(Speaker::Backend, 4012, "moving on"));
    assert_eq!(to_backend, Frame::close(Speaker::Client, 1001, ""));
    to.send(sender.other().close(1000, "")).await;
    for side in [from, to] {
        side.expect_end().await;
        side.end().await;
    }
    expect_closure(&venue, "gateway", Some(4012), "drain").await;
}

async fn expect_in_pieces(side: &mut Wire<Side>, bytes: &[u8]) {
    for piece in bytes.chunks(PIECE) {
        side.expect(piece).await;
    }
}

#[tokio::test]
async fn a_session_stuck_within_a_frame_of_its_backend_is_reset_at_the_deadline() {
    a_session_stuck_within_a_frame_is_reset_at_the_deadline(Speaker::Backend).await;
}

#[tokio::test]
async fn a_session_stuck_within_a_frame_of_its_client_is_reset_at_the_deadline() {
    a_session_stuck_within_a_frame_is_reset_at_the_deadline(Speaker::Client).await;
}

async fn a_session_stuck_within_a_frame_is_reset_at_the_deadline(sender: Speaker) {
    let more = more("1h").replace("deadline: 1h", "deadline: 300ms");
    let venue = Venue::start_with(Transport::Plain, &more).await;
    let mut pair = Pair::new(&venue).await;
    let half = [&sender.header(TEXT, 1000)[..], b"no more than this"].concat();
    pair.passes(sender, &half).await;
    drain(&venue).await;
    let (from, to) = pair.sides(sender);
    assert!(to.is_reset().await, "ended in order");
    assert_eq!(from.frame().await.first, 0x88);
    assert!(from.is_reset().await, "ended in order");
    let code = match sender {
        // Only the side that sends could be told.
        Speaker::Client => 4012,
        Speaker::Backend => 1001,
    };
    expect_closure(&venue, "gateway", Some(code), "stuck").await;
}

#[tokio::test]
async fn a_frame_of_a_backend_has_until_the_deadline_of_the_drain() {
    a_frame_has_until_the_deadline_of_the_drain(Speaker::Backend).await;
}

#[tokio::test]
async fn a_frame_of_a_client_has_until_the_deadline_of_the_drain() {
    a_frame_has_until_the_deadline_of_the_drain(Speaker::Client).await;
}

/// Its second half comes when an answer to a Close would be overdue.
async fn a_frame_has_until_the_deadline_of_the_drain(sender: Speaker) {
    let venue = draining(Transport::Plain, "2s").await;
    let mut pair = Pair::new(&venue).await;
    let frame = sender.frame(TEXT, &[b'x'; 1000]);
    let (first, second) = frame.split_at(500);
    pair.passes(sender, first).await;
    drain(&venue).await;
    assert_eq!(pair.side(sender).frame().await.first, CLOSE);
    sleep(Duration::from_secs(3)).await;
    pair.passes(sender, second).await;
    let last = pair.side(sender.other()).frame().await;
    assert_eq!((last.first, last.speaker), (CLOSE, sender));
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(4012), "drain").await;
}

#[tokio::test]
async fn a_session_that_several_drains_end_counts_once() {
    let more = more("1h").replace("window: 0s, deadline: 1h", "window: 1h, deadline: 2h");
    let venue = Venue::start_with(Transport::Plain, &more).await;
    let _pair = Pair::new(&venue).await;
    let left = async || {
        let status = venue.gateway.admin("GET", "/status").await;
        let status: Value = serde_json::from_str(&status.body).expect("it is JSON");
        (status["drain_sessions"] == 1).then_some(())
    };
    for target in ["/drain?backend=one", "/drain?route=chat", "/drain"] {
        let answer = venue.gateway.admin("POST", target).await;
        assert_eq!(answer.status(), 202, "{answer:?}");
        repeatedly("one session is to end", left).await;
    }
}

#[tokio::test]
async fn where_a_backend_is_not_followed_its_client_gets_the_end_alone() {
    where_frames_are_not_followed_the_end_comes_alone(Speaker::Backend).await;
}

#[tokio::test]
async fn where_a_client_is_not_followed_its_backend_gets_the_end_alone() {
    where_frames_are_not_followed_the_end_comes_alone(Speaker::Client).await;
}

/// It broke the protocol. It is told, but its answer could not be understood: it is not waited for.
async fn where_frames_are_not_followed_the_end_comes_alone(fault: Speaker) {
    let venue = draining(Transport::Plain, "1h").await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(fault, &fault.frame(0x83, b"a reserved opcode"))
        .await;
    drain(&venue).await;
    let (from, to) = pair.sides(fault);
    to.expect_end().await;
    let (code, reason) = match fault {
        Speaker::Client => (4012, "moving on"),
        Speaker::Backend => (1001, ""),
    };
    from.expect_close(fault.other(), code, reason).await;
    from.expect_end().await;
    from.end().await;
    to.end().await;
    expect_closure(&venue, "gateway", Some(code), "drain").await;
}

#[tokio::test]
async fn nothing_follows_the_gateways_close() {
    let venue = draining(Transport::Plain, "1h").await;
    let mut pair = Pair::new(&venue).await;
    drain(&venue).await;
    expect_told(&mut pair).await;
    for speaker in [Speaker::Client, Speaker::Backend] {
        let late = [speaker.text("late"), speaker.frame(PING, b"late")].concat();
        pair.side(speaker).send(late).await;
    }
    pair.answer().await;
    expect_closure(&venue, "gateway", Some(4012), "drain").await;
}

#[tokio::test]
async fn sides_that_do_not_answer_are_reset_at_the_deadline() {
    let venue = draining(Transport::Plain, "200ms").await;
    let mut pair = Pair::new(&venue).await;
    drain(&venue).await;
    expect_told(&mut pair).await;
    assert!(pair.client.is_reset().await, "ended in order");
    assert!(pair.backend.is_reset().await, "ended in order");
    expect_closure(&venue, "gateway", Some(4012), "drain").await;
}

/// It would be reset right behind its 101.
#[tokio::test]
async fn a_session_agreed_after_the_deadline_of_its_drain_is_refused() {
    let arrivals = Arrivals::listen().await;
    let yaml = format!(
        "drain: {{ window: 0s, deadline: 0s }}\n{}",
        arrivals.route()
    );
    let gateway = Gateway::start(&yaml).await;
    let ask = async || {
        let mut client = Wire::connect(gateway.address()).await;
        client.send(Opening::to("/").text()).await;
        client
    };
    let mut open = ask().await;
    let _backend = arrivals.agreed().await;
    assert_eq!(open.head().await.status(), 101);
    let mut late = ask().await;
    let (head, mut backend) = arrivals.met().await;
    gateway.admin("POST", "/drain?backend=one").await;
    // By then the deadline is over.
    open.sent().await;
    agree(&head, &mut backend).await;
    let answer = late.answer().await;
    assert_eq!(answer.status(), 503);
    assert!(answer.value("retry-after").is_some());
    assert_eq!(gateway.line("refused").await["result"], "draining");
}
