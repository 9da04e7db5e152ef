//! Who may connect, and how many connections one client may have.

use http::Request;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{REQUEST, listening, rejects};
use crate::harness::{
    Gateway, Http2, Identity, Wire, ask, connect_tls, directory, eventually, repeatedly, soon,
};

/// Whether a request from there is answered; otherwise the connection ends without a byte.
async fn is_let_in(gateway: &Gateway, from: &str) -> bool {
    let mut wire = Wire::connect_from(from, gateway.address()).await;
    wire.try_send(REQUEST).await;
    let mut answer = [0; 13];
    let mut stream = wire.into_stream();
    let read = soon("an answer or the end", stream.read_exact(&mut answer)).await;
    assert!(read.is_err() || answer == *b"HTTP/1.1 200 ");
    read.is_ok()
}

#[tokio::test]
async fn deny_wins_over_allow_and_the_rest_is_not_let_in() {
    let keys = ", allow: [127.0.0.0/30], deny: [127.0.0.2]";
    let gateway = Gateway::start(&listening(keys)).await;
    assert!(is_let_in(&gateway, "127.0.0.1").await);
    assert!(!is_let_in(&gateway, "127.0.0.2").await);
    assert!(!is_let_in(&gateway, "127.0.0.9").await);
    assert_eq!(rejects(&gateway, "denied"), 2.0);
}

/// The client that holds the only place of an address, and is still answered at the end.
async fn hold(gateway: &Gateway, from: &str) -> Wire<TcpStream> {
    let mut wire = Wire::connect_from(from, gateway.address()).await;
    wire.send(REQUEST).await;
    assert_eq!(wire.answer().await.status(), 200);
    wire
}

#[tokio::test]
async fn a_client_over_its_limit_is_429_and_others_are_not_concerned() {
    let keys = ", limits: { max_connections_per_client: 1 }";
    let gateway = Gateway::start(&listening(keys)).await;
    let mut held = hold(&gateway, "127.0.0.2").await;
    let mut surplus = Wire::connect_from("127.0.0.2", gateway.address()).await;
    surplus.send(REQUEST).await;
    let answer = surplus.answer().await;
    assert_eq!(answer.status(), 429);
    assert!(answer.value("retry-after").is_some());
    assert!(surplus.rest().await.is_empty());
    assert_eq!(rejects(&gateway, "client_full"), 1.0);
    assert_eq!(gateway.line("refused").await["result"], "client_full");
    let _other = hold(&gateway, "127.0.0.3").await;
    held.send(REQUEST).await;
    assert_eq!(held.answer().await.status(), 200);
}

#[tokio::test]
async fn what_is_only_refused_takes_no_place_of_its_client() {
    let keys = ", limits: { max_connections_per_client: 1 }, timeouts: { request_header: 1h }";
    let gateway = Gateway::start(&listening(keys)).await;
    let held = hold(&gateway, "127.0.0.2").await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(Wire::connect_from("127.0.0.2", gateway.address()).await);
    }
    eventually("they are to be refused", || {
        rejects(&gateway, "client_full") == 3.0
    })
    .await;
    drop(held);
    let is_let_in = async || {
        let mut wire = Wire::connect_from("127.0.0.2", gateway.address()).await;
        wire.send(REQUEST).await;
        (wire.answer().await.status() == 200).then_some(())
    };
    repeatedly("the place is free", is_let_in).await;
}

/// Over TLS, and as an answer of HTTP/2, it is told as well.
#[tokio::test]
async fn a_client_over_its_limit_is_429_under_tls_and_over_http2() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["gateway.test"]);
    let keys = format!(
        ", limits: {{ max_connections_per_client: 1 }}, tls: {{ certificates: [{}] }}",
        identity.yaml()
    );
    let gateway = Gateway::start_in(directory, &listening(&keys)).await;
    let connect = async |protocol: &str| {
        let mut trust = identity.trust();
        trust.alpn_protocols = vec![protocol.into()];
        let stream = connect_tls(gateway.address(), "gateway.test", trust).await;
        stream.expect("who is told is let in first")
    };
    let mut held = Http2::over(connect("h2").await).await;
    let get = || Request::get("https://gateway.test/");
    assert_eq!(held.ask(get()).await.0.status(), 200);
    let mut surplus = Wire::new(connect("http/1.1").await);
    surplus.send(REQUEST).await;
    let answer = surplus.answer().await;
    assert_eq!(answer.status(), 429);
    assert!(answer.value("retry-after").is_some());
    let mut surplus = Http2::over(connect("h2").await).await;
    let (answer, _) = surplus.ask(get()).await;
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    // The gateway may have ended it while the client still writes.
    let _ended = surplus.ended().await;
    assert_eq!(held.ask(get()).await.0.status(), 200);
}

#[tokio::test]
async fn a_place_is_free_again_when_its_connection_has_ended() {
    let keys = ", limits: { max_connections_per_client: 1 }";
    let gateway = Gateway::start(&listening(keys)).await;
    drop(hold(&gateway, "127.0.0.1").await);
    let is_free = async || (ask(gateway.address(), REQUEST).await.status() == 200).then_some(());
    repeatedly("the place is free", is_free).await;
}

/// Eight are told; what is beyond is closed, so that nobody takes all places by waiting.
#[tokio::test]
async fn a_client_far_over_its_limit_is_closed() {
    let keys = ", limits: { max_connections_per_client: 1 }";
    let gateway = Gateway::start(&listening(keys)).await;
    let _held = hold(&gateway, "127.0.0.1").await;
    let mut waiting = Vec::new();
    for count in 1..=8 {
        waiting.push(Wire::connect_from("127.0.0.1", gateway.address()).await);
        let is_counted =
            async || (rejects(&gateway, "client_full") == f64::from(count)).then_some(());
        repeatedly("it is counted", is_counted).await;
    }
    assert!(!is_let_in(&gateway, "127.0.0.1").await);
    for mut wire in waiting {
        wire.send(REQUEST).await;
        assert_eq!(wire.answer().await.status(), 429);
    }
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_many_and_is_not_limited() {
    let keys = ", trusted_proxies: [127.0.0.2], limits: { max_connections_per_client: 1 }";
    let gateway = Gateway::start(&listening(keys)).await;
    let _first = hold(&gateway, "127.0.0.2").await;
    let _second = hold(&gateway, "127.0.0.2").await;
}

#[tokio::test]
async fn another_limit_holds_for_new_connections_and_throws_nobody_out() {
    let gateway = Gateway::start(&listening("")).await;
    let mut held = hold(&gateway, "127.0.0.2").await;
    let keys = ", deny: [127.0.0.3], limits: { max_connections_per_client: 1 }";
    gateway.change(&listening(keys)).await;
    let mut surplus = Wire::connect_from("127.0.0.2", gateway.address()).await;
    surplus.send(REQUEST).await;
    assert_eq!(surplus.answer().await.status(), 429);
    assert!(!is_let_in(&gateway, "127.0.0.3").await);
    held.send(REQUEST).await;
    assert_eq!(held.answer().await.status(), 200);
}
