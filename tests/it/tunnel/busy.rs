//! Sessions that have exchanged many small messages: their connections are received from in another way than
//! those of new ones (io_uring), and nothing else about them is different.

use tokio::io::{AsyncRead, AsyncWrite};
use wsgate::server::Outcome;

use super::backpressure::the_sender_is_slowed;
use super::loss::{expect_lost, learns};
use crate::harness::{Speaker, Wire, eventually};
use crate::process::Process;
use crate::venue::{Side, Transport, Venue, noise, reset};

/// More small messages than it takes.
const MESSAGES: usize = 12;
/// Far more than what is received at once of busy connections.
const LARGE: usize = 300 << 10;
const WITHOUT_RING: &str = "runtime: { io_uring: false }\n";

/// What the scenarios below are about, unless the log says that it cannot be had here.
#[tokio::test]
async fn each_worker_has_a_ring_unless_it_is_to_have_none() {
    const WANT: &str = "a worker cannot use io_uring";
    let route = "routes: { fixed: { respond: { status: 200 } } }\n";
    let process = Process::start(&format!("{route}runtime: {{ workers: 2 }}\n")).await;
    let is_told = || process.rings() == 2 || process.log().contains(WANT);
    eventually("rings, or why there are none", is_told).await;
    let process = Process::start(&format!("{route}{WITHOUT_RING}")).await;
    assert_eq!(process.rings(), 0);
    assert!(!process.log().contains(WANT), "nothing is wanting");
}

/// A session that is busy.
async fn busy_session(venue: &Venue) -> (Wire<Side>, Wire) {
    let (mut client, mut backend) = venue.session().await;
    chat(&mut client, &mut backend).await;
    (client, backend)
}

async fn chat(client: &mut Wire<Side>, backend: &mut Wire) {
    for number in 0..MESSAGES {
        let message = format!("message {number:02}");
        passes(backend, client, &Speaker::Backend.text(&message)).await;
        passes(client, backend, &Speaker::Client.text(&message)).await;
    }
}

async fn passes<A, B>(from: &mut Wire<A>, to: &mut Wire<B>, bytes: &[u8])
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let ((), got) = tokio::join!(from.send(bytes), to.take(bytes.len()));
    assert!(got == bytes, "the bytes are other ones than those sent");
}

#[tokio::test]
async fn large_and_small_messages_take_turns_over_ws() {
    large_and_small_messages_take_turns(Transport::Plain, "").await;
}

#[tokio::test]
async fn large_and_small_messages_take_turns_over_wss() {
    large_and_small_messages_take_turns(Transport::Tls, "").await;
}

#[tokio::test]
async fn large_and_small_messages_take_turns_without_io_uring() {
    large_and_small_messages_take_turns(Transport::Plain, WITHOUT_RING).await;
}

async fn large_and_small_messages_take_turns(transport: Transport, more: &str) {
    let venue = Venue::start_with(transport, more).await;
    let (mut client, mut backend) = venue.session().await;
    for round in 0..3 {
        chat(&mut client, &mut backend).await;
        passes(&mut client, &mut backend, &noise(round, LARGE)).await;
        passes(&mut backend, &mut client, &noise(round, LARGE)).await;
    }
}

#[tokio::test]
async fn a_busy_side_is_slowed_by_the_other_over_ws() {
    a_busy_side_is_slowed_by_the_other(Transport::Plain).await;
}

#[tokio::test]
async fn a_busy_side_is_slowed_by_the_other_over_wss() {
    a_busy_side_is_slowed_by_the_other(Transport::Tls).await;
}

async fn a_busy_side_is_slowed_by_the_other(transport: Transport) {
    let venue = Venue::start(transport).await;
    let (client, backend) = busy_session(&venue).await;
    the_sender_is_slowed(backend.into_stream(), client.into_stream()).await;
    let (client, backend) = busy_session(&venue).await;
    the_sender_is_slowed(client.into_stream(), backend.into_stream()).await;
}

#[tokio::test]
async fn the_loss_of_a_busy_side_is_told_to_the_other() {
    let venue = Venue::start(Transport::Plain).await;
    let (client, mut backend) = busy_session(&venue).await;
    reset(&*client.into_stream());
    learns(&mut backend, 1001).await;
    drop(backend);
    expect_lost(&venue, "client").await;

    let venue = Venue::start(Transport::Plain).await;
    let (mut client, backend) = busy_session(&venue).await;
    backend.reset();
    learns(&mut client, 1014).await;
    drop(client);
    expect_lost(&venue, "backend").await;
}

#[tokio::test]
async fn a_stop_ends_busy_sessions_as_others() {
    let more = "drain: { window: 0s, deadline: 1h }\n";
    let mut venue = Venue::start_with(Transport::Plain, more).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(busy_session(&venue).await);
    }
    venue.gateway.stop().await;
    for (client, backend) in &mut sessions {
        learns(client, 1012).await;
        learns(backend, 1001).await;
        client.end().await;
        backend.end().await;
    }
    assert_eq!(venue.gateway.outcome().await, Outcome::Drained);
}

/// Their numbers are used again at once, by the next ones.
#[tokio::test]
async fn busy_sessions_that_break_leave_nothing_behind() {
    let venue = Venue::start(Transport::Plain).await;
    for round in 0..40 {
        let (mut client, mut backend) = busy_session(&venue).await;
        client.send("bytes on their way").await;
        backend.send("bytes on their way").await;
        match round % 2 {
            0 => reset(&*client.into_stream()),
            _ => backend.reset(),
        }
    }
    let active = || venue.gateway.count("wsgate_sessions_active", &[]);
    eventually("no session is left", || active() == 0.0).await;
}
