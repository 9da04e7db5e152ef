//! Clients that are answered before they have sent all.

use tokio::io::{AsyncRead, AsyncWrite};

use super::listening;
use crate::harness::{Gateway, Identity, Wire, connect_tls, directory};

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
    let mut gateway = Gateway::start(&listening("")).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(head()).await;
    assert_eq!(client.answer().await.status(), 200);
    gateway.stop().await;
    while client.try_send([b'x'; 1024]).await {}
    gateway.outcome().await;
}
