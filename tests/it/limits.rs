//! Refusals for want of room or time: heads that are too large or too slow, too many connections, a stop.

use serde_json::Value;
use tokio::net::TcpStream;

use crate::backends::Backend;
use crate::harness::{
    Answer, Gateway, Opening, Refusal, Wire, ask, before, close, echo, eventually_some,
    expect_few_words, open, repeatedly,
};

/// A listener with these keys.
fn listener(keys: &str) -> String {
    format!("listeners: {{ main: {{ address: \"127.0.0.1:0\", {keys} }} }}\n")
}

/// Sends bytes that never become a request, and expects to be told so and to be let go.
async fn expect_cut_short(gateway: &Gateway, bytes: &str, status: u16, result: &str) {
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(bytes).await;
    let answer = wire.answer().await;
    assert_eq!(answer.status(), status, "{answer:?}");
    expect_few_words(&answer);
    assert_eq!(answer.values("connection"), ["close"]);
    assert_eq!(wire.rest().await, b"");
    let line = gateway.line("refused").await;
    assert_eq!(line["status"], status, "{line}");
    assert_eq!(line["result"], result, "{line}");
    assert_eq!(gateway.handshakes("", result), 1.0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let backend = Backend::echo().await;
    let yaml = listener("limits: { request_head: 8KiB }") + &before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let request = Opening::to("/").with("X-Large", &"x".repeat(9000)).text();
    expect_cut_short(&gateway, &request, 431, "head_too_large").await;
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_head_of_too_many_fields_is_431() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let many = (0..2000).fold(Opening::to("/"), |request, _| request.with("X", "1"));
    expect_cut_short(&gateway, &many.text(), 431, "head_too_large").await;
}

#[tokio::test]
async fn a_target_that_is_too_long_is_414() {
    let backend = Backend::echo().await;
    let yaml = listener("limits: { request_head: 8KiB }") + &before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let request = format!("GET /{}", "x".repeat(9000));
    expect_cut_short(&gateway, &request, 414, "target_too_long").await;
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_slow_is_408() {
    let backend = Backend::echo().await;
    let yaml = listener("timeouts: { request_header: 1s }") + &before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let request = "GET / HTTP/1.1\r\nHost: gateway.test\r\n";
    expect_cut_short(&gateway, request, 408, "head_too_slow").await;
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go_without_words() {
    let backend = Backend::echo().await;
    let yaml = listener("timeouts: { request_header: 200ms }") + &before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let mut wire = Wire::connect(gateway.address()).await;
    assert_eq!(wire.rest().await, b"");
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_let_go() {
    let backend = Backend::echo().await;
    let yaml = listener("timeouts: { keep_alive: 200ms }") + &before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").without("Upgrade").text()).await;
    assert_eq!(wire.answer().await.status(), 426);
    assert_eq!(wire.rest().await, b"");
}

const GATEWAY_FULL: Refusal<'_> = Refusal {
    status: 503,
    result: "gateway_full",
    route: "",
};

fn expect_retry_after(answer: &Answer) {
    let wait = answer
        .value("retry-after")
        .and_then(|wait| wait.parse().ok());
    assert!(wait.is_some_and(|wait: u32| wait > 0), "{answer:?}");
}

/// Trap 19.
#[tokio::test]
async fn a_pool_without_backends_is_503() {
    let gateway = Gateway::start(&before(&[])).await;
    let no_backend = Refusal {
        status: 503,
        result: "no_ready_backend",
        route: "chat",
    };
    let answer = gateway.expect_refusal(Opening::to("/"), no_backend).await;
    expect_retry_after(&answer);
}

#[tokio::test]
async fn one_connection_too_many_is_503_until_there_is_room() {
    let backend = Backend::echo().await;
    let yaml = listener("limits: { max_connections: 1 }") + &before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let mut socket = open(gateway.address(), "/").await;
    let answer = gateway.expect_refusal(Opening::to("/"), GATEWAY_FULL).await;
    expect_retry_after(&answer);
    assert_eq!(backend.connections(), 1);
    let full = [("listener", "main"), ("reason", "full")];
    assert_eq!(gateway.count("wsgate_listener_rejects_total", &full), 1.0);
    echo(&mut socket, "still here").await;
    close(socket).await;
    repeatedly("there is room again", async || {
        let mut wire = Wire::connect(gateway.address()).await;
        wire.send(Opening::to("/").text()).await;
        (wire.answer().await.status() == 101).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_that_comes_while_the_gateway_stops_is_503() {
    let backend = Backend::echo().await;
    let yaml = "runtime: { workers: 1 }\n".to_owned() + &before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let mut late = Wire::connect(gateway.address()).await;
    let request = Opening::to("/").text();
    let (beginning, rest) = request.split_at(20);
    late.send(beginning).await;
    // A connection without a byte would be ended. Once the only worker has answered a later one, it has
    // read this one.
    let later = ask(
        gateway.address(),
        Opening::to("/").without("Upgrade").text(),
    )
    .await;
    assert_eq!(later.status(), 426);
    gateway.stop().await;
    // The drain begins as the listener closes.
    repeatedly("the listener closes", async || {
        let connected = TcpStream::connect(gateway.address()).await;
        connected.is_err().then_some(())
    })
    .await;
    late.send(rest).await;
    let answer = late.answer().await;
    assert_eq!(answer.status(), 503, "{answer:?}");
    expect_few_words(&answer);
    expect_retry_after(&answer);
    let refused = |line: &Value| line["result"] == "draining";
    let find = || gateway.log().lines().into_iter().find(refused);
    // Its count went with the gateway, which had nothing else to wait for.
    let line = eventually_some("a line of the refusal", find).await;
    assert_eq!(line["route"], "chat", "{line}");
    assert_eq!(backend.connections(), 0);
}
