//! A side that breaks while the other one is slow to take what it had sent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::super::{End, Tunnel};
use super::frames::{TEXT, close, frame};
use super::{record, terms, tunnel};
use crate::drain::Drain;
use crate::stream::{SharedStream, Socket, Stream};
use crate::websocket::Side;

/// A side that sends these bytes.
#[derive(Debug)]
struct Scripted {
    sends: Vec<u8>,
    /// Whether its stream ends behind them, and takes nothing.
    is_broken: bool,
    seen: Arc<Mutex<Seen>>,
}

/// What a side got.
#[derive(Debug, Default)]
struct Seen {
    /// Whether it takes what the stream still holds for it.
    takes: bool,
    waker: Option<Waker>,
    has_ended: bool,
    is_reset: bool,
}

/// The backend crashes in the middle of its second message, while the first one still waits in the client's TLS.
#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_what_a_backend_sent_before_it_broke() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let client = Scripted {
        sends: frame(Side::Client, TEXT, b"nobody takes this"),
        is_broken: false,
        seen: Arc::clone(&seen),
    };
    let mut sent = frame(Side::Backend, TEXT, b"whole");
    sent.extend(&frame(Side::Backend, TEXT, b"interrupted")[..5]);
    let backend = Scripted {
        sends: sent,
        is_broken: true,
        seen: Arc::default(),
    };
    let session = tokio::spawn(scripted(client, backend));
    sleep(terms().close + Duration::from_secs(1)).await;
    let waker = {
        let mut seen = seen.lock().unwrap();
        assert!(!seen.is_reset, "there was more time than that");
        seen.takes = true;
        seen.waker.take()
    };
    waker.expect("the tunnel waits for the client").wake();
    session.await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.has_ended && !seen.is_reset, "{seen:?}");
}

/// It is not read from when it is reset, because the slow side is full.
#[tokio::test]
async fn a_slow_side_gets_all_that_the_other_sent_before_it_was_reset() {
    for sender in [Side::Backend, Side::Client] {
        let [(mut gone, to_gone), (mut slow, to_slow)] = [pair(256 << 10), pair(4 << 10)];
        let ends = match sender {
            Side::Client => [to_gone, to_slow],
            Side::Backend => [to_slow, to_gone],
        };
        let session = tunnel(ends, terms(), &Drain::default(), record(io::sink()).0);
        let session = tokio::spawn(session);
        let unread = frame(sender.other(), TEXT, b"nobody reads this");
        slow.write_all(&unread).await.unwrap();
        gone.readable().await.unwrap();
        let mut sent = frame(sender, TEXT, &[b'x'; 1000]).repeat(100);
        sent.extend(close(sender, 1000));
        gone.write_all(&sent).await.unwrap();
        drop(gone);
        // Longer than until the next check.
        sleep(Duration::from_millis(700)).await;
        let mut received = Vec::new();
        let reading = timeout(Duration::from_secs(30), slow.read_to_end(&mut received));
        reading.await.expect("the session ends").unwrap();
        assert!(received == sent, "{sender:?}: {} bytes", received.len());
        session.await.unwrap();
    }
}

/// A peer and the end of the tunnel, each of which sends at most `buffer` bytes ahead.
pub(super) fn pair(buffer: usize) -> (UnixStream, End<'static>) {
    let (peer, ours) = UnixStream::pair().unwrap();
    for socket in [&peer, &ours] {
        SockRef::from(socket).set_send_buffer_size(buffer).unwrap();
    }
    let stream = Stream::Plain(Socket::Unix(ours));
    (peer, End { stream, early: &[] })
}

fn scripted(client: Scripted, backend: Scripted) -> Tunnel<(), ()> {
    let ends = [client, backend].map(|side| End {
        stream: Stream::Shared(Box::new(side)),
        early: &[],
    });
    tunnel(ends, terms(), &Drain::default(), record(io::sink()).0)
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.sends.is_empty() && !self.is_broken {
            return Poll::Pending;
        }
        buffer.put_slice(&std::mem::take(&mut self.sends));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(match self.is_broken {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(bytes.len()),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut seen = self.seen.lock().unwrap();
        if seen.takes {
            return Poll::Ready(Ok(()));
        }
        seen.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seen.lock().unwrap().has_ended = true;
        Poll::Ready(Ok(()))
    }
}

impl SharedStream for Scripted {
    fn is_broken(&self) -> bool {
        false
    }

    fn reset_on_close(&mut self) {
        self.seen.lock().unwrap().is_reset = true;
    }
}
