//! Whole tunnels between peers that send, read and pause at random, while the gateway puts frames of its own
//! in and a drain begins at any moment: no peer ever sees a broken frame, and what one sends is what the
//! other gets, up to the Close.

use std::io;
use std::time::Duration;

use proptest::prelude::*;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use super::super::End;
use super::frames::{CLOSE, CONTINUED, ENDED, PING, PONG, TEXT, TEXT_BEGUN, frame};
use super::peer::{Frame, GATEWAY_PING, Passed, Script};
use super::{record, terms, tunnel};
use crate::config;
use crate::drain::{Drain, Plan};
use crate::stream::{Socket, Stream};
use crate::websocket::Side;

/// Longer than any case takes; one that takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
struct Case {
    client: Script,
    backend: Script,
    /// Milliseconds.
    ping_interval: Option<u64>,
    /// Microseconds until a drain begins.
    drain_after: Option<u64>,
    socket_buffer: usize,
    is_tcp: bool,
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0..200_usize,
        2 => 120..70_000_usize,
        1 => 60_000..400_000_usize,
    ]
}

/// A message of some fragments, with control frames behind each.
fn messages(sender: Side) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let controls = prop::collection::vec((prop_oneof![Just(PING), Just(PONG)], 0..125_usize), 0..3);
    let fragments = prop::collection::vec((lengths(), any::<u8>(), controls), 1..4);
    fragments.prop_map(move |fragments| {
        let last = fragments.len() - 1;
        let mut frames = Vec::new();
        for (place, (length, byte, controls)) in fragments.into_iter().enumerate() {
            let first = match (place == 0, place == last) {
                (true, true) => TEXT,
                (true, false) => TEXT_BEGUN,
                (false, false) => CONTINUED,
                (false, true) => ENDED,
            };
            frames.push(frame(sender, first, &vec![byte; length]));
            let controls = controls
                .into_iter()
                .filter(|(_, length)| *length != GATEWAY_PING);
            frames
                .extend(controls.map(|(first, length)| frame(sender, first, &vec![byte; length])));
        }
        frames
    })
}

fn scripts(sender: Side) -> impl Strategy<Value = Script> {
    let frames = prop::collection::vec(messages(sender), 0..12);
    (frames, any::<u64>()).prop_map(move |(frames, seed)| Script {
        sender,
        frames: frames.concat(),
        closes: false,
        stops: true,
        seed,
    })
}

fn cases() -> impl Strategy<Value = Case> {
    (
        scripts(Side::Client),
        scripts(Side::Backend),
        prop::option::of(1..8_u64),
        prop::option::of(0..20_000_u64),
        prop_oneof![Just(4 << 10), Just(64 << 10)],
        any::<bool>(),
    )
        .prop_map(
            |(mut client, mut backend, ping_interval, drain_after, socket_buffer, is_tcp)| {
                if drain_after.is_none() {
                    client.closes = true;
                    backend.stops = false;
                }
                Case {
                    client,
                    backend,
                    ping_interval,
                    drain_after,
                    socket_buffer,
                    is_tcp,
                }
            },
        )
}

/// The end of a peer, and that of the tunnel.
async fn pair(case: &Case) -> (Socket, End<'static>) {
    let [peer, ours] = if case.is_tcp {
        tcp_pair(case.socket_buffer).await
    } else {
        unix_pair(case.socket_buffer)
    };
    let stream = Stream::Plain(ours);
    (peer, End { stream, early: &[] })
}

fn unix_pair(buffer: usize) -> [Socket; 2] {
    let (peer, ours) = UnixStream::pair().expect("the system gives sockets");
    [peer, ours].map(|socket| {
        SockRef::from(&socket)
            .set_send_buffer_size(buffer)
            .expect("the socket is open");
        Socket::Unix(socket)
    })
}

async fn tcp_pair(buffer: usize) -> [Socket; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let (peer, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (ours, _) = ours.expect("it was dialled");
    [peer.expect("it listens"), ours].map(|socket| {
        SockRef::from(&socket)
            .set_send_buffer_size(buffer)
            .expect("the socket is open");
        Socket::Tcp(socket.into())
    })
}

async fn run(case: Case) -> [Passed; 2] {
    let mut terms = terms();
    terms.close = PATIENCE * 2;
    terms.half_close = PATIENCE * 2;
    terms.websocket.ping = case.ping_interval.map(|interval| config::Ping {
        interval: Duration::from_millis(interval),
        timeout: PATIENCE * 2,
        client: true,
        backend: true,
    });
    let drain = Drain::default();
    let (client, to_client) = pair(&case).await;
    let (backend, to_backend) = pair(&case).await;
    let tunnel = tunnel([to_client, to_backend], terms, &drain, record(io::sink()).0);
    let draining = async {
        if let Some(after) = case.drain_after {
            sleep(Duration::from_micros(after)).await;
            drain.begin(Plan::now(Duration::ZERO));
        }
    };
    let all = async {
        tokio::join!(
            tokio::spawn(tunnel),
            tokio::spawn(case.client.play(client)),
            tokio::spawn(case.backend.play(backend)),
            draining,
        )
    };
    let (tunnel, client, backend, ()) = timeout(PATIENCE, all).await.expect("the session ends");
    tunnel.expect("the tunnel does not panic");
    [client, backend].map(|passed| passed.expect("no peer sees anything broken"))
}

/// What `received` holds besides frames of the gateway's own has to be what `sent` begins with. Returns
/// whether it is all of it.
fn check(sent: &Passed, received: &Passed, code: u16) -> bool {
    let (last, before) = received.received.split_last().expect("at least a Close");
    assert_eq!(last.first(), CLOSE, "the last frame");
    assert!(last.payload.starts_with(&code.to_be_bytes()), "{last:?}");
    let passed: Vec<u8> = before
        .iter()
        .filter(|frame| !frame.is_gateway_ping())
        .flat_map(|frame: &Frame| frame.bytes.iter().copied())
        .collect();
    assert!(
        sent.sent.starts_with(&passed),
        "other bytes than those sent"
    );
    sent.sent.len() == passed.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_peer_sees_a_broken_frame_and_all_passes_up_to_the_close(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let is_drained = case.drain_after.is_some();
        let [client, backend] = runtime.block_on(run(case));
        let codes = if is_drained { [1001, 1012] } else { [1000; 2] };
        let is_whole = [
            check(&client, &backend, codes[0]),
            check(&backend, &client, codes[1]),
        ];
        prop_assert!(is_drained || is_whole == [true; 2]);
    }
}
