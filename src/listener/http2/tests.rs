//! Connections whose clients send nothing, or are only refused.

use http::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::drain::Drain;
use crate::listener::fixtures::{DAY, client, negotiated};
use crate::session::Rejection;

/// Never answers.
struct Deaf;

impl Handler for Deaf {
    async fn handle(&self, _: Request<Incoming>, _: Arc<Client>) -> Answer {
        std::future::pending().await
    }

    fn refuse(&self, _: Rejection, _: Option<&http::request::Parts>, _: &Client) {}
}

/// Serves the peer of `socket`.
async fn serve(socket: UnixStream) {
    serve_as(&client(None), socket).await;
}

async fn serve_as(client: &Arc<Client>, socket: UnixStream) {
    let drain = Drain::default();
    super::serve(negotiated(socket), client, &drain.watch(), Arc::new(Deaf)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_ended() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&preface()).await.unwrap();
    let begun = Instant::now();
    serve(ours).await;
    let patience = PING_INTERVAL + PING_TIMEOUT;
    let waited = begun.elapsed();
    assert!((patience..patience * 2).contains(&waited), "{waited:?}");
}

/// With the first SETTINGS frame.
fn preface() -> Vec<u8> {
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat()
}

/// It has answered the PING, and goes on sending.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_only_refused_is_left_soon() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    // The opaque data is that of h2.
    let pong = b"\0\0\x08\x06\x01\0\0\0\0\x0B\x7B\xA2\xF0\x8B\x9B\xFE\x54";
    theirs.write_all(&preface()).await.unwrap();
    let sending = async {
        sleep(Duration::from_millis(100)).await;
        theirs.write_all(pong).await.unwrap();
        let update = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        while theirs.write_all(&update).await.is_ok() {
            sleep(SHORT_PAUSE / 2).await;
        }
    };
    let begun = Instant::now();
    let refused = client(Some(Rejection::GatewayFull));
    tokio::join!(serve_as(&refused, ours), sending);
    assert!(begun.elapsed() < LONGEST_END / 4);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_is_not() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (_sender, connection) = tokio::join!(
        async {
            let (sender, connection) = h2::client::handshake(theirs).await.unwrap();
            tokio::spawn(connection);
            sender
        },
        timeout(DAY / 2, serve(ours)),
    );
    assert!(connection.is_err(), "it was ended");
}
