//! What backends answer to an opening handshake: agreements that are none, refusals, and nothing at all.

use crate::backends::Backend;
use crate::harness::{
    Answer, Gateway, Opening, Refusal, Wire, ask, before, eventually, repeatedly, routed,
};

const BACKEND_FAILED: Refusal<'_> = Refusal {
    status: 502,
    result: "backend_failed",
    route: "chat",
};
const BACKEND_TIMEOUT: Refusal<'_> = Refusal {
    status: 504,
    result: "backend_timeout",
    route: "chat",
};

/// The only backend broke the handshake: the client is told so, and no tunnel is open.
async fn expect_broken(backend: Backend) {
    let gateway = Gateway::start(&before(&[&backend])).await;
    let request = Opening::to("/");
    gateway.expect_refusal(request, BACKEND_FAILED).await;
    let line = gateway.line("refused").await;
    assert_eq!(line["detail"], "handshake_failed");
    backend.is_left().await;
    let connects = [("pool", "chat"), ("result", "handshake_failed")];
    assert_eq!(
        gateway.count("wsgate_backend_connects_total", &connects),
        1.0
    );
    assert_eq!(gateway.count("wsgate_backend_sessions_active", &[]), 0.0);
    assert_eq!(gateway.count("wsgate_sessions_active", &[]), 0.0);
}

#[tokio::test]
async fn a_wrong_accept_is_502() {
    expect_broken(Backend::wrong_accept().await).await;
}

#[tokio::test]
async fn a_missing_accept_is_502() {
    expect_broken(Backend::missing_accept().await).await;
}

#[tokio::test]
async fn two_accepts_are_502() {
    expect_broken(Backend::two_accepts().await).await;
}

#[tokio::test]
async fn a_101_without_upgrade_is_502() {
    expect_broken(Backend::no_upgrade().await).await;
}

#[tokio::test]
async fn a_101_without_connection_is_502() {
    expect_broken(Backend::no_connection().await).await;
}

#[tokio::test]
async fn a_101_to_h2c_is_502() {
    expect_broken(Backend::h2c().await).await;
}

#[tokio::test]
async fn garbage_is_502() {
    expect_broken(Backend::garbage().await).await;
}

/// Its coding would be lost on the way.
#[tokio::test]
async fn a_refusal_with_an_unknown_coding_is_502() {
    let answer = "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
                  5\r\nhello\r\n0\r\n\r\n";
    expect_broken(Backend::answering(answer).await).await;
}

#[tokio::test]
async fn a_head_without_end_is_502() {
    expect_broken(Backend::endless_head().await).await;
}

#[tokio::test]
async fn an_end_before_the_answer_is_502() {
    expect_broken(Backend::ending().await).await;
}

#[tokio::test]
async fn an_end_within_the_answer_is_502() {
    expect_broken(Backend::ending_within().await).await;
}

#[tokio::test]
async fn a_reset_before_the_answer_is_502() {
    expect_broken(Backend::resetting_at_once().await).await;
}

#[tokio::test]
async fn interim_answers_without_end_are_502() {
    expect_broken(Backend::endless_hints().await).await;
}

/// RFC 9110 section 15.2.
#[tokio::test]
async fn a_101_behind_interim_answers_opens_the_session() {
    let agreement = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\nearly";
    let backend = Backend::answering(agreement).await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").text()).await;
    let head = wire.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.value("link"), None);
    assert_eq!(wire.take(5).await, b"early");
}

#[tokio::test]
async fn a_refused_connection_is_502() {
    let backend = Backend::absent();
    let gateway = Gateway::start(&before(&[&backend])).await;
    gateway
        .expect_refusal(Opening::to("/"), BACKEND_FAILED)
        .await;
    let line = gateway.line("refused").await;
    assert_eq!(line["detail"], "connect_failed");
    let connects = [("pool", "chat"), ("result", "connect_failed")];
    assert_eq!(
        gateway.count("wsgate_backend_connects_total", &connects),
        1.0
    );
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_502() {
    let yaml = before(&[]).replace("[]", "[\"ws://no-such-host.invalid:80\"]");
    let gateway = Gateway::start(&yaml).await;
    gateway
        .expect_refusal(Opening::to("/"), BACKEND_FAILED)
        .await;
    let line = gateway.line("refused").await;
    assert_eq!(line["detail"], "resolve_failed");
}

/// The backend listens on IPv4 only; where the name leads to IPv6 as well, that is passed over.
#[tokio::test]
async fn a_backend_is_found_by_name() {
    let backend = Backend::echo().await;
    let url = format!("ws://localhost:{}", backend.address().port());
    let yaml = before(&[&backend]).replace(&backend.url(), &url);
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.status(), 101);
}

#[tokio::test]
async fn no_answer_in_time_is_504() {
    let backend = Backend::silent().await;
    let keys = "origins: any, timeouts: { handshake: 200ms }";
    let gateway = Gateway::start(&routed(keys, &[&backend])).await;
    gateway
        .expect_refusal(Opening::to("/"), BACKEND_TIMEOUT)
        .await;
    backend.is_left().await;
    let connects = [("pool", "chat"), ("result", "timeout")];
    assert_eq!(
        gateway.count("wsgate_backend_connects_total", &connects),
        1.0
    );
}

#[tokio::test]
async fn a_client_that_leaves_early_frees_the_backend() {
    let backend = Backend::silent().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").text()).await;
    eventually("the backend is asked", || !backend.heads().is_empty()).await;
    drop(wire);
    backend.is_left().await;
    let line = gateway.line("refused").await;
    assert_eq!(line["result"], "client_gone");
    assert!(
        backend.url().ends_with(line["backend"].as_str().unwrap()),
        "{line}"
    );
    assert_eq!(gateway.handshakes("chat", "client_gone"), 1.0);
    let connects = [("pool", "chat"), ("result", "abandoned")];
    assert_eq!(
        gateway.count("wsgate_backend_connects_total", &connects),
        1.0
    );
}

/// Asks, and expects that the backend's answer comes as it is; that both sockets are freed (trap 2).
async fn relayed(backend: Backend, status: u16) -> Answer {
    let gateway = Gateway::start(&before(&[&backend])).await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.status(), status);
    backend.is_left().await;
    let line = gateway.line("refused").await;
    assert_eq!(line["result"], "backend_answered");
    assert_eq!(line["status"], status);
    assert_eq!(line["backend"], backend.address().to_string());
    assert_eq!(gateway.handshakes("chat", "backend_answered"), 1.0);
    assert_eq!(gateway.handshakes("chat", "accepted"), 0.0);
    assert_eq!(gateway.count("wsgate_backend_sessions_active", &[]), 0.0);
    repeatedly("the client's connection is freed", async || {
        let status = gateway.status().await;
        (status["listeners"][0]["connections"] == 0).then_some(())
    })
    .await;
    answer
}

#[tokio::test]
async fn a_403_with_its_length_is_relayed() {
    let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\nContent-Type: text/x-own\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nnot you";
    let answer = relayed(Backend::answering(answer).await, 403).await;
    assert_eq!(answer.body, "not you");
    assert_eq!(answer.values("content-type"), ["text/x-own"]);
    assert_eq!(answer.values("set-cookie"), ["a=1", "b=2"]);
}

#[tokio::test]
async fn a_401_keeps_its_challenge() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\
         WWW-Authenticate: Basic realm=\"chat\"\r\n\r\n";
    let answer = relayed(Backend::answering(answer).await, 401).await;
    assert_eq!(answer.values("www-authenticate"), ["Basic realm=\"chat\""]);
}

#[tokio::test]
async fn a_200_in_chunks_is_relayed() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let answer = relayed(Backend::answering(answer).await, 200).await;
    assert_eq!(answer.body, "hello world");
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_relayed() {
    let answer = "HTTP/1.1 503 Service Unavailable\r\n\r\nuntil the end";
    let answer = relayed(Backend::answering_and_ending(answer).await, 503).await;
    assert_eq!(answer.body, "until the end");
}

#[tokio::test]
async fn a_426_keeps_what_it_asks_for() {
    let answer = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n";
    let answer = relayed(Backend::answering(answer).await, 426).await;
    assert_eq!(answer.values("upgrade"), ["websocket"]);
    assert_eq!(answer.values("sec-websocket-version"), ["8"]);
    assert!(answer.head.spells("Sec-WebSocket-Version"), "{answer:?}");
}

#[tokio::test]
async fn a_final_answer_behind_an_interim_one_is_relayed() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
    let answer = relayed(Backend::answering(answer).await, 404).await;
    assert_eq!(answer.body, "gone");
}

#[tokio::test]
async fn what_concerns_one_connection_is_not_relayed() {
    let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: X-Hop, close\r\n\
         X-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 2\r\n\r\n";
    let answer = relayed(Backend::answering(answer).await, 403).await;
    assert_eq!(answer.value("x-hop"), None);
    assert_eq!(answer.value("keep-alive"), None);
    assert_eq!(answer.values("x-end"), ["2"]);
}
