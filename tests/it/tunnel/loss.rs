//! Sides that vanish: the other one learns of it at once, and nothing is left behind.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::harness::{Wire, eventually};
use crate::venue::{Side, Transport, Venue, close_code, masked, reset, text};

#[tokio::test]
async fn a_reset_of_the_client_ends_the_backend_over_ws() {
    a_reset_of_the_client_ends_the_backend(Transport::Plain).await;
}

#[tokio::test]
async fn a_reset_of_the_client_ends_the_backend_over_wss() {
    a_reset_of_the_client_ends_the_backend(Transport::Tls).await;
}

async fn a_reset_of_the_client_ends_the_backend(transport: Transport) {
    let venue = Venue::start(transport).await;
    let (client, mut backend) = venue.session().await;
    let client = client.into_stream();
    reset(&*client);
    drop(client);
    learns(&mut backend, 1001).await;
    drop(backend);
    expect_lost(&venue, "client").await;
}

#[tokio::test]
async fn a_reset_of_the_backend_ends_the_client_over_ws() {
    a_reset_of_the_backend_ends_the_client(Transport::Plain).await;
}

#[tokio::test]
async fn a_reset_of_the_backend_ends_the_client_over_wss() {
    a_reset_of_the_backend_ends_the_client(Transport::Tls).await;
}

async fn a_reset_of_the_backend_ends_the_client(transport: Transport) {
    let venue = Venue::start(transport).await;
    let (mut client, backend) = venue.session().await;
    backend.reset();
    learns(&mut client, 1014).await;
    drop(client);
    expect_lost(&venue, "backend").await;
}

/// Trap 15. A machine that is slower than that shows it in another session.
#[tokio::test]
async fn a_reset_ends_the_other_side_within_a_second() {
    let venue = Venue::start(Transport::Plain).await;
    for _ in 0..5 {
        let (client, mut backend) = venue.session().await;
        let begun = Instant::now();
        reset(&*client.into_stream());
        learns(&mut backend, 1001).await;
        if begun.elapsed() < Duration::from_secs(1) {
            return;
        }
    }
    panic!("it takes longer");
}

#[tokio::test]
async fn what_was_sent_before_a_reset_of_the_other_side_still_arrives() {
    let venue = Venue::start(Transport::Plain).await;
    let (mut client, mut backend) = venue.session().await;
    backend.send(text("last words")).await;
    assert!(client.take(12).await.ends_with(b"last words"));
    client.send(masked(text("nobody reads this"))).await;
    backend.reset();
    learns(&mut client, 1014).await;
}

#[tokio::test]
async fn an_end_of_tls_without_close_notify_counts_as_lost() {
    let venue = Venue::start(Transport::Tls).await;
    let (client, mut backend) = venue.session().await;
    let client: Side = client.into_stream();
    let socket = SockRef::from(client.socket());
    socket
        .shutdown(std::net::Shutdown::Write)
        .expect("the socket is open");
    learns(&mut backend, 1001).await;
    drop((client, backend));
    expect_lost(&venue, "client").await;
}

/// 1005, 1006 and 1015 are for those who watch, not for the wire (RFC 6455 section 7.4.1). What a lost side
/// is told in their place is seen above.
#[tokio::test]
async fn no_code_is_made_up_for_a_close_without_one() {
    const CLOSE: [u8; 2] = [0x88, 0];
    let venue = Venue::start(Transport::Plain).await;
    let (mut client, mut backend) = venue.session().await;
    backend.send(CLOSE).await;
    assert_eq!(client.take(2).await, CLOSE);
    client.send(masked(CLOSE.into())).await;
    assert_eq!(close_code(&backend.rest().await), None);
    assert!(client.rest().await.is_empty(), "words after the last words");
    let line = venue.gateway.line("close").await;
    assert_eq!(line["close_code"], serde_json::Value::Null, "{line}");
}

#[tokio::test]
async fn sessions_that_break_leave_nothing_behind() {
    let venue = Venue::start(Transport::Plain).await;
    for round in 0..20 {
        let (mut client, mut backend) = venue.session().await;
        client.send("bytes on their way").await;
        backend.send("bytes on their way").await;
        match round % 2 {
            0 => reset(&*client.into_stream()),
            _ => backend.reset(),
        }
    }
    let gauges = ["wsgate_sessions_active", "wsgate_backend_sessions_active"];
    let all_zero = || {
        gauges
            .iter()
            .all(|gauge| venue.gateway.count(gauge, &[]) == 0.0)
    };
    eventually("no session is left", all_zero).await;
}

/// Sees the Close that tells `side` of the loss of the other one, or an end.
pub(super) async fn learns<S: AsyncRead + AsyncWrite + Unpin>(side: &mut Wire<S>, code: u16) {
    let told = side.take(4).await;
    let is_masked = told[1] & 0x80 != 0;
    let length = usize::from(told[1] & 0x7f) + if is_masked { 4 } else { 0 } - 2;
    let told = [told, side.take(length).await].concat();
    assert_eq!(close_code(&told), Some(code));
}

pub(super) async fn expect_lost(venue: &Venue, initiator: &str) {
    let line = venue.gateway.line("close").await;
    assert_eq!(line["close_initiator"], initiator, "{line}");
    assert_eq!(line["close_reason"], "lost", "{line}");
}
