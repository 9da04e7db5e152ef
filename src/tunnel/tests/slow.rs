//! Sides that are slow to read, or do not read at all, when a session ends.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::frames::{TEXT, close, frame};
use super::loss::pair;
use super::{record, terms, tunnel};
use crate::drain::{Drain, Plan};
use crate::websocket::Side;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// It reads only after it has sent all, so it is told nothing before the gateway has read that.
#[tokio::test]
async fn a_client_that_sends_before_it_reads_is_told_of_a_drain() {
    let [(mut client, to_client), (mut backend, to_backend)] = [pair(4 << 10), pair(256 << 10)];
    let drain = Drain::default();
    let mut terms = terms();
    terms.close = PATIENCE * 2;
    let session = tunnel([to_client, to_backend], terms, &drain, record(io::sink()).0);
    let session = tokio::spawn(session);
    let waiting = frame(Side::Backend, TEXT, &[b'x'; 1000]).repeat(50);
    backend.write_all(&waiting).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    drain.begin(Plan::now(Duration::ZERO));
    sleep(Duration::from_millis(100)).await;
    let sent = frame(Side::Client, TEXT, &[b'x'; 1000]).repeat(400);
    let sending = timeout(PATIENCE, client.write_all(&sent));
    sending.await.expect("the gateway reads it").unwrap();
    client.write_all(&close(Side::Client, 1000)).await.unwrap();
    backend
        .write_all(&close(Side::Backend, 1000))
        .await
        .unwrap();
    let mut received = Vec::new();
    let reading = timeout(PATIENCE, client.read_to_end(&mut received));
    reading.await.expect("the session ends").unwrap();
    let last = &received[waiting.len()..];
    assert!(last.ends_with(b"service restart"), "{last:?}");
    drop(backend);
    session.await.unwrap();
}
