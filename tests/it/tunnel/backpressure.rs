//! What one side does not take is not read from the other, and nothing of it is lost.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::harness::{eventually, soon};
use crate::venue::{Duplex, Transport, Venue, reset};

/// Far beyond what the buffers of four sockets can grow to.
const ATTEMPT: usize = 256 << 20;
/// What these buffers and those of the gateway may hold together.
const BOUND: usize = 64 << 20;
/// So long without progress is a stall.
const STALL: Duration = Duration::from_millis(500);
const CHUNK: usize = 64 << 10;

#[tokio::test]
async fn a_backend_is_slowed_by_a_client_that_stops_reading_over_ws() {
    let venue = Venue::start(Transport::Plain).await;
    let (client, backend) = venue.session().await;
    the_sender_is_slowed(backend.into_stream(), client.into_stream()).await;
}

#[tokio::test]
async fn a_backend_is_slowed_by_a_client_that_stops_reading_over_wss() {
    let venue = Venue::start(Transport::Tls).await;
    let (client, backend) = venue.session().await;
    the_sender_is_slowed(backend.into_stream(), client.into_stream()).await;
}

#[tokio::test]
async fn a_client_is_slowed_by_a_backend_that_stops_reading() {
    let venue = Venue::start(Transport::Plain).await;
    let (client, backend) = venue.session().await;
    the_sender_is_slowed(client.into_stream(), backend.into_stream()).await;
}

pub(super) async fn the_sender_is_slowed(mut sender: impl Duplex, mut reader: impl Duplex) {
    let sent = send_until_stalled(&mut sender).await;
    assert!(sent < BOUND, "{sent} bytes were taken");
    let ending = async { sender.shutdown().await.expect("the session is open") };
    let ((), received) = soon("all that was sent", async {
        tokio::join!(ending, read_to_the_end(&mut reader))
    })
    .await;
    assert_eq!(received, sent);
}

/// Returns how many bytes were taken. Each chunk says its number, over and over.
async fn send_until_stalled(sender: &mut impl Duplex) -> usize {
    let mut sent = 0;
    while sent < ATTEMPT {
        let bytes = [number_at(sent); CHUNK];
        match timeout(STALL, sender.write(&bytes[sent % CHUNK..])).await {
            Ok(count) => sent += count.expect("the session is open"),
            Err(_) => break,
        }
    }
    sent
}

async fn read_to_the_end(reader: &mut impl Duplex) -> usize {
    let mut received = 0;
    let mut bytes = vec![0; CHUNK];
    loop {
        let count = reader.read(&mut bytes).await.expect("the session is open");
        if count == 0 {
            return received;
        }
        let is_right = |(place, byte): (usize, &u8)| *byte == number_at(received + place);
        assert!(
            bytes[..count].iter().enumerate().all(is_right),
            "other bytes"
        );
        received += count;
    }
}

fn number_at(place: usize) -> u8 {
    u8::try_from(place / CHUNK % 251).expect("less than 251")
}

#[tokio::test]
async fn a_reset_is_noticed_although_the_other_side_takes_nothing() {
    let more = "defaults: { timeouts: { close: 100ms } }\n";
    let venue = Venue::start_with(Transport::Plain, more).await;
    let (client, _backend) = venue.session().await;
    let mut client = client.into_stream();
    assert!(send_until_stalled(&mut client).await < BOUND);
    reset(&client);
    drop(client);
    let active = || venue.gateway.count("wsgate_sessions_active", &[]);
    eventually("the session ends", || active() == 0.0).await;
}
