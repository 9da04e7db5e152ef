//! Bytes arrive as they were sent: all of them, in order, whatever they are cut into.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use crate::harness::{Opening, Wire, soon};
use crate::venue::{Transport, Venue, agreement, noise};

const LENGTH: usize = 3 << 20;

#[tokio::test]
async fn chunks_of_any_size_pass_both_ways_over_ws() {
    chunks_of_any_size_pass_both_ways(Transport::Plain).await;
}

#[tokio::test]
async fn chunks_of_any_size_pass_both_ways_over_wss() {
    chunks_of_any_size_pass_both_ways(Transport::Tls).await;
}

async fn chunks_of_any_size_pass_both_ways(transport: Transport) {
    let venue = Venue::start(transport).await;
    let (client, backend) = venue.session().await;
    let (up, down) = (noise(1, LENGTH), noise(2, LENGTH));
    let (mut client_reads, mut client_writes) = split(client.into_stream());
    let (mut backend_reads, mut backend_writes) = split(backend.into_stream());
    let passing = async {
        tokio::join!(
            write_in_chunks(&mut client_writes, &up, 3),
            write_in_chunks(&mut backend_writes, &down, 4),
            expect(&mut backend_reads, &up),
            expect(&mut client_reads, &down),
        )
    };
    soon("all bytes both ways", passing).await;
}

/// From one byte to more than what the gateway reads at once, most of them small.
async fn write_in_chunks(sink: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8], seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !bytes.is_empty() {
        let most = 1 << random.u32(0..=19);
        let (chunk, rest) = bytes.split_at(random.usize(1..=most).min(bytes.len()));
        sink.write_all(chunk)
            .await
            .expect("the session takes bytes");
        sink.flush().await.expect("the session takes bytes");
        bytes = rest;
    }
}

async fn expect(source: &mut (impl AsyncRead + Unpin), wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    source
        .read_exact(&mut got)
        .await
        .expect("the session is open");
    assert!(got == wanted, "the bytes are other ones than those sent");
}

#[tokio::test]
async fn bytes_in_the_segment_of_a_head_reach_the_other_side_over_ws() {
    bytes_in_the_segment_of_a_head_reach_the_other_side(Transport::Plain).await;
}

#[tokio::test]
async fn bytes_in_the_segment_of_a_head_reach_the_other_side_over_wss() {
    bytes_in_the_segment_of_a_head_reach_the_other_side(Transport::Tls).await;
}

/// They look like HTTP, so that it shows whether anybody parses them.
async fn bytes_in_the_segment_of_a_head_reach_the_other_side(transport: Transport) {
    const EARLY: &str = "GET /early HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let venue = Venue::start(transport).await;
    let mut client = venue.connect().await;
    client.send(Opening::to("/").text() + EARLY).await;
    let mut backend = venue.arrivals.asked().await;
    backend.send(agreement() + ANSWER).await;
    assert_eq!(backend.take(EARLY.len()).await, EARLY.as_bytes());
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(client.take(ANSWER.len()).await, ANSWER.as_bytes());
    pass_both_ways(&mut client, &mut backend).await;
}

#[tokio::test]
async fn many_early_bytes_wait_for_the_backend_to_agree() {
    let venue = Venue::start(Transport::Plain).await;
    let mut client = venue.connect().await;
    client.send(Opening::to("/").text()).await;
    let mut backend = venue.arrivals.asked().await;
    let early = noise(5, 1 << 20);
    let (agreed, got) = tokio::join!(client.send(&early), async {
        backend.send(agreement()).await;
        backend.take(early.len()).await
    });
    assert!(got == early, "the bytes are other ones than those sent");
    let () = agreed;
    assert_eq!(client.head().await.status(), 101);
}

async fn pass_both_ways<A, B>(client: &mut Wire<A>, backend: &mut Wire<B>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    client.send("up").await;
    assert_eq!(backend.take(2).await, b"up");
    backend.send("down").await;
    assert_eq!(client.take(4).await, b"down");
}
