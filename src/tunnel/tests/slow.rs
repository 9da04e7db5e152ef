//! Sides that are slow to read, or do not read at all, when a session ends.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::super::End;
use super::super::ending::Ending;
use super::super::terms::Terms;
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
        let (mut client, to_client) = slow_pair(4096).await;
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
        let is_over = |received: &[u8]| {
            received.ends_with(b"service restart")
                || received.ends_with(&close(Side::Backend, 1000))
        };
        let received = read_slowly(&mut client, is_over).await;
        let told = received.strip_prefix(&sent[..]).expect("all that was sent");
        assert!(closes || told.ends_with(b"service restart"), "{told:?}");
        drop((client, backend));
        session.await.unwrap();
    }
}

/// The terms of a session that is too old at once, and whose Close has two seconds.
fn soon_too_old() -> Terms {
    let mut terms = terms();
    terms.close = Duration::from_secs(2);
    terms.websocket.max_age = Some(Duration::from_millis(100));
    terms
}

/// Nothing comes of its frame meanwhile, and all that did is in the kernel.
#[tokio::test]
async fn a_frame_has_more_time_while_the_kernel_hands_it_over() {
    let (mut client, to_client) = slow_pair(4096).await;
    let (mut backend, to_backend) = pair(256 << 10);
    let terms = soon_too_old();
    let session = tunnel(
        [to_client, to_backend],
        terms,
        &Drain::default(),
        record(io::sink()).0,
    );
    let session = tokio::spawn(session);
    let sent = frame(Side::Backend, TEXT, &[b'x'; 60_000]);
    let (most, rest) = sent.split_at(sent.len() - 10);
    backend.write_all(most).await.unwrap();
    let is_most = |received: &[u8]| received.len() >= most.len() - 5000;
    let mut received = read_slowly(&mut client, is_most).await;
    backend.write_all(rest).await.unwrap();
    let is_over = |received: &[u8]| received.ends_with(b"session too old");
    received.extend(read_slowly(&mut client, is_over).await);
    assert!(received.starts_with(&sent), "{}", received.len());
    drop((client, backend));
    session.await.unwrap();
}

#[tokio::test]
async fn a_frame_has_no_more_time_where_nothing_moves() {
    let (client, to_client) = slow_pair(4096).await;
    let (mut backend, to_backend) = pair(256 << 10);
    let terms = soon_too_old();
    let close = terms.close;
    let ends = [to_client, to_backend];
    let session = tunnel(ends, terms, &Drain::default(), record(io::sink()).0);
    let sent = frame(Side::Backend, TEXT, &[b'x'; 60_000]);
    backend.write_all(&sent[..50_000]).await.unwrap();
    assert!(time_of(session).await < close * 2);
    drop(client);
}

/// What its kernel acknowledges is the Close itself.
#[tokio::test]
async fn a_side_that_does_not_answer_its_close_has_its_time_once() {
    let [(client, to_client), (backend, to_backend)] =
        [slow_pair(4096).await, slow_pair(4096).await];
    // As for a peer that has been talking: it acknowledges after the first look at it.
    client.set_quickack(false).unwrap();
    backend.set_quickack(false).unwrap();
    let terms = soon_too_old();
    let close = terms.close;
    let ends = [to_client, to_backend];
    let session = tunnel(ends, terms, &Drain::default(), record(io::sink()).0);
    let time = time_of(session).await;
    assert!(close <= time && time < close * 2, "{time:?}");
    drop((client, backend));
}

/// The client reads on, but nothing that it gets matters any more.
#[tokio::test]
async fn a_side_that_was_given_up_is_not_waited_for() {
    let [(mut client, to_client), (mut backend, to_backend)] =
        [slow_pair(4096).await, slow_pair(4096).await];
    let mut terms = terms();
    let close = Duration::from_secs(2);
    terms.close = close;
    let ends = [to_client, to_backend];
    let mut session = tunnel(ends, terms, &Drain::default(), record(io::sink()).0);
    let waiting = frame(Side::Backend, TEXT, &[b'x'; 1000]).repeat(100);
    backend.write_all(&waiting).await.unwrap();
    let passing = timeout(Duration::from_millis(200), &mut session);
    assert!(passing.await.is_err(), "nothing has ended it");
    session.leave(Ending::PongOverdue(Side::Client));
    let reading = tokio::spawn(async move {
        let mut part = [0; 1000];
        while client.read(&mut part).await.is_ok_and(|count| count > 0) {
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(time_of(session).await < close * 2);
    reading.await.unwrap();
    drop(backend);
}

/// Its Close may be answered behind what the backend still sends; as much of that waits as before.
#[tokio::test]
async fn a_client_that_reads_steadily_gets_what_comes_after_its_close() {
    let (mut client, to_client) = slow_pair(32 << 10).await;
    let (mut backend, to_backend) = slow_pair(4096).await;
    let mut terms = terms();
    terms.half_close = Duration::from_millis(1500);
    let ends = [to_client, to_backend];
    let session = tunnel(ends, terms, &Drain::default(), record(io::sink()).0);
    let session = tokio::spawn(session);
    let message = frame(Side::Backend, TEXT, &[b'x'; 996]);
    let sending = tokio::spawn(async move {
        backend.write_all(&message.repeat(150)).await.unwrap();
        for _ in 0..60 {
            sleep(Duration::from_millis(50)).await;
            backend.write_all(&message.repeat(5)).await.unwrap();
        }
        let last = close(Side::Backend, 1000);
        backend.write_all(&last).await.unwrap();
        backend
    });
    client.write_all(&close(Side::Client, 1000)).await.unwrap();
    let mut received = Vec::new();
    let mut part = [0; 4000];
    while !received.ends_with(&close(Side::Backend, 1000)) {
        let count = timeout(PATIENCE, client.read(&mut part)).await;
        let count = count.expect("more comes").expect("no reset");
        assert!(count > 0, "ended after {} bytes", received.len());
        received.extend(&part[..count]);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(received.len(), 450 * 1000 + 4);
    drop((client, sending.await));
    session.await.unwrap();
}

/// How long `session` takes.
async fn time_of(session: impl Future<Output = ()>) -> Duration {
    let begun = Instant::now();
    timeout(PATIENCE, session).await.expect("it ends");
    begun.elapsed()
}

/// A peer that has little room, and the end of the tunnel.
async fn slow_pair(room: u32) -> (TcpStream, End<'static>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(room).unwrap();
    let address = listener.local_addr().unwrap();
    let (client, ours) = tokio::join!(client.connect(address), listener.accept());
    let stream = Stream::Plain(Socket::Tcp(ours.unwrap().0.into()));
    (client.unwrap(), End { stream, early: &[] })
}

/// Reads until it `is_over`, and says something now and then: that resets it once the tunnel has closed its socket.
async fn read_slowly(client: &mut TcpStream, is_over: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut received = Vec::new();
    let mut part = [0; 1000];
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
