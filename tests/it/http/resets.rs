//! How connections to backends end.

use super::{OK, Stage, configuration, get};
use crate::harness::{Gateway, Opening};
use crate::venue::Arrivals;

/// A close in order would keep a local port for a minute, and a client that asks and leaves could use all of them up.
#[tokio::test]
async fn a_backend_whose_answer_nobody_waits_for_is_reset() {
    let arrivals = Arrivals::listen().await;
    let both = "protocols: [http, websocket], origins: any";
    let yaml = configuration("", &[&arrivals]).replace("protocols: [http]", both);
    let gateway = Gateway::start(&yaml).await;
    let stage = Stage { gateway, arrivals };
    let opening = Opening::to("/").text();
    for request in [get("/"), opening] {
        let (client, _, mut backend) = stage.ask(&request).await;
        client.reset();
        assert!(backend.is_reset().await, "{request}");
    }
    // These are answered, and not used again.
    let with_body = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    for request in [with_body, &Opening::to("/").text()] {
        let (mut client, _, mut backend) = stage.ask(request).await;
        backend.send(OK).await;
        assert_eq!(client.answer().await.body, "ok");
        assert!(backend.is_reset().await, "{request}");
    }
}

/// Programs post and close without waiting, and a busy backend reads it later.
#[tokio::test]
async fn what_is_on_its_way_to_a_slow_backend_is_not_lost() {
    let body = "x".repeat(200_000);
    let stage = Stage::set().await;
    let post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{body}");
    let (client, _, mut backend) = stage.ask(&post).await;
    drop(client);
    // The gateway has given it up.
    stage.gateway.line("request").await;
    assert_eq!(backend.sent().await, body.as_bytes());
}

#[tokio::test]
async fn an_idle_backend_connection_is_closed_in_order() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    assert!(!backend.is_reset().await);
}
