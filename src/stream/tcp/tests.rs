//! Connections on epoll and on the ring, and changing between the two.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net;
use std::sync::Once;
use std::task::Waker;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::stream::samples::{PATIENCE, numbered, pair};
use crate::stream::start_ring;

/// Runs `scenario` on a thread with a ring. A system without io_uring has nothing to test here, and says so.
fn with_ring<T>(scenario: impl Future<Output = T>) -> Option<T> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if let Err(error) = start_ring() {
            tell_what_is_left_out(&error);
            return None;
        }
        let scenario = timeout(PATIENCE, scenario);
        Some(scenario.await.expect("it comes to an end"))
    })
}

/// Once, and past the harness, which keeps to itself what is printed by tests that pass.
fn tell_what_is_left_out(error: &io::Error) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        let told = writeln!(io::stderr(), "Left out: all that needs io_uring: {error}");
        told.unwrap();
    });
}

/// A connection that is on the ring, and the peer of it.
async fn pair_on_ring() -> (TcpSocket, TcpStream) {
    let (mut ours, mut peer) = pair().await;
    chat(&mut ours, &mut peer).await;
    assert!(is_on_ring(&ours), "small messages change it to the ring");
    (ours, peer)
}

/// Small messages, so many that the connection changes to the ring.
async fn chat(ours: &mut TcpSocket, peer: &mut TcpStream) {
    for round in 0..SMALL_READS + 2 {
        peer.write_all(&[round; 3]).await.unwrap();
        let mut heard = [0; 3];
        ours.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, [round; 3]);
        let ended = timeout(Duration::ZERO, ours.read(&mut heard)).await;
        assert!(ended.is_err(), "nothing more comes");
    }
}

fn is_on_ring(socket: &TcpSocket) -> bool {
    matches!(socket.engine, Engine::Ring(..))
}

/// Nothing is awaited between, so epoll has no turn.
#[tokio::test]
async fn the_first_write_does_not_wait_for_epoll() {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut ours = TcpSocket::from(TcpStream::from_std(ours).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let sent = Pin::new(&mut ours).poll_write(&mut context, b"hello");
    assert!(matches!(sent, Poll::Ready(Ok(5))), "{sent:?}");
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn a_first_write_into_a_full_socket_waits_for_room() {
    let (mut ours, mut peer) = pair().await;
    let sent = numbered(20_000_000);
    let filled = {
        let socket = ours.socket().unwrap();
        send(socket, &sent, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).unwrap()
    };
    let expected = sent.clone();
    let sending = tokio::spawn(async move { ours.write_all(&sent[filled..]).await.map(|()| ours) });
    let mut heard = vec![0; expected.len()];
    peer.read_exact(&mut heard).await.unwrap();
    assert!(heard == expected, "every byte comes, in order");
    sending.await.unwrap().unwrap();
}

#[test]
fn what_is_large_changes_it_back() {
    with_ring(async {
        let (mut ours, mut peer) = pair_on_ring().await;
        let sent = numbered(1_000_000);
        let expected = sent.clone();
        let sending = tokio::spawn(async move {
            peer.write_all(&sent).await.unwrap();
            peer
        });
        let mut heard = vec![0; expected.len()];
        ours.read_exact(&mut heard).await.unwrap();
        assert!(heard == expected, "every byte comes, in order");
        assert!(!is_on_ring(&ours), "large reads are for epoll");
        let mut peer = sending.await.unwrap();
        chat(&mut ours, &mut peer).await;
        assert!(is_on_ring(&ours), "small messages change it again");
    });
}

#[test]
fn what_came_in_several_receives_is_read_at_once() {
    with_ring(async {
        let (mut ours, mut peer) = pair_on_ring().await;
        for part in numbered(3000).chunks(1000) {
            peer.write_all(part).await.unwrap();
            // The ring has its turn.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut heard = [0; 4000];
        assert_eq!(ours.read(&mut heard).await.unwrap(), 3000);
        assert!(heard[..3000] == numbered(3000), "every byte, in order");
    });
}

#[test]
fn what_is_large_changes_it_back_when_buffers_run_out_too() {
    with_ring(async {
        let mut pairs = Vec::new();
        for _ in 0..40 {
            pairs.push(pair_on_ring().await);
        }
        let sent = numbered(60_000);
        // All of that comes before the ring is asked again, and is more than its buffers hold.
        for (_, peer) in &pairs {
            assert_eq!(peer.try_write(&sent).unwrap(), sent.len());
        }
        for (ours, _) in &mut pairs {
            let mut heard = vec![0; sent.len()];
            ours.read_exact(&mut heard).await.unwrap();
            assert!(heard == sent, "every byte comes, in order");
            let more = timeout(Duration::ZERO, ours.read(&mut heard)).await;
            assert!(more.is_err(), "nothing more comes");
            assert!(!is_on_ring(ours), "large reads are for epoll");
        }
    });
}

#[test]
fn a_peer_that_does_not_read_changes_it_back_and_is_still_heard() {
    with_ring(async {
        let (mut ours, mut peer) = pair_on_ring().await;
        let (full, is_full) = oneshot::channel();
        let mut full = Some(full);
        // One task both waits to read and fills the socket, as a tunnel does.
        let hearing = tokio::spawn(poll_fn(move |context| {
            let mut heard = [0; 8];
            let mut buffer = ReadBuf::new(&mut heard);
            if Pin::new(&mut ours)
                .poll_read(context, &mut buffer)?
                .is_ready()
            {
                return Poll::Ready(io::Result::Ok(buffer.filled().to_vec()));
            }
            let Some(full) = full.take() else {
                return Poll::Pending;
            };
            while Pin::new(&mut ours)
                .poll_write(context, &[7; 65_536])?
                .is_ready()
            {}
            assert!(!is_on_ring(&ours), "a full socket is for epoll");
            full.send(()).unwrap();
            Poll::Pending
        }));
        is_full.await.unwrap();
        peer.write_all(b"hello").await.unwrap();
        assert_eq!(hearing.await.unwrap().unwrap(), b"hello");
    });
}

#[test]
fn what_nobody_reads_is_received_no_further() {
    with_ring(async {
        let (mut ours, peer) = pair_on_ring().await;
        let peer = peer.into_std().unwrap();
        let stream = numbered(64 << 20);
        let mut sent = 0;
        let mut quiet = 0;
        while quiet < 20 {
            let piece = &stream[sent..sent + 500];
            match (&peer).write(piece) {
                Ok(count) => (sent, quiet) = (sent + count, 0),
                Err(_would_block) => {
                    quiet += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        drop(peer);
        let mut heard = Vec::new();
        ours.read_to_end(&mut heard).await.unwrap();
        assert!(heard == stream[..sent], "every byte comes, in order");
    });
}

#[test]
fn more_connections_than_buffers_lose_nothing() {
    with_ring(async {
        let mut pairs = Vec::new();
        for _ in 0..400 {
            pairs.push(pair_on_ring().await);
        }
        for turn in 0..3 {
            for (_, peer) in &mut pairs {
                peer.write_all(&[turn; 100]).await.unwrap();
            }
        }
        for (ours, _) in &mut pairs {
            let mut heard = [0; 300];
            ours.read_exact(&mut heard).await.unwrap();
            assert!(
                heard
                    .chunks(100)
                    .zip(0..)
                    .all(|(chunk, turn)| chunk == [turn; 100])
            );
        }
    });
}

#[test]
fn dropping_it_closes_the_socket() {
    with_ring(async {
        let (ours, mut peer) = pair_on_ring().await;
        drop(ours);
        assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn dropping_it_after_asking_for_a_reset_resets_the_socket() {
    with_ring(async {
        let (ours, mut peer) = pair_on_ring().await;
        ours.reset_on_close();
        drop(ours);
        let error = peer.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn the_ends_of_peers_are_told_apart() {
    with_ring(async {
        let (mut ours, mut peer) = pair_on_ring().await;
        peer.write_all(b"last words").await.unwrap();
        drop(peer);
        let mut heard = String::new();
        ours.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "last words");

        let (mut ours, peer) = pair_on_ring().await;
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let error = ours.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_ended_sending_half_leaves_the_other() {
    with_ring(async {
        let (mut ours, mut peer) = pair_on_ring().await;
        ours.shutdown().await.unwrap();
        let mut heard = [0; 8];
        assert_eq!(peer.read(&mut heard).await.unwrap(), 0);
        peer.write_all(b"still here").await.unwrap();
        drop(peer);
        let mut heard = String::new();
        ours.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "still here");
    });
}

#[test]
fn a_number_that_is_used_again_is_not_mixed_up() {
    with_ring(async {
        for round in 0..200_u8 {
            let (mut ours, mut peer) = pair_on_ring().await;
            // Some close with bytes that nobody has read, some while the ring still waits for more.
            peer.write_all(&[round; 5]).await.unwrap();
            if round % 3 > 0 {
                let mut heard = [0; 4];
                ours.read_exact(&mut heard).await.unwrap();
                assert_eq!(heard, [round; 4]);
            }
        }
    });
}

#[test]
fn without_a_ring_it_stays_on_epoll() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut ours, mut peer) = pair().await;
        chat(&mut ours, &mut peer).await;
        assert!(!is_on_ring(&ours));
        let waiting = tokio::spawn(async move {
            let mut heard = [0; 5];
            ours.read_exact(&mut heard).await.map(|_| heard)
        });
        tokio::task::yield_now().await;
        peer.write_all(b"hello").await.unwrap();
        let heard = timeout(PATIENCE, waiting).await.unwrap().unwrap();
        assert_eq!(&heard.unwrap(), b"hello");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever pieces is read whole and in order, and so is what is sent meanwhile.
    #[test]
    fn any_pieces_make_the_same_stream(
        pieces in proptest::collection::vec(prop_oneof![8 => 1..600_usize, 1 => 600..60_000_usize], 1..60),
        room in 1..20_000_usize,
    ) {
        with_ring(async {
            let (ours, peer) = pair().await;
            let stream = numbered(pieces.iter().sum());
            let peer = peer.into_std().unwrap();
            peer.set_nonblocking(false).unwrap();
            let sent = stream.clone();
            let talking = std::thread::spawn(move || talk(&peer, &sent, &pieces));
            let heard = echo(ours, room).await;
            assert!(heard == stream, "what came");
            assert!(talking.join().unwrap() == stream, "what went back");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is sent in several pieces at once arrives whole and in order, also where the socket takes only a part.
    #[test]
    fn pieces_sent_together_stay_in_order(
        lengths in proptest::collection::vec(prop_oneof![8 => 0..700_usize, 1 => 700..400_000_usize], 0..12),
    ) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut ours, mut peer) = pair().await;
            let stream = numbered(lengths.iter().sum());
            let sent = stream.clone();
            let sending = tokio::spawn(async move {
                let mut rest = &sent[..];
                let mut pieces: Vec<_> = lengths
                    .iter()
                    .map(|length| IoSlice::new(rest.split_off(..*length).unwrap()))
                    .collect();
                let mut pieces = &mut pieces[..];
                while pieces.iter().any(|piece| !piece.is_empty()) {
                    let count = ours.write_vectored(pieces).await.unwrap();
                    IoSlice::advance_slices(&mut pieces, count);
                }
            });
            let mut heard = Vec::new();
            timeout(PATIENCE, peer.read_to_end(&mut heard)).await.unwrap().unwrap();
            sending.await.unwrap();
            assert!(heard == stream, "every byte comes, in order");
        });
    }
}

/// Sends `stream` in `pieces`, each when the one before has come back, and then ends; returns what came back.
fn talk(mut peer: &net::TcpStream, stream: &[u8], pieces: &[usize]) -> Vec<u8> {
    let mut rest = stream;
    let mut back = Vec::new();
    for piece in pieces {
        let (now, later) = rest.split_at(*piece);
        peer.write_all(now).unwrap();
        rest = later;
        let from = back.len();
        back.resize(from + piece, 0);
        peer.read_exact(&mut back[from..]).unwrap();
    }
    peer.shutdown(Shutdown::Write).unwrap();
    back
}

/// Sends back what comes until it ends, in reads of at most `room` bytes; returns what came.
async fn echo(mut ours: TcpSocket, room: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut buffer = vec![0; room];
    loop {
        let count = ours.read(&mut buffer).await.unwrap();
        if count == 0 {
            return heard;
        }
        heard.extend_from_slice(&buffer[..count]);
        ours.write_all(&buffer[..count]).await.unwrap();
    }
}

/// A connection on the ring whose peer says `last` and resets it.
async fn reset_on_ring() -> TcpSocket {
    let (ours, mut peer) = pair_on_ring().await;
    peer.write_all(b"last").await.unwrap();
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    ours
}

/// A receive takes the error out of the socket, so asking that alone would find nothing.
#[test]
fn a_reset_on_the_ring_shows_before_what_came_is_read() {
    with_ring(async {
        let mut ours = reset_on_ring().await;
        let is_error_taken = |ours: &TcpSocket| !super::super::is_broken(ours.socket().unwrap());
        while !ours.is_broken() || !is_error_taken(&ours) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut heard = [0; 4];
        ours.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"last");
        assert!(ours.read(&mut heard).await.is_err());
    });
}

/// As a write does that finds the socket full.
#[test]
fn a_reset_on_the_ring_takes_nothing_from_what_came_before_a_change_to_epoll() {
    with_ring(async {
        let mut ours = reset_on_ring().await;
        let is_taken = |ours: &TcpSocket| matches!(&ours.engine, Engine::Ring(reception, _) if reception.is_broken());
        while !is_taken(&ours) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ours.change(Engine::into_epoll).unwrap();
        assert!(ours.is_broken());
        let mut heard = [0; 4];
        ours.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"last");
        assert!(ours.read(&mut heard).await.is_err());
        assert!(ours.write(b"anything").await.is_err());
    });
}

/// Its number there is that of another connection.
#[test]
fn a_connection_of_another_ring_is_an_error_and_leaves_that_ring_alone() {
    let moved = with_ring(pair_on_ring());
    with_ring(async {
        let (mut ours, mut peer) = pair_on_ring().await;
        let (mut moved, _its_peer) = moved.expect("there was a ring before");
        assert!(moved.read(&mut [0; 4]).await.is_err());
        drop(moved);
        peer.write_all(b"more").await.unwrap();
        let mut heard = [0; 4];
        ours.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"more");
    });
}
