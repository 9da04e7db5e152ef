//! Sides that are slow to read, or do not read at all, when a session ends.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::super::End;
use super::frames::{TEXT, close, frame};
use super::loss::pair;
use super::{record, terms, tunnel};
use crate::drain::{Drain, Plan};
use crate::stream::{Socket, Stream};
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
    // What the gateway had not read from the backend by then is dropped.
    assert!(received.ends_with(b"service restart"), "{}", received.len());
    drop(backend);
    session.await.unwrap();
}

/// All that the client is to get waits in the kernel when the end comes, where no write shows that it takes it.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_what_the_kernel_holds_and_its_close() {
    for closes in [false, true] {
        let (mut client, to_client) = slow_pair().await;
        let (mut backend, to_backend) = pair(256 << 10);
        let drain = Drain::default();
        let mut terms = terms();
        // Reading takes longer than that.
        terms.close = Duration::from_secs(3);
        terms.half_close = Duration::from_secs(3);
        let session = tunnel([to_client, to_backend], terms, &drain, record(io::sink()).0);
        let session = tokio::spawn(session);
        let mut sent = frame(Side::Backend, TEXT, &[b'x'; 1000]).repeat(50);
        if closes {
            sent.extend(close(Side::Backend, 1000));
        }
        backend.write_all(&sent).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        if !closes {
            drain.begin(Plan::now(Duration::ZERO));
        }
        let received = read_slowly(&mut client).await;
        let told = received.strip_prefix(&sent[..]).expect("all that was sent");
        assert!(closes || told.ends_with(b"service restart"), "{told:?}");
        drop((client, backend));
        session.await.unwrap();
    }
}

/// A client that has little room, and the end of the tunnel.
async fn slow_pair() -> (TcpStream, End<'static>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(4096).unwrap();
    let address = listener.local_addr().unwrap();
    let (client, ours) = tokio::join!(client.connect(address), listener.accept());
    let stream = Stream::Plain(Socket::Tcp(ours.unwrap().0.into()));
    (client.unwrap(), End { stream, early: &[] })
}

/// Reads to a Close, and says something now and then: that resets it once the tunnel has closed its socket.
async fn read_slowly(client: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let mut part = [0; 1000];
    let is_over = |received: &[u8]| {
        received.ends_with(b"service restart") || received.ends_with(&close(Side::Backend, 1000))
    };
    while !is_over(&received) {
        let count = timeout(PATIENCE, client.read(&mut part))
            .await
            .expect("more comes");
        let count = count.expect("no reset before the Close");
        assert!(count > 0, "ended after {} bytes", received.len());
        received.extend(&part[..count]);
        if received.len() % 10 == 0 {
            let word = frame(Side::Client, TEXT, b"still here");
            client.write_all(&word).await.expect("no reset");
        }
        sleep(Duration::from_millis(100)).await;
    }
    received
}
