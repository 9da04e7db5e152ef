//! How much one direction passes before others have their turn.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;

use super::super::buffer::LARGEST_READ;
use super::super::relay::{Lane, Relay, TURN, poll_until_end};
use super::super::tally::Tally;
use super::terms;
use crate::stream::{SharedStream, Socket, Stream};
use crate::websocket::{Extensions, Side};

/// A backend that sends empty messages without end, and takes all that it is sent.
#[derive(Debug)]
struct Endless;

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while buffer.remaining() > 1 {
            buffer.put_slice(&[0x82, 0]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl SharedStream for Endless {
    fn is_broken(&self) -> bool {
        false
    }

    fn reset_on_close(&mut self) {}
}

pub(super) fn endless() -> Stream {
    Stream::Shared(Box::new(Endless))
}

#[test]
fn a_source_without_end_leaves_others_their_turn() {
    let (mut source, mut sink, terms) = (endless(), endless(), terms());
    let mut tally = Tally::default();
    let mut relay = Relay::new(Side::Backend, Extensions::None);
    let mut context = Context::from_waker(Waker::noop());
    for turn in 1..4 {
        let lane = Lane {
            source: &mut source,
            sink: &mut sink,
            terms: &terms,
            tally: &mut tally,
        };
        assert!(relay.poll(&mut context, lane).is_pending());
        let passed = tally.bytes(Side::Backend);
        let most = TURN + LARGEST_READ as u64;
        assert!((turn * TURN..=turn * most).contains(&passed), "{passed}");
    }
}

#[tokio::test]
async fn a_look_that_finds_nothing_counts_nothing() {
    let (_peer, ours) = UnixStream::pair().unwrap();
    let (mut source, mut sink) = (Stream::Plain(Socket::Unix(ours)), endless());
    let (mut tally, terms) = (Tally::default(), terms());
    let mut relay = Relay::new(Side::Backend, Extensions::None);
    let lane = Lane {
        source: &mut source,
        sink: &mut sink,
        terms: &terms,
        tally: &mut tally,
    };
    let mut context = Context::from_waker(Waker::noop());
    assert!(relay.poll(&mut context, lane).is_pending());
    assert!(tally.is_empty(), "an idle session has no reports to make");
}

#[test]
fn dropping_what_comes_without_end_does_so_too() {
    let mut context = Context::from_waker(Waker::noop());
    assert!(poll_until_end(&mut context, &mut endless()).is_pending());
}

/// The system is asked for what came for others after each turn. A task that only wakes itself is polled 61 times before
/// the runtime does so.
#[tokio::test]
async fn what_comes_for_others_is_heard_after_a_turn() {
    let turns = Arc::new(AtomicU32::new(0));
    let taken = Arc::clone(&turns);
    tokio::spawn(poll_fn(move |context| {
        taken.fetch_add(1, Ordering::Relaxed);
        poll_until_end(context, &mut endless())
    }));
    let (mut client, mut server) = UnixStream::pair().unwrap();
    for _ in 0..10 {
        client.write_all(b"x").await.unwrap();
        // Takes less than it could, so that it has to hear of the next.
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
    }
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns < 61, "{turns} turns in ten round trips");
}
