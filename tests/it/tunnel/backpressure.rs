//! What one side does not take is not read from the other, and nothing of it is lost.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{eventually, send_until_stalled, soon};
use crate::venue::{Duplex, Transport, Venue, reset};

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
    let sent = send_until_stalled(&mut sender, numbered_from).await;
    let ending = async { sender.shutdown().await.expect("the session is open") };
    let ((), received) = soon("all that was sent", async {
        tokio::join!(ending, read_to_the_end(&mut reader))
    })
    .await;
    assert_eq!(received, sent);
}

/// Each chunk says its number, over and over.
fn numbered_from(place: usize) -> Vec<u8> {
    vec![number_at(place); CHUNK - place % CHUNK]
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
    let more = "defaults: { timeouts: { close: 100ms, half_close: 100ms } }\n";
    let venue = Venue::start_with(Transport::Plain, more).await;
    let (client, _backend) = venue.session().await;
    let mut client = client.into_stream();
    send_until_stalled(&mut client, numbered_from).await;
    reset(&client);
    drop(client);
    let active = || venue.gateway.count("wsgate_sessions_active", &[]);
    eventually("the session ends", || active() == 0.0).await;
}
