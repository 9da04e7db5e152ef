//! A side that is gone without a Close: the other one is told.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::{Pair, expect_closure, patient};
use crate::harness::{Opening, Speaker, TEXT, TEXT_BEGUN};
use crate::venue::{Transport, Venue, agree, reset};

#[derive(Clone, Copy)]
enum Way {
    End,
    Reset,
}

/// What the other side is told of the loss.
fn words(lost: Speaker) -> (u16, &'static str) {
    match lost {
        Speaker::Client => (1001, ""),
        Speaker::Backend => (1014, "backend lost"),
    }
}

#[tokio::test]
async fn a_backend_that_ends_is_told_to_the_client_over_ws() {
    a_loss_is_told(Transport::Plain, Speaker::Backend, Way::End).await;
}

#[tokio::test]
async fn a_backend_that_ends_is_told_to_the_client_over_wss() {
    a_loss_is_told(Transport::Tls, Speaker::Backend, Way::End).await;
}

#[tokio::test]
async fn a_backend_that_is_reset_is_told_to_the_client_over_ws() {
    a_loss_is_told(Transport::Plain, Speaker::Backend, Way::Reset).await;
}

#[tokio::test]
async fn a_backend_that_is_reset_is_told_to_the_client_over_wss() {
    a_loss_is_told(Transport::Tls, Speaker::Backend, Way::Reset).await;
}

#[tokio::test]
async fn a_client_that_ends_is_told_to_the_backend_over_ws() {
    a_loss_is_told(Transport::Plain, Speaker::Client, Way::End).await;
}

#[tokio::test]
async fn a_client_that_ends_is_told_to_the_backend_over_wss() {
    a_loss_is_told(Transport::Tls, Speaker::Client, Way::End).await;
}

#[tokio::test]
async fn a_client_that_is_reset_is_told_to_the_backend_over_ws() {
    a_loss_is_told(Transport::Plain, Speaker::Client, Way::Reset).await;
}

#[tokio::test]
async fn a_client_that_is_reset_is_told_to_the_backend_over_wss() {
    a_loss_is_told(Transport::Tls, Speaker::Client, Way::Reset).await;
}

/// In the middle of a message, but between two of its frames.
async fn a_loss_is_told(transport: Transport, lost: Speaker, way: Way) {
    let venue = patient(transport).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(lost, &lost.frame(TEXT_BEGUN, b"begun")).await;
    let (code, reason) = words(lost);
    let Pair { client, backend } = pair;
    let (mut gone, mut told) = match lost {
        Speaker::Client => (client, backend),
        Speaker::Backend => (backend, client),
    };
    let mut kept = None;
    match way {
        Way::End => {
            gone.end().await;
            kept = Some(gone);
        }
        Way::Reset => reset(&*gone.into_stream()),
    }
    told.expect_close(lost, code, reason).await;
    let answering = lost.other();
    told.send(answering.close(1000, "")).await;
    told.expect_end().await;
    told.end().await;
    drop(kept);
    expect_closure(&venue, lost.label(), Some(code), "lost").await;
}

/// aiohttp, for one, takes an end under TLS that comes with a Close for a loss, and forgets the Close.
#[tokio::test]
async fn a_client_answers_a_close_before_it_sees_the_end() {
    for way in ["answers", "ends", "resets"] {
        let venue = patient(Transport::Tls).await;
        let mut pair = Pair::new(&venue).await;
        pair.backend.end().await;
        let client = &mut pair.client;
        client
            .expect_close(Speaker::Backend, 1014, "backend lost")
            .await;
        let early = timeout(Duration::from_millis(300), client.gone()).await;
        assert!(early.is_err(), "the end came before the answer");
        match way {
            "answers" => client.send(Speaker::Client.close(1014, "")).await,
            "ends" => client.end().await,
            _ => {
                let stream = pair.client.into_stream();
                reset(&*stream);
                drop(stream);
                expect_closure(&venue, "backend", Some(1014), "lost").await;
                continue;
            }
        }
        client.expect_end().await;
        client.end().await;
        expect_closure(&venue, "backend", Some(1014), "lost").await;
    }
}

/// As after any Close of the gateway's own.
#[tokio::test]
async fn a_client_that_answers_nothing_is_waited_for_as_long_as_for_any_close() {
    let times = "defaults: { timeouts: { close: 200ms, half_close: 1h } }\n";
    let venue = Venue::start_with(Transport::Plain, times).await;
    let Pair {
        mut client,
        mut backend,
    } = Pair::new(&venue).await;
    backend.end().await;
    client
        .expect_close(Speaker::Backend, 1014, "backend lost")
        .await;
    client.gone().await;
    expect_closure(&venue, "backend", Some(1014), "lost").await;
}

/// It takes nothing of what the client had under way, and the client's answer is heard all the same.
#[tokio::test]
async fn a_client_is_ended_soon_that_still_sends_to_a_backend_that_is_gone() {
    for answers in [true, false] {
        let venue = patient(Transport::Plain).await;
        let Pair {
            mut client,
            backend,
        } = Pair::new(&venue).await;
        drop(backend);
        client
            .expect_close(Speaker::Backend, 1014, "backend lost")
            .await;
        // Each by itself, so that the first finds nobody.
        for _ in 0..5 {
            client.send(Speaker::Client.text("under way")).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if answers {
            client.send(Speaker::Client.close(1014, "")).await;
        }
        client.expect_end().await;
        client.end().await;
        expect_closure(&venue, "backend", Some(1014), "lost").await;
    }
}

/// Its answer would reach nobody.
#[tokio::test]
async fn a_side_that_does_not_answer_is_ended_soon_where_the_other_was_reset() {
    for lost in [Speaker::Client, Speaker::Backend] {
        let venue = patient(Transport::Plain).await;
        let Pair { client, backend } = Pair::new(&venue).await;
        let (gone, mut told) = match lost {
            Speaker::Client => (client, backend),
            Speaker::Backend => (backend, client),
        };
        reset(&*gone.into_stream());
        let (code, reason) = words(lost);
        told.expect_close(lost, code, reason).await;
        told.expect_end().await;
        expect_closure(&venue, lost.label(), Some(code), "lost").await;
    }
}

/// With a frame behind its head hyper reads no further, so only the answer finds it gone.
#[tokio::test]
async fn a_client_that_is_reset_before_its_101_is_lost_like_any_other() {
    let venue = patient(Transport::Plain).await;
    let mut client = venue.connect().await;
    let early = Speaker::Client.text("early");
    let opening = Opening::to("/").text();
    client.send([opening.as_bytes(), &early].concat()).await;
    let (head, mut backend) = venue.arrivals.met().await;
    reset(&*client.into_stream());
    agree(&head, &mut backend).await;
    backend.expect(&early).await;
    backend.expect_close(Speaker::Client, 1001, "").await;
    backend.send(Speaker::Backend.close(1001, "")).await;
    backend.expect_end().await;
    backend.end().await;
    expect_closure(&venue, "client", Some(1001), "lost").await;
}

/// What the backend still says to a client that is gone does not hold the session up.
#[tokio::test]
async fn a_client_that_is_reset_after_its_close_is_waited_for_no_longer() {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    pair.passes(Speaker::Client, &Speaker::Client.close(1000, "bye"))
        .await;
    let mut backend = pair.reset_client();
    // Each by itself, so that the first finds nobody before the Close comes.
    for _ in 0..10 {
        backend.send(Speaker::Backend.text("too late")).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    backend.send(Speaker::Backend.close(1000, "")).await;
    backend.expect_end().await;
    backend.end().await;
    expect_closure(&venue, "client", Some(1000), "finished").await;
}

#[tokio::test]
async fn a_backend_that_ends_within_a_frame_leaves_no_place_for_a_close() {
    a_loss_within_a_frame_is_an_end(Speaker::Backend, Way::End).await;
}

#[tokio::test]
async fn a_client_that_ends_within_a_frame_leaves_no_place_for_a_close() {
    a_loss_within_a_frame_is_an_end(Speaker::Client, Way::End).await;
}

#[tokio::test]
async fn a_backend_that_is_reset_within_a_frame_leaves_no_place_for_a_close() {
    a_loss_within_a_frame_is_an_end(Speaker::Backend, Way::Reset).await;
}

#[tokio::test]
async fn a_client_that_is_reset_within_a_frame_leaves_no_place_for_a_close() {
    a_loss_within_a_frame_is_an_end(Speaker::Client, Way::Reset).await;
}

async fn a_loss_within_a_frame_is_an_end(lost: Speaker, way: Way) {
    let venue = patient(Transport::Plain).await;
    let mut pair = Pair::new(&venue).await;
    let half = [&lost.header(TEXT, 100)[..], b"half"].concat();
    pair.passes(lost, &half).await;
    let Pair { client, backend } = pair;
    let (mut gone, mut told) = match lost {
        Speaker::Client => (client, backend),
        Speaker::Backend => (backend, client),
    };
    let mut kept = None;
    match way {
        Way::End => {
            gone.end().await;
            kept = Some(gone);
        }
        Way::Reset => reset(&*gone.into_stream()),
    }
    told.expect_end().await;
    told.end().await;
    if let Some(mut gone) = kept {
        gone.gone().await;
    }
    expect_closure(&venue, lost.label(), None, "lost").await;
}

/// Some libraries take 1014 for a broken frame.
#[tokio::test]
async fn the_loss_of_a_backend_is_told_as_the_route_says() {
    for code in [1011, 0] {
        let keys = format!("defaults: {{ websocket: {{ backend_lost_code: {code} }} }}\n");
        let venue = Venue::start_with(Transport::Plain, &keys).await;
        let (mut client, backend) = venue.session().await;
        backend.reset();
        let told = (code != 0).then_some(code);
        match told {
            Some(code) => {
                client
                    .expect_close(Speaker::Backend, code, "backend lost")
                    .await
            }
            None => client.expect_end().await,
        }
        drop(client);
        let line = venue.gateway.line("close").await;
        let recorded = told.map_or(Value::Null, Value::from);
        assert_eq!(
            (&line["close_code"], &line["close_reason"]),
            (&recorded, &"lost".into())
        );
        venue.gateway.stop().await;
    }
}

/// A crash ends all sessions of a backend between two scrapes: a series that is born then shows no rate.
#[tokio::test]
async fn endings_with_codes_of_the_configuration_are_counted_from_the_start() {
    for (code, label) in [(1011, "1011"), (0, "none")] {
        let keys = format!(
            "defaults: {{ websocket: {{ backend_lost_code: {code} }} }}\ndrain: {{ close_code: 4012 }}\n"
        );
        let venue = Venue::start_with(Transport::Plain, &keys).await;
        for [initiator, code, reason] in [
            ["backend", label, "lost"],
            ["backend", label, "pong_overdue"],
            ["gateway", "4xxx", "drain"],
        ] {
            let labels = [("initiator", initiator), ("code", code), ("reason", reason)];
            let closed = venue.gateway.count("wsgate_sessions_closed_total", &labels);
            assert_eq!(closed, 0.0, "{labels:?}");
        }
        venue.gateway.stop().await;
    }
}
