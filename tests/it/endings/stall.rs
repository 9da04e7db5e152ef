//! A side that takes no bytes.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, join, sink, split};

use super::{Pair, expect_closure, with_websocket};
use crate::harness::{BINARY, Speaker, Wire};
use crate::venue::{Side, Transport};

const STALL: &str = "slow_consumer: { stall: 300ms }, ping: { target: none }";

#[tokio::test]
async fn a_client_that_takes_nothing_is_reset_and_the_backend_told_over_ws() {
    a_client_that_takes_nothing_is_reset(Transport::Plain).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_reset_and_the_backend_told_over_wss() {
    a_client_that_takes_nothing_is_reset(Transport::Tls).await;
}

async fn a_client_that_takes_nothing_is_reset(transport: Transport) {
    let venue = with_websocket(transport, STALL).await;
    let Pair {
        mut client,
        backend,
    } = Pair::new(&venue).await;
    let (mut backend, flooding) = flooding(backend, Speaker::Backend);
    backend.expect_close(Speaker::Client, 1001, "").await;
    flooding.abort();
    drop(backend);
    assert!(client.is_reset().await, "ended in order");
    expect_closure(&venue, "gateway", Some(1001), "stalled").await;
}

#[tokio::test]
async fn a_backend_that_takes_nothing_is_reset_and_the_client_told() {
    let venue = with_websocket(Transport::Plain, STALL).await;
    let Pair {
        client,
        mut backend,
    } = Pair::new(&venue).await;
    let (mut client, flooding) = flooding(client, Speaker::Client);
    client
        .expect_close(Speaker::Backend, 1013, "backend too slow")
        .await;
    flooding.abort();
    drop(client);
    assert!(backend.is_reset().await, "ended in order");
    expect_closure(&venue, "gateway", Some(1013), "stalled").await;
}

/// Sends whole frames for as long as they are taken; what comes back is still to be read.
fn flooding(
    side: Wire<Side>,
    speaker: Speaker,
) -> (
    Wire<impl AsyncRead + AsyncWrite + Unpin>,
    tokio::task::JoinHandle<()>,
) {
    let (reads, mut writes) = split(side.into_stream());
    let flooding = tokio::spawn(async move {
        let frame = speaker.frame(BINARY, &vec![1; 256 << 10]);
        while writes.write_all(&frame).await.is_ok() {}
    });
    (Wire::new(join(reads, sink())), flooding)
}
