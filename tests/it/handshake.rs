//! Opening handshakes: those that are taken, and each way to be refused by the gateway itself.

use crate::backends::Backend;
use crate::harness::{ACCEPT, Gateway, Opening, Wire, ask, close, echo, open};

/// One route for everything, to one backend.
fn before(backend: &Backend) -> String {
    format!(
        "routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
         pools: {{ chat: {{ backends: [\"{}\"] }} }}\n",
        backend.url()
    )
}

#[tokio::test]
async fn a_session_opens_and_messages_pass() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&backend)).await;
    let mut socket = open(gateway.address(), "/chat").await;
    echo(&mut socket, "hello").await;
    close(socket).await;
    let line = gateway.line("close").await;
    assert_eq!(line["route"], "chat");
    assert_eq!(gateway.handshakes("chat", "accepted"), 1.0);
}

#[tokio::test]
async fn the_101_answers_the_key_of_the_client() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&backend)).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").text()).await;
    let head = wire.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.values("sec-websocket-accept"), [ACCEPT]);
}

#[tokio::test]
async fn no_route_is_404() {
    let backend = Backend::echo().await;
    let yaml = before(&backend).replace("origins: any", "match: { path: /chat }, origins: any");
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(gateway.address(), Opening::to("/other").text()).await;
    assert_eq!(answer.status(), 404);
    let line = gateway.line("refused").await;
    assert_eq!(line["result"], "no_route");
    assert_eq!(gateway.handshakes("", "no_route"), 1.0);
    assert_eq!(backend.connections(), 0);
}
