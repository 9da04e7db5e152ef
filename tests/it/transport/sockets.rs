//! Backends behind unix sockets, and the local addresses that connections go out from.

use tokio::net::TcpListener;

use super::trust::BACKEND_FAILED;
use super::yaml;
use crate::backends::{Backend, Front};
use crate::harness::{Gateway, Opening, ask, close, directory, echo, eventually, open, soon};
use crate::process::Process;
use crate::venue::{Transport, Venue};

#[tokio::test]
async fn a_session_runs_over_a_unix_socket() {
    let backend = Backend::echo().await;
    let directory = directory();
    let front = Front::unix(&directory.path().join("backend"), &backend);
    let gateway = Gateway::start_in(directory, &yaml("unix:backend", "")).await;
    assert!(front.url().ends_with("/backend"));
    let mut session = open(gateway.address(), "/").await;
    echo(&mut session, "over a unix socket").await;
    close(session).await;
    let opened = [("backend", "unix:backend"), ("result", "opened")];
    assert_eq!(gateway.count("wsgate_backend_connects_total", &opened), 1.0);
}

#[tokio::test]
async fn a_unix_socket_that_is_not_there_is_502() {
    let gateway = Gateway::start(&yaml("unix:nowhere", "")).await;
    gateway
        .expect_refusal(Opening::to("/"), BACKEND_FAILED)
        .await;
    assert_eq!(gateway.line("refused").await["detail"], "connect_failed");
}

#[tokio::test]
async fn connections_go_out_from_the_source_addresses_in_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("a bound socket"));
    let sources = "source_addresses: [127.0.0.2, 127.0.0.3],";
    let gateway = Gateway::start(&yaml(&url, sources)).await;
    for expected in ["127.0.0.2", "127.0.0.3", "127.0.0.2"] {
        let asking = ask(gateway.address(), Opening::to("/").text());
        let accepting = async {
            let (stream, peer) = listener.accept().await.expect("a connection");
            drop(stream);
            peer.ip().to_string()
        };
        let (answer, source) = soon("both", async { tokio::join!(asking, accepting) }).await;
        assert_eq!(source, expected);
        assert_eq!(answer.status(), 502);
    }
}

/// Of a backend that vanished without a word nobody would hear otherwise.
#[tokio::test]
async fn the_system_asks_whether_a_backend_is_there() {
    let venue = Venue::start(Transport::Plain).await;
    let (_client, backend) = venue.session().await;
    let backend = backend.into_stream();
    let port = backend.peer_addr().expect("a connection").port();
    let server = backend.local_addr().expect("a connection").port();
    // The whole pair: a local port alone may belong to connections to other servers as well.
    let ends = [port, server].map(|port| format!("0100007F:{port:04X}"));
    let is_asked = || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("this is Linux");
        let mut sockets = sockets.lines().map(|line| line.split_whitespace().skip(1));
        // Which timer runs; 2 is that of keepalive (Linux, Documentation/networking/proc_net_tcp.rst).
        let timer = sockets.find_map(|mut it| it.by_ref().take(2).eq(&ends).then(|| it.nth(2))?);
        timer.is_some_and(|timer| timer.starts_with("02:"))
    };
    eventually("keepalive towards the backend", is_asked).await;
}

#[tokio::test]
async fn a_source_address_of_another_machine_is_502() {
    let backend = Backend::echo().await;
    let yaml = yaml(&backend.url(), "source_addresses: [192.0.2.1],");
    let gateway = Gateway::start(&yaml).await;
    gateway
        .expect_refusal(Opening::to("/"), BACKEND_FAILED)
        .await;
    assert_eq!(gateway.line("refused").await["detail"], "connect_failed");
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn what_the_gateway_lacks_is_not_told_as_a_failure_of_the_backend() {
    let backend = Backend::echo().await;
    let yaml = yaml(&backend.url(), "source_addresses: [192.0.2.1],");
    let process = Process::start(&yaml).await;
    let mut client = process.connect().await;
    client.send(Opening::to("/").text()).await;
    assert_eq!(client.answer().await.status(), 502);
    let words = "no connection to backend: the source address 192.0.2.1 cannot be used";
    eventually("it is told", || process.log().contains(words)).await;
    assert!(!process.log().contains("backend failed"));
}
