//! Clients that are answered before they have sent all.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use wsgate::server::Outcome;

use super::{REQUEST, listening};
use crate::harness::{Gateway, Identity, Wire, connect_tls, directory, soon};

/// More than sockets and buffers on the way hold.
const LENGTH: usize = 24 << 20;

/// Sends all of a body before it reads, as many do.
async fn upload<S: AsyncRead + AsyncWrite + Unpin>(mut client: Wire<S>) {
    client.send(head()).await;
    client.send(vec![b'x'; LENGTH]).await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(client.rest().await, b"");
}

fn head() -> String {
    format!("POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {LENGTH}\r\n\r\n")
}

#[tokio::test]
async fn who_sends_all_before_reading_has_the_answer() {
    let gateway = Gateway::start(&listening("")).await;
    upload(Wire::connect(gateway.address()).await).await;
}

#[tokio::test]
async fn who_sends_all_before_reading_has_the_answer_over_tls() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["gateway.test"]);
    let tls = format!(", tls: {{ certificates: [{}] }}", identity.yaml());
    let gateway = Gateway::start_in(directory, &listening(&tls)).await;
    let stream = connect_tls(gateway.address(), "gateway.test", identity.trust()).await;
    upload(Wire::new(stream.expect("TLS"))).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_who_goes_on_sending() {
    let drain = "drain: { deadline: 8s }\n";
    let mut gateway = Gateway::start(&format!("{}{drain}", listening(""))).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(head()).await;
    assert_eq!(client.answer().await.status(), 200);
    gateway.stop().await;
    go_on(&mut client).await;
    assert_eq!(gateway.outcome().await, Outcome::Drained);
}

/// It holds one of the few places for those that are only refused.
#[tokio::test]
async fn who_is_refused_and_goes_on_sending_is_left_soon() {
    let gateway = Gateway::start(&listening(", limits: { max_connections: 1 }")).await;
    let mut held = Wire::connect(gateway.address()).await;
    held.send(REQUEST).await;
    assert_eq!(held.answer().await.status(), 200);
    let mut surplus = Wire::connect(gateway.address()).await;
    surplus.send(head()).await;
    assert_eq!(surplus.answer().await.status(), 503);
    soon("it is left", go_on(&mut surplus)).await;
}

/// Sends more of a body, bit by bit, until the other side has left.
async fn go_on(client: &mut Wire) {
    while client.try_send([b'x'; 1024]).await {
        sleep(Duration::from_millis(20)).await;
    }
}
