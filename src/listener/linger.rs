//! Closing a connection whose client may still be sending: the body of a request, or what it sends while it takes an answer
//! over HTTP/2.
//!
//! Closing a socket with unread bytes resets the connection, and the reset can overtake the last answer: a client that
//! uploads would see a broken connection instead of a 413 or 502, one with a head that is too large instead of a 431. So what
//! still arrives is read and dropped.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::client::Client;
use crate::drain::{DrainWatch, Stage};
use crate::stream::Stream;

/// How long in total.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest pause of a client that is sending.
pub(super) const PAUSE: Duration = Duration::from_secs(5);
/// The same where the client needs to be waited for only until its system has all that was sent.
pub(super) const SHORT_PAUSE: Duration = Duration::from_secs(1);
/// How long a client that is only refused has to read the refusal and close.
pub(super) const REFUSED: Duration = Duration::from_secs(2);
/// The shortest time after which a client that pauses is looked at again.
const SHORTEST_LOOK: Duration = Duration::from_millis(50);
/// The size of a read, in bytes.
const PIECE: usize = 16 * 1024;

/// As [`linger`], but only for a while if the client was only refused, and once its listener stops.
pub(super) async fn linger_for(
    client: &Client,
    watch: &DrainWatch,
    stream: Stream,
    pause: Duration,
) {
    let pause = match watch.stage() {
        Stage::Open => pause,
        Stage::Draining | Stage::Hastened | Stage::Cut => pause.min(watch.idle_grace()),
    };
    let longest = match client.over_limit {
        Some(_) => REFUSED,
        None => LONGEST,
    };
    let _ = timeout(longest, linger_until(has_stopped(watch), stream, pause)).await;
}

/// Waits until the listener has stopped and whoever sends all before it reads should have noticed.
async fn has_stopped(watch: &DrainWatch) {
    watch.beyond(Stage::Open).await;
    sleep(watch.idle_grace() * 2).await;
}

/// Shuts the sending half down, then reads and drops until the client closes, or pauses: for `pause`, or for [`PAUSE`] while it
/// has not acknowledged all that was sent. Callers limit the time in total.
pub(super) async fn linger(stream: Stream, pause: Duration) {
    linger_until(pending(), stream, pause).await;
}

/// As [`linger`]; once `stopped` is ready a client that has acknowledged all is not waited for any more.
async fn linger_until(stopped: impl Future<Output = ()>, mut stream: Stream, pause: Duration) {
    // On an error the client has left.
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut dropped = vec![0; PIECE];
    // At a drain without a deadline there is no pause: it would look without end.
    let look = pause.clamp(SHORTEST_LOOK, SHORT_PAUSE);
    let mut paused = Duration::ZERO;
    let (mut stopped, mut is_over) = (pin!(stopped), false);
    while paused < pause || paused < PAUSE && stream.unacknowledged() > 0 {
        if is_over && stream.unacknowledged() == 0 {
            return;
        }
        tokio::select! {
            read = timeout(look, stream.read(&mut dropped)) => match read {
                Err(_) => paused += look,
                Ok(Ok(1..)) => paused = Duration::ZERO,
                Ok(Ok(0) | Err(_)) => return,
            },
            () = &mut stopped, if !is_over => is_over = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::net::{TcpListener, TcpStream, UnixStream};
    use tokio::time::Instant;

    use super::*;
    use crate::stream::Socket;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_yet_to_take_what_was_sent_may_pause_for_longer() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert_eq!(waited_for(Socket::Unix(ours)).await, SHORT_PAUSE);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (_theirs, _) = listener.accept().await.unwrap();
        let mut ours = ours.unwrap();
        let moment = Duration::from_millis(1);
        while timeout(moment, ours.write(&[0; PIECE])).await.is_ok() {}
        assert_eq!(waited_for(Socket::Tcp(ours.into())).await, PAUSE);
    }

    /// It may be slow, and what it has yet to take would be lost.
    #[tokio::test]
    async fn a_stop_ends_it_only_for_who_has_all() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (mut theirs, _) = listener.accept().await.unwrap();
        let mut ours = ours.unwrap();
        let mut sent = 0;
        let moment = Duration::from_millis(1);
        while let Ok(Ok(count)) = timeout(moment, ours.write(&[0; PIECE])).await {
            sent += count;
        }
        let stream = Stream::Plain(Socket::Tcp(ours.into()));
        let lingering = tokio::spawn(linger_until(ready(()), stream, PAUSE));
        let mut taken = 0;
        let mut part = vec![0; 256 * 1024];
        while taken < sent {
            // As HTTP/2 does for what it has taken.
            theirs.write_all(b"more").await.unwrap();
            sleep(moment).await;
            taken += theirs.read(&mut part).await.unwrap();
        }
        assert_eq!(theirs.read(&mut part).await.unwrap(), 0, "the end");
        theirs.write_all(b"more").await.unwrap();
        timeout(PAUSE / 2, lingering)
            .await
            .expect("it has all")
            .unwrap();
    }

    /// How many whole seconds a client was waited for that sends nothing.
    async fn waited_for(socket: Socket) -> Duration {
        let begun = Instant::now();
        linger(Stream::Plain(socket), SHORT_PAUSE).await;
        Duration::from_secs(begun.elapsed().as_secs())
    }
}
