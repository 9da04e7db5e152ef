//! Bytes that pass between two connections inside the system.

use std::future::poll_fn;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::*;
use crate::stream::Socket;
use crate::stream::samples::{PATIENCE, numbered, pair};

fn run<T>(scenario: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let scenario = async { timeout(PATIENCE, scenario).await };
    runtime.block_on(scenario).expect("it comes to an end")
}

/// A connection, and the peer of it.
async fn plain_pair() -> (Stream, TcpStream) {
    let (ours, peer) = pair().await;
    (Stream::Plain(Socket::Tcp(ours)), peer)
}

/// Moves `pieces` one after the other, or fewer where the source ends; returns how many bytes that were.
async fn pass(source: &mut Stream, sink: &mut Stream, pieces: &[usize]) -> io::Result<usize> {
    let mut passed = 0;
    for piece in pieces {
        let mut most = *piece;
        while most > 0 {
            let mut rest = Backlog::default();
            assert!(can_splice(source, sink));
            let splicing =
                |context: &mut Context<'_>| poll_splice(context, source, sink, most, &mut rest);
            let Spliced { taken, given } = poll_fn(splicing).await?;
            assert!(taken <= most, "no more than was allowed");
            if let Poll::Ready(given) = given {
                given?;
            }
            sink.write_all(rest.rest()).await?;
            if taken == 0 {
                return Ok(passed);
            }
            most -= taken;
            passed += taken;
        }
    }
    Ok(passed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However much is moved at a time, and however slowly it is read: all of it comes, in order, and no more.
    #[test]
    fn what_is_moved_stays_in_order(
        pieces in proptest::collection::vec(1..700_000_usize, 1..8),
        surplus in 0..100_000_usize,
        reads in 1..200_000_usize,
    ) {
        run(async {
            let (mut source, mut sender) = plain_pair().await;
            let (mut sink, mut reader) = plain_pair().await;
            let length = pieces.iter().sum::<usize>();
            let stream = numbered(length + surplus);
            let expected = stream[..length].to_vec();
            let sending = tokio::spawn(async move {
                sender.write_all(&stream).await.unwrap();
                sender
            });
            let reading = tokio::spawn(async move {
                let mut heard = Vec::new();
                let mut buffer = vec![0; reads];
                loop {
                    match reader.read(&mut buffer).await.unwrap() {
                        0 => return heard,
                        count => heard.extend_from_slice(&buffer[..count]),
                    }
                    tokio::task::yield_now().await;
                }
            });
            let passed = pass(&mut source, &mut sink, &pieces).await.unwrap();
            drop(sink);
            let heard = reading.await.unwrap();
            let mut left = vec![0; surplus];
            source.read_exact(&mut left).await.unwrap();
            sending.await.unwrap();
            assert_eq!(passed, length);
            assert!(heard == expected, "every byte comes, in order");
        });
    }
}

#[test]
fn a_source_that_ends_is_at_its_end() {
    run(async {
        let (mut source, mut sender) = plain_pair().await;
        let (mut sink, mut reader) = plain_pair().await;
        sender.write_all(b"last words").await.unwrap();
        drop(sender);
        let passed = pass(&mut source, &mut sink, &[1000]).await.unwrap();
        drop(sink);
        let mut heard = String::new();
        reader.read_to_string(&mut heard).await.unwrap();
        assert_eq!((passed, heard.as_str()), (10, "last words"));
    });
}

#[test]
fn what_a_lost_sink_did_not_take_goes_to_nobody_else() {
    run(async {
        let (mut source, mut sender) = plain_pair().await;
        let (mut lost, peer) = plain_pair().await;
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let end = lost.read(&mut [0; 1]).await;
        assert!(end.is_err(), "the reset is there");
        sender.write_all(&[1; 1000]).await.unwrap();
        pass(&mut source, &mut lost, &[1000]).await.unwrap_err();

        let (mut source, mut sender) = plain_pair().await;
        let (mut sink, mut reader) = plain_pair().await;
        sender.write_all(&[2; 10]).await.unwrap();
        pass(&mut source, &mut sink, &[10]).await.unwrap();
        drop(sink);
        let mut heard = Vec::new();
        reader.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, [2; 10]);
    });
}

#[test]
fn other_streams_are_not_spliced() {
    run(async {
        let (mut plain, _peer) = plain_pair().await;
        let (unix, _peer) = tokio::net::UnixStream::pair().unwrap();
        let mut unix = Stream::Plain(Socket::Unix(unix));
        assert!(!can_splice(&mut plain, &mut unix));
        assert!(!can_splice(&mut unix, &mut plain));
    });
}

#[test]
fn what_was_put_back_is_read_first() {
    run(async {
        let (mut sink, _peer) = plain_pair().await;
        let (source, _peer) = plain_pair().await;
        let Stream::Plain(source) = source else {
            panic!("it is plain");
        };
        let mut source = Stream::Plain(source.replay(b"PRI"));
        assert!(!can_splice(&mut source, &mut sink));
        source.read_exact(&mut [0; 3]).await.unwrap();
        assert!(can_splice(&mut source, &mut sink));
    });
}

#[test]
fn a_pipe_that_is_forbidden_is_tried_once_and_one_that_is_wanting_again() {
    let mut tries = 0;
    let mut fails_with = |kind: io::ErrorKind| {
        has_pipe(|| {
            tries += 1;
            Err(kind.into())
        })
    };
    let kinds = [
        io::ErrorKind::Other,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::PermissionDenied,
    ];
    assert_eq!(kinds.map(&mut fails_with), [false; 3]);
    assert_eq!(tries, 2);
}
