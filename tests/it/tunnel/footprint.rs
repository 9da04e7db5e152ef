//! What sessions cost, and how many there may be.

use wsgate::tunnel::Tunnel;

use crate::venue::{Transport, Venue};

/// The size is what an idle session costs; TLS stands behind a pointer.
#[test]
fn the_task_of_a_session_is_small() {
    let size = size_of::<Tunnel<()>>();
    assert!(size <= 512, "{size} bytes");
}

#[tokio::test]
async fn the_1025th_session_works() {
    const SESSIONS: usize = 1025;
    let venue = Venue::start(Transport::Plain).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(venue.session().await);
    }
    let active = venue.gateway.count("wsgate_sessions_active", &[]);
    assert_eq!(active, 1025.0);
    for (number, (client, backend)) in sessions.iter_mut().enumerate() {
        let text = format!("session {number:04}");
        client.send(&text).await;
        assert_eq!(backend.take(text.len()).await, text.as_bytes());
        backend.send(&text).await;
        assert_eq!(client.take(text.len()).await, text.as_bytes());
    }
}
