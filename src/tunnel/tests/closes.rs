//! Who said Close first, where one look at both sides finds all of it.

use std::io::{self, Write};
use std::sync::mpsc::{Sender as Lines, channel};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::super::End;
use super::frames::{TEXT, close, frame};
use super::{record, terms, tunnel};
use crate::drain::Drain;
use crate::stream::{Socket, Stream};
use crate::websocket::Side;

/// A log that hands over what is written.
struct Log(Lines<Vec<u8>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The backend answers the client's Close and ends before it is looked at: it is the client who began.
#[tokio::test]
async fn an_answer_that_is_quick_is_still_an_answer() {
    let [(mut client, to_client), (mut backend, to_backend)] = [pair(), pair()];
    client.write_all(&close(Side::Client, 1000)).await.unwrap();
    backend
        .write_all(&close(Side::Backend, 1000))
        .await
        .unwrap();
    backend.shutdown().await.unwrap();
    let line = closed([client, backend], [to_client, to_backend]).await;
    assert_eq!(line["close_initiator"], "client", "{line}");
    assert_eq!(line["close_reason"], "finished", "{line}");
}

/// What it said last still counts, although a message no longer reaches it.
#[tokio::test]
async fn a_backend_that_says_close_and_breaks_has_said_it() {
    let [(mut client, to_client), (mut backend, to_backend)] = [pair(), pair()];
    client
        .write_all(&frame(Side::Client, TEXT, b"one more"))
        .await
        .unwrap();
    backend
        .write_all(&close(Side::Backend, 1000))
        .await
        .unwrap();
    drop(backend);
    let line = closed([client], [to_client, to_backend]).await;
    assert_eq!(line["close_initiator"], "backend", "{line}");
    assert_eq!(line["close_code"], 1000, "{line}");
    assert_eq!(line["close_reason"], "finished", "{line}");
}

/// What the backend sent last is the beginning of a header: a Close behind it would be read as the rest of that.
#[tokio::test]
async fn no_close_follows_half_a_header() {
    let [(mut client, to_client), (mut backend, to_backend)] = [pair(), pair()];
    let too_big = frame(Side::Client, TEXT, &[b'x'; 2000]);
    client.write_all(&too_big).await.unwrap();
    backend.write_all(&[TEXT, 126]).await.unwrap();
    backend.shutdown().await.unwrap();
    let (record, _flushing) = record(io::sink());
    let mut terms = terms();
    terms.websocket.max_message_size = Some(1000);
    let ends = [to_client, to_backend];
    tokio::spawn(tunnel(ends, terms, &Drain::default(), record));
    let mut received = Vec::new();
    let ended = timeout(Duration::from_secs(30), client.read_to_end(&mut received)).await;
    ended.expect("the session ends").unwrap();
    assert_eq!(received, [TEXT, 126]);
}

/// The frame takes nearly all of its time.
#[tokio::test(start_paused = true)]
async fn the_close_behind_a_frame_has_its_whole_time() {
    let [(mut client, to_client), (mut backend, to_backend)] = [pair(), pair()];
    let mut terms = terms();
    terms.websocket.max_age = Some(Duration::from_secs(1));
    let time = terms.close - Duration::from_millis(100);
    let (log, _lines) = channel();
    let (record, _flushing) = record(Log(log));
    let ends = [to_client, to_backend];
    let session = tokio::spawn(tunnel(ends, terms, &Drain::default(), record));
    let message = frame(Side::Backend, TEXT, b"a frame in two parts");
    let (first, rest) = message.split_at(10);
    backend.write_all(first).await.unwrap();
    sleep(Duration::from_secs(1) + time).await;
    backend.write_all(rest).await.unwrap();
    sleep(time).await;
    for (peer, sender) in [(&mut client, Side::Client), (&mut backend, Side::Backend)] {
        let answer = peer.write_all(&close(sender, 1000)).await;
        answer.expect("it is waited for");
    }
    drop(backend);
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    let told = received.strip_prefix(&message[..]).expect("the frame");
    assert!(told.ends_with(b"session too old"), "{told:?}");
    drop(client);
    session.await.unwrap();
}

/// The line of a session whose peers end when it looks at what they sent.
async fn closed<const N: usize>(
    peers: [UnixStream; N],
    ends: [End<'static>; 2],
) -> serde_json::Value {
    let (log, lines) = channel();
    let (record, flushing) = record(Log(log));
    let tunnel = tunnel(ends, terms(), &Drain::default(), record);
    let ending = tokio::spawn(tunnel);
    drop(peers);
    let ended = timeout(Duration::from_secs(30), ending).await;
    ended.expect("the session ends").expect("no panic");
    drop(flushing);
    let line: Vec<u8> = lines.iter().flatten().collect();
    serde_json::from_slice(&line).unwrap()
}

fn pair() -> (UnixStream, End<'static>) {
    let (peer, ours) = UnixStream::pair().unwrap();
    let stream = Stream::Plain(Socket::Unix(ours));
    (peer, End { stream, early: &[] })
}
