//! What sessions cost, and how many there may be.

use wsgate::tunnel::Tunnel;

use crate::harness::{PATIENT, eventually};
use crate::process::Process;
use crate::venue::{Arrivals, Transport, Venue, noise, open};

/// The size is what an idle session costs; TLS stands behind a pointer.
#[test]
fn the_task_of_a_session_is_small() {
    let size = size_of::<Tunnel<(), ()>>();
    assert!(size <= 704, "{size} bytes");
}

#[tokio::test]
async fn the_1025th_session_works() {
    const SESSIONS: usize = 1025;
    let venue = Venue::start(Transport::Plain).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(venue.session().await);
    }
    let active = || venue.gateway.count("wsgate_sessions_active", &[]);
    eventually("all of them count", || active() == 1025.0).await;
    for (number, (client, backend)) in sessions.iter_mut().enumerate() {
        let text = format!("session {number:04}");
        client.send(&text).await;
        assert_eq!(backend.take(text.len()).await, text.as_bytes());
        backend.send(&text).await;
        assert_eq!(client.take(text.len()).await, text.as_bytes());
    }
}

/// After a large message each way, which needed buffers of that size.
#[tokio::test]
async fn an_idle_session_holds_no_buffer() {
    const SESSIONS: usize = 200;
    const BUFFER: usize = 64 << 10;
    let arrivals = Arrivals::listen().await;
    let process = Process::start(&(arrivals.route() + PATIENT)).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(open(process.connect().await, &arrivals).await);
    }
    let before = process.memory();
    let bytes = noise(9, BUFFER);
    for (client, backend) in &mut sessions {
        let ((), up) = tokio::join!(client.send(&bytes), backend.take(BUFFER));
        let ((), down) = tokio::join!(backend.send(&bytes), client.take(BUFFER));
        assert!(up == bytes && down == bytes);
    }
    let grown = process.memory().saturating_sub(before);
    assert!(grown < SESSIONS * BUFFER / 4, "{grown} bytes more");
}
