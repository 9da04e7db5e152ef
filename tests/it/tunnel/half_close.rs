//! The end of one sending half passes on, and the other direction lives on.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::harness::{Speaker, Wire, eventually};
use crate::venue::{Transport, Venue, noise};

const LENGTH: usize = 4 << 20;

#[tokio::test]
async fn all_that_the_backend_sends_arrives_after_the_clients_end_over_ws() {
    let venue = Venue::start(Transport::Plain).await;
    let (client, backend) = venue.session().await;
    all_arrives_after_the_end(client, backend).await;
}

#[tokio::test]
async fn all_that_the_backend_sends_arrives_after_the_clients_end_over_wss() {
    let venue = Venue::start(Transport::Tls).await;
    let (client, backend) = venue.session().await;
    all_arrives_after_the_end(client, backend).await;
}

#[tokio::test]
async fn all_that_the_client_sends_arrives_after_the_backends_end_over_ws() {
    let venue = Venue::start(Transport::Plain).await;
    let (client, backend) = venue.session().await;
    all_arrives_after_the_end(backend, client).await;
}

#[tokio::test]
async fn all_that_the_client_sends_arrives_after_the_backends_end_over_wss() {
    let venue = Venue::start(Transport::Tls).await;
    let (client, backend) = venue.session().await;
    all_arrives_after_the_end(backend, client).await;
}

/// `first` says something and ends; `last` hears both, and then sends a lot.
async fn all_arrives_after_the_end<A, B>(mut first: Wire<A>, mut last: Wire<B>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let words = noise(7, 100_000);
    first.send(&words).await;
    first.end().await;
    assert!(
        last.rest().await == words,
        "not what was sent before the end"
    );
    let bytes = noise(8, LENGTH);
    let sending = async {
        last.send(&bytes).await;
        last.end().await;
    };
    let ((), got) = tokio::join!(sending, first.rest());
    assert!(got == bytes, "not what was sent after the end");
}

#[tokio::test]
async fn an_end_passes_on_at_once() {
    let venue = Venue::start(Transport::Plain).await;
    let (mut client, mut backend) = venue.session().await;
    client.end().await;
    backend.rest().await;
    let (mut client, mut backend) = venue.session().await;
    backend.end().await;
    assert_eq!(client.frame().await.close_code(), Some(1014));
    client.send(Speaker::Client.close(1014, "")).await;
    client.rest().await;
}

#[tokio::test]
async fn a_session_that_both_sides_ended_is_over() {
    let venue = Venue::start(Transport::Plain).await;
    let (mut client, mut backend) = venue.session().await;
    backend.send(Speaker::Backend.close(1000, "")).await;
    backend.end().await;
    assert_eq!(client.frame().await.close_code(), Some(1000));
    client.expect_end().await;
    client.send(Speaker::Client.close(1000, "")).await;
    client.end().await;
    assert_eq!(backend.frame().await.close_code(), Some(1000));
    backend.expect_end().await;
    let line = venue.gateway.line("close").await;
    assert_eq!(line["close_initiator"], "backend", "{line}");
    assert_eq!(line["close_reason"], "finished", "{line}");
}

/// Tornado, for one, closes at an end that comes with a Close, and answers nothing.
#[tokio::test]
async fn a_backend_answers_a_close_before_it_sees_the_clients_end() {
    let venue = Venue::start(Transport::Plain).await;
    let (mut client, mut backend) = venue.session().await;
    client.send(Speaker::Client.close(1000, "")).await;
    client.end().await;
    assert_eq!(backend.frame().await.close_code(), Some(1000));
    let early = timeout(Duration::from_millis(300), backend.gone()).await;
    assert!(early.is_err(), "the end came before the answer");
    backend.send(Speaker::Backend.close(1000, "")).await;
    assert_eq!(client.frame().await.close_code(), Some(1000));
    client.expect_end().await;
    backend.gone().await;
    let line = venue.gateway.line("close").await;
    assert_eq!(line["close_initiator"], "client", "{line}");
    assert_eq!(line["close_reason"], "finished", "{line}");
}

#[tokio::test]
async fn a_side_that_does_not_follow_is_ended_at_the_deadline() {
    let more = "defaults: { timeouts: { half_close: 100ms, close: 100ms } }\n";
    let venue = Venue::start_with(Transport::Plain, more).await;
    let (mut client, mut backend) = venue.session().await;
    client.end().await;
    backend.gone().await;
    client.gone().await;
    let active = || venue.gateway.count("wsgate_sessions_active", &[]);
    eventually("no session is left", || active() == 0.0).await;
}
