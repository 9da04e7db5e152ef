//! Sides that vanish: the other one learns of it within a second, and nothing is left behind.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::harness::{Wire, eventually};
use crate::venue::{Side, Transport, Venue, reset};

#[tokio::test]
async fn a_reset_of_the_client_ends_the_backend_within_a_second_over_ws() {
    a_reset_of_the_client_ends_the_backend(Transport::Plain).await;
}

#[tokio::test]
async fn a_reset_of_the_client_ends_the_backend_within_a_second_over_wss() {
    a_reset_of_the_client_ends_the_backend(Transport::Tls).await;
}

async fn a_reset_of_the_client_ends_the_backend(transport: Transport) {
    let venue = Venue::start(transport).await;
    let (client, mut backend) = venue.session().await;
    let client = client.into_stream();
    reset(&*client);
    drop(client);
    ends_within_a_second(&mut backend).await;
    drop(backend);
    expect_lost(&venue, "client").await;
}

#[tokio::test]
async fn a_reset_of_the_backend_ends_the_client_within_a_second_over_ws() {
    a_reset_of_the_backend_ends_the_client(Transport::Plain).await;
}

#[tokio::test]
async fn a_reset_of_the_backend_ends_the_client_within_a_second_over_wss() {
    a_reset_of_the_backend_ends_the_client(Transport::Tls).await;
}

async fn a_reset_of_the_backend_ends_the_client(transport: Transport) {
    let venue = Venue::start(transport).await;
    let (mut client, backend) = venue.session().await;
    backend.reset();
    ends_within_a_second(&mut client).await;
    drop(client);
    expect_lost(&venue, "backend").await;
}

#[tokio::test]
async fn what_was_sent_before_a_reset_of_the_other_side_still_arrives() {
    let venue = Venue::start(Transport::Plain).await;
    let (mut client, mut backend) = venue.session().await;
    backend.send("last words").await;
    assert_eq!(client.take(10).await, b"last words");
    client.send("nobody reads this").await;
    backend.reset();
    ends_within_a_second(&mut client).await;
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
    ends_within_a_second(&mut backend).await;
    drop((client, backend));
    expect_lost(&venue, "client").await;
}

#[tokio::test]
async fn no_close_frame_with_a_code_that_must_not_be_sent_goes_out() {
    let venue = Venue::start(Transport::Plain).await;
    let (mut client, backend) = venue.session().await;
    backend.reset();
    expect_no_forbidden_code(&client.rest().await);
    let (client, mut backend) = venue.session().await;
    reset(&*client.into_stream());
    expect_no_forbidden_code(&backend.rest().await);
}

/// 1005, 1006 and 1015 are for those who watch, not for the wire (RFC 6455 section 7.4.1).
fn expect_no_forbidden_code(bytes: &[u8]) {
    let Some((&[0x88, second], payload)) = bytes.split_first_chunk() else {
        return assert!(bytes.is_empty(), "neither nothing nor a Close: {bytes:?}");
    };
    let payload: Vec<u8> = match second & 0x80 {
        0 => payload.into(),
        _ => {
            let (key, masked) = payload.split_first_chunk::<4>().expect("a masking key");
            masked
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key)
                .collect()
        }
    };
    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    assert!(!matches!(code, Some(1005 | 1006 | 1015)), "{code:?}");
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

async fn ends_within_a_second<S: AsyncRead + AsyncWrite + Unpin>(side: &mut Wire<S>) {
    let ended = timeout(Duration::from_secs(1), side.gone()).await;
    assert!(ended.is_ok(), "the other side does not learn of it");
}

async fn expect_lost(venue: &Venue, initiator: &str) {
    let line = venue.gateway.line("close").await;
    assert_eq!(line["close_initiator"], initiator, "{line}");
    assert_eq!(line["close_reason"], "lost", "{line}");
}
