//! TLS streams between two sockets: whatever pieces records come in, all bytes arrive, and ends are told apart.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream as TheirStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wsgate::stream::{Socket, TlsStream};
use wsgate::tls::{Tickets, provider, self_signed, server_in_memory};

use crate::harness::soon;

const NAME: &str = "stream.test";

/// The settings of both ends, which fit.
struct Settings {
    server: Arc<rustls::ServerConfig>,
    client: Arc<ClientConfig>,
}

fn settings(versions: &[&'static SupportedProtocolVersion]) -> Settings {
    let (certificate, key) = self_signed(&[NAME]).expect("a certificate can be made");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("it is sound");
    let tickets = Tickets::default();
    let server = server_in_memory(vec![certificate], key, Duration::from_secs(10), &tickets);
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("the provider has the versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Settings {
        server: server.expect("they fit").config,
        client: Arc::new(client),
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("a sound name")
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("descriptors are left")
}

/// A stream of ours as the server, and one of tokio-rustls as the client.
async fn connected(settings: &Settings) -> (TlsStream, TheirStream<UnixStream>) {
    let (ours, theirs) = pair();
    join(settings, ours, theirs).await
}

async fn join(
    settings: &Settings,
    ours: UnixStream,
    theirs: UnixStream,
) -> (TlsStream, TheirStream<UnixStream>) {
    let connector = TlsConnector::from(Arc::clone(&settings.client));
    let accepting = TlsStream::accept(Socket::Unix(ours), Arc::clone(&settings.server));
    let both = async { tokio::join!(accepting, connector.connect(name(), theirs)) };
    let (server, client) = soon("a handshake", both).await;
    (
        server.expect("the server agrees"),
        client.expect("the client agrees"),
    )
}

/// Two sockets; what goes from one to the other arrives in pieces of random sizes.
fn chopped() -> (UnixStream, UnixStream) {
    let ((left, left_far), (right, right_far)) = (pair(), pair());
    let (left_read, left_write) = left_far.into_split();
    let (right_read, right_write) = right_far.into_split();
    tokio::spawn(chop(left_read, right_write));
    tokio::spawn(chop(right_read, left_write));
    (left, right)
}

async fn chop(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut piece = vec![0; 20_000];
    loop {
        let most = if fastrand::bool() {
            fastrand::usize(1..40)
        } else {
            fastrand::usize(1..piece.len())
        };
        match from.read(&mut piece[..most]).await {
            Ok(0) | Err(_) => break,
            Ok(count) if to.write_all(&piece[..count]).await.is_err() => break,
            Ok(_) => tokio::task::yield_now().await,
        }
    }
    // The other end may have gone already.
    let _ = to.shutdown().await;
}

/// Sends `bytes` in pieces and ends the stream; gives back what came until the end.
async fn exchange(stream: impl AsyncRead + AsyncWrite + Send + 'static, bytes: Vec<u8>) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(stream);
    let sending = async move {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(fastrand::usize(1..=rest.len().min(100_000)));
            write.write_all(piece).await.expect("the other end reads");
            write.flush().await.expect("the other end reads");
            rest = later;
        }
        write.shutdown().await.expect("the other end is there");
        write
    };
    let reading = async {
        let mut received = Vec::new();
        let mut piece = vec![0; fastrand::usize(1..40_000)];
        loop {
            let count = read.read(&mut piece).await.expect("a clean end");
            if count == 0 {
                return received;
            }
            received.extend_from_slice(&piece[..count]);
        }
    };
    let (_write, received) = tokio::join!(sending, reading);
    received
}

fn noise(length: usize) -> Vec<u8> {
    std::iter::repeat_with(|| fastrand::u8(..))
        .take(length)
        .collect()
}

fn spawn_exchange(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    bytes: &[u8],
) -> JoinHandle<Vec<u8>> {
    tokio::spawn(exchange(stream, bytes.to_vec()))
}

async fn assert_exchanged(
    one: impl AsyncRead + AsyncWrite + Send + 'static,
    other: impl AsyncRead + AsyncWrite + Send + 'static,
    length: usize,
) {
    let (from_one, from_other) = (noise(length), noise(length / 2));
    let one = spawn_exchange(one, &from_one);
    let other = spawn_exchange(other, &from_other);
    let both = async { (one.await, other.await) };
    let (at_one, at_other) = soon("both streams to end", both).await;
    assert!(at_one.expect("no panic") == from_other);
    assert!(at_other.expect("no panic") == from_one);
}

#[tokio::test]
async fn all_bytes_arrive_with_both_versions_and_then_the_end() {
    for version in [&TLS12, &TLS13] {
        let settings = settings(&[version]);
        for length in [2, 100, 16 * 1024, 1 << 20] {
            let (server, client) = connected(&settings).await;
            assert_eq!(server.agreed().protocol_version(), Some(version.version));
            assert_exchanged(server, client, length).await;
        }
    }
}

#[tokio::test]
async fn records_arrive_in_any_pieces() {
    let settings = settings(&[&TLS12, &TLS13]);
    for _ in 0..10 {
        let (ours, theirs) = chopped();
        let (server, client) = join(&settings, ours, theirs).await;
        assert_exchanged(server, client, fastrand::usize(2..200_000)).await;
    }
}

#[tokio::test]
async fn both_ends_can_be_ours() {
    let settings = settings(&[&TLS12, &TLS13]);
    let (one, other) = chopped();
    let accepting = TlsStream::accept(Socket::Unix(one), settings.server);
    let connecting = async {
        let socket = Socket::Unix(other);
        let mut client = TlsStream::connect(socket, settings.client, name()).await?;
        // Its last message would go out with its first bytes.
        client.flush().await?;
        std::io::Result::Ok(client)
    };
    let both = async { tokio::join!(accepting, connecting) };
    let (server, client) = soon("a handshake", both).await;
    let (server, client) = (server.expect("it agrees"), client.expect("it agrees"));
    assert_exchanged(server, client, 300_000).await;
}

#[tokio::test]
async fn keys_change_while_bytes_pass() {
    let (mut server, mut client) = connected(&settings(&[&TLS13])).await;
    for round in 0..20_u8 {
        let (_, connection) = client.get_mut();
        connection
            .refresh_traffic_keys()
            .expect("the handshake is over");
        let mut received = [0; 3];
        let echo = async {
            client.write_all(&[round; 3]).await?;
            server.read_exact(&mut received).await?;
            server.write_all(&received).await?;
            client.read_exact(&mut received).await
        };
        soon("an echo", echo).await.expect("both ends are there");
        assert_eq!(received, [round; 3]);
    }
}

#[tokio::test]
async fn several_pieces_are_put_together_as_far_as_they_are_small() {
    let settings = settings(&[&TLS13]);
    let (mut server, mut client) = connected(&settings).await;
    assert!(server.is_write_vectored());
    let sent: Vec<u8> = (0..80_000_u32).map(|number| (number % 251) as u8).collect();
    let (head, rest) = sent.split_at(100);
    let (body, rest) = rest.split_at(16 * 1024);
    let writing = async {
        let written = write_once(&mut server, &[head, &[], body]).await;
        assert_eq!(written, head.len() + body.len(), "in one go");
        let mut place = 0;
        while place < rest.len() {
            let pieces = rest[place..].split_at((rest.len() - place) / 2 + 1);
            place += write_once(&mut server, &[pieces.0, pieces.1]).await;
        }
        server.shutdown().await.expect("the client is there");
    };
    let mut heard = Vec::new();
    let both = async { tokio::join!(writing, client.read_to_end(&mut heard)).1 };
    soon("all of it", both).await.expect("a clean end");
    assert!(heard == sent, "every byte, in order");
}

async fn write_once(stream: &mut TlsStream, pieces: &[&[u8]]) -> usize {
    let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let written = soon("a write", stream.write_vectored(&pieces)).await;
    written.expect("the client reads")
}

#[tokio::test]
async fn an_end_without_words_is_an_error_and_one_with_words_is_none() {
    let settings = settings(&[&TLS13]);
    let (mut server, client) = connected(&settings).await;
    drop(client.into_inner().0);
    let read = soon("the end", server.read(&mut [0; 9])).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);

    let (mut server, mut client) = connected(&settings).await;
    client.shutdown().await.expect("the server is there");
    let read = soon("the end", server.read(&mut [0; 9])).await;
    assert_eq!(read.expect("a clean end"), 0);
    // The other half is still open.
    server.write_all(b"late").await.expect("the client reads");
    let mut late = [0; 4];
    soon("late bytes", client.read_exact(&mut late))
        .await
        .expect("they arrive");
    assert_eq!(&late, b"late");
}

/// The next record, with its head (RFC 8446 section 5.1).
async fn record(from: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut record = vec![0; 5];
    from.read_exact(&mut record).await.expect("a head");
    let length = usize::from(record[3]) << 8 | usize::from(record[4]);
    record.resize(5 + length, 0);
    from.read_exact(&mut record[5..]).await.expect("all of it");
    record
}

/// Their tickets are cut into records, of which one arrives.
#[tokio::test]
async fn an_end_within_a_message_of_a_handshake_ends_the_stream_alone() {
    let Settings { server, client } = settings(&[&TLS13]);
    let mut server = Arc::unwrap_or_clone(server);
    server.max_fragment_size = Some(64);
    let ((ours, near), (far, theirs)) = (pair(), pair());
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let _accepting = tokio::spawn(async move { acceptor.accept(theirs).await });
    let mut connecting = tokio::spawn(TlsStream::connect(Socket::Unix(ours), client, name()));
    let (mut from_ours, mut to_ours) = near.into_split();
    let (mut from_theirs, mut to_theirs) = far.into_split();
    let hello = record(&mut from_ours).await;
    to_theirs.write_all(&hello).await.expect("they read");
    let connected = loop {
        tokio::select! {
            connected = &mut connecting => break connected,
            flight = record(&mut from_theirs) => to_ours.write_all(&flight).await.expect("we read"),
        }
    };
    let mut stream = connected.expect("no panic").expect("they agree");
    let _finish =
        tokio::spawn(async move { tokio::io::copy(&mut from_ours, &mut to_theirs).await });
    stream.flush().await.expect("we are there");
    let ticket = record(&mut from_theirs).await;
    to_ours.write_all(&ticket).await.expect("we read");
    drop(to_ours);
    let read = soon("the end", stream.read(&mut [0; 9])).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    stream
        .write_all(b"still")
        .await
        .expect("the other half is open");
    stream.shutdown().await.expect("and can be closed");
}

#[tokio::test]
async fn what_came_whole_before_a_broken_record_is_read_first() {
    let settings = settings(&[&TLS13]);
    let ((ours, mut near), (mut far, theirs)) = (pair(), pair());
    let joining = join(&settings, ours, theirs);
    let passing = tokio::io::copy_bidirectional(&mut near, &mut far);
    let (mut server, mut client) = tokio::select! {
        both = joining => both,
        _ = passing => panic!("neither end leaves"),
    };
    client.write_all(b"last words").await.expect("it is open");
    let mut sent = record(&mut far).await;
    sent.extend(b"\x17\x03\x03\0\x20");
    sent.extend([0; 32]);
    near.write_all(&sent).await.expect("we read");
    let mut words = [0; 10];
    let read = soon("the words", server.read_exact(&mut words)).await;
    assert_eq!(
        (read.expect("they came whole"), &words),
        (10, b"last words")
    );
    let read = soon("the break", server.read(&mut words)).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn what_is_no_hello_is_refused_with_an_alert() {
    let settings = settings(&[&TLS13]);
    let (ours, mut theirs) = pair();
    theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let accepting = TlsStream::accept(Socket::Unix(ours), settings.server);
    let refused = soon("a refusal", accepting).await.unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::InvalidData);
    drop(refused);
    let mut answer = Vec::new();
    soon("an alert", theirs.read_to_end(&mut answer))
        .await
        .expect("the socket ends");
    assert_eq!(answer.first(), Some(&21), "an alert record: {answer:?}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_waited_for() {
    let (mut server, mut client) = connected(&settings(&[&TLS13])).await;
    let bytes = noise(4 << 20);
    let sent = bytes.clone();
    let mut sending = tokio::spawn(async move {
        server.write_all(&sent).await?;
        server.shutdown().await
    });
    let early = tokio::time::timeout(Duration::from_millis(100), &mut sending).await;
    assert!(early.is_err(), "nobody has read, and all was taken");
    let mut received = Vec::new();
    soon("all bytes", client.read_to_end(&mut received))
        .await
        .expect("a clean end");
    assert!(received == bytes);
    sending.await.expect("no panic").expect("all was taken");
}
