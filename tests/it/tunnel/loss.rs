//! Sides that vanish: the other one learns of it at once, and nothing is left behind.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::harness::{CLOSE, Speaker, Wire, eventually};
use crate::venue::{Side, Transport, Venue, reset};

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

/// A machine that is slower than that shows it in another session.
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
    backend.send(Speaker::Backend.text("last words")).await;
    assert!(client.take(12).await.ends_with(b"last words"));
    client.send(Speaker::Client.text("nobody reads this")).await;
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
    let without = |speaker: Speaker| speaker.frame(CLOSE, b"");
    let venue = Venue::start(Transport::Plain).await;
    let (mut client, mut backend) = venue.session().await;
    backend.send(without(Speaker::Backend)).await;
    assert_eq!(client.frame().await.close_code(), None);
    client.send(without(Speaker::Client)).await;
    assert_eq!(backend.frame().await.close_code(), None);
    backend.expect_end().await;
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

/// Sees the Close that tells `side` of the loss of the other one, or of an end.
pub(super) async fn learns<S: AsyncRead + AsyncWrite + Unpin>(side: &mut Wire<S>, code: u16) {
    assert_eq!(side.frame().await.close_code(), Some(code));
}

pub(super) async fn expect_lost(venue: &Venue, initiator: &str) {
    let line = venue.gateway.line("close").await;
    assert_eq!(line["close_initiator"], initiator, "{line}");
    assert_eq!(line["close_reason"], "lost", "{line}");
}
