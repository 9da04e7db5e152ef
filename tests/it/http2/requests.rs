//! Heads of HTTP/2: what is put together, and what is refused.

use std::pin::pin;
use std::time::Duration;

use http::{Request, Uri};
use tokio::time::timeout;

use super::listener;
use crate::backends::Backend;
use crate::harness::{Gateway, Http2, Wire, http2_connect as connect, soon};
use crate::venue::Arrivals;

const FIXED: &str = "routes: { fixed: { respond: { status: 200, body: in } } }\n";

async fn start(keys: &str) -> (Gateway, Http2) {
    let gateway = Gateway::start(&format!("{}{FIXED}", listener(keys))).await;
    let client = Http2::connect(gateway.address()).await;
    (gateway, client)
}

#[tokio::test]
async fn a_host_that_names_another_authority_is_refused() {
    let (gateway, mut client) = start("").await;
    let get = || Request::get("https://gateway.test/room?x=1");
    let same = get().header("host", "gateway.test");
    assert_eq!(client.ask(same).await.0.status(), 200);
    let other = get()
        .header("host", "other.test")
        .header("user-agent", "browser/1");
    let (answer, body) = client.ask(other).await;
    assert_eq!(
        (answer.status().as_u16(), body.as_str()),
        (400, "Host differs from :authority.\n")
    );
    let line = gateway.line("refused").await;
    for (key, value) in [
        ("result", "bad_request"),
        ("protocol", "h2"),
        ("host", "gateway.test"),
        ("path", "/room?x=***"),
        ("user_agent", "browser/1"),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
}

#[tokio::test]
async fn an_empty_scheme_is_refused() {
    let (_gateway, mut client) = start("").await;
    for (scheme, status) in [("", 400), ("http", 200), ("other", 200)] {
        let target = Uri::builder().scheme(scheme).authority("gateway.test");
        let target = target.path_and_query("/").build().expect("a target");
        let (answer, _) = client.ask(Request::get(target)).await;
        assert_eq!(answer.status(), status, "{scheme}");
    }
}

#[tokio::test]
async fn a_head_list_over_the_limit_is_refused() {
    let (gateway, mut client) = start(", limits: { request_head: 8KiB }").await;
    for kibibytes in [20, 12] {
        let long = "x".repeat(kibibytes << 10);
        let request = Request::get("https://gateway.test/").header("x-long", long);
        let (answer, _) = client.ask(request).await;
        assert_eq!(answer.status(), 431);
    }
    assert_eq!(gateway.line("refused").await["result"], "head_too_large");
    let sound = Request::get("https://gateway.test/");
    assert_eq!(client.ask(sound).await.0.status(), 200);
}

#[tokio::test]
async fn a_connection_too_many_is_told_and_ended() {
    let (gateway, mut client) = start(", limits: { max_connections: 1 }").await;
    let get = || Request::get("https://gateway.test/");
    assert_eq!(client.ask(get()).await.0.status(), 200);
    let mut surplus = Http2::connect(gateway.address()).await;
    let (answer, _) = surplus.ask(get()).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    surplus.ended().await.expect("an end in order");
    assert_eq!(client.ask(get()).await.0.status(), 200);
}

#[tokio::test]
async fn streams_over_the_limit_wait() {
    let backend = Backend::echo().await;
    let (gateway, mut client) = super::start(", limits: { http2_streams: 2 }", &backend).await;
    let (first, _) = client.open(connect("/")).await;
    let (_second, _) = client.open(connect("/")).await;
    let third = tokio::spawn(async move { client.open(connect("/")).await.0 });
    // On another connection one opens meanwhile.
    let mut other = Http2::connect(gateway.address()).await;
    let (_elsewhere, _) = other.open(connect("/")).await;
    assert_eq!(backend.connections(), 3, "the third waits");
    drop(first);
    let _third = soon("its turn", third).await.expect("nobody panics");
    assert_eq!(backend.connections(), 4);
}

/// Its clients take bytes behind the head for a broken stream (RFC 9113 section 8.1.1).
#[tokio::test]
async fn a_head_is_answered_without_the_body() {
    let yaml = "routes: { fixed: { match: { path: /in }, respond: { status: 200, body: in } } }\n";
    let gateway = Gateway::start(&format!("{}{yaml}", listener(""))).await;
    let mut client = Http2::connect(gateway.address()).await;
    for (path, status) in [("/in", 200), ("/out", 404)] {
        let target = format!("https://gateway.test{path}");
        let (whole, body) = client.ask(Request::get(&target)).await;
        let (answer, nothing) = client.ask(Request::head(&target)).await;
        assert_eq!((answer.status().as_u16(), nothing.as_str()), (status, ""));
        assert_eq!(answer.headers()["content-length"], body.len().to_string());
        assert_eq!(
            answer.headers()["content-type"],
            whole.headers()["content-type"]
        );
    }
}

/// A gateway before a backend that the scenario plays.
async fn before(arrivals: &Arrivals) -> (Gateway, Http2) {
    let route = arrivals.route();
    let gateway = Gateway::start(&format!("{}{route}", listener(""))).await;
    let client = Http2::connect(gateway.address()).await;
    (gateway, client)
}

/// Where the end of a body comes in a frame of its own, nobody asks for it once the announced length is there.
#[tokio::test]
async fn a_body_that_was_read_is_no_reason_to_end_the_backends_connection() {
    let arrivals = Arrivals::listen().await;
    let (_gateway, mut client) = before(&arrivals).await;
    let mut kept: Option<Wire> = None;
    for body in ["hello", "", "hello"] {
        let length = body.len().to_string();
        let post = Request::post("https://gateway.test/").header("content-length", length);
        let (answer, mut sending) = client.send_begun(post).await;
        sending
            .send_data(body.into(), false)
            .expect("an open stream");
        let mut backend = match kept.take() {
            None => arrivals.met().await.1,
            Some(mut backend) => {
                backend.head().await;
                backend
            }
        };
        backend.take(body.len()).await;
        sending.send_data("".into(), true).expect("an open stream");
        backend
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
        let answer = soon("an answer", answer).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        kept = Some(backend);
    }
}

/// For HTTP/2 they would break the stream.
#[tokio::test]
async fn trailers_that_concern_a_connection_are_left_out() {
    let arrivals = Arrivals::listen().await;
    let (_gateway, mut client) = before(&arrivals).await;
    let (answer, _sending) = client.send(Request::get("https://gateway.test/")).await;
    let (_, mut backend) = arrivals.met().await;
    let trailers = "Connection: x-hop, close\r\nX-Hop: 1\r\nKeep-Alive: x\r\nTE: gzip\r\nUpgrade: h2c\r\n\
                    Content-Length: 99\r\nTransfer-Encoding: chunked\r\nX-Sum: 1\r\n";
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    backend
        .send(format!("{head}2\r\nok\r\n0\r\n{trailers}\r\n"))
        .await;
    let mut body = soon("an answer", answer)
        .await
        .expect("an answer")
        .into_body();
    let data = soon("a body", body.data()).await.expect("a body");
    assert_eq!(data.expect("a whole body"), "ok");
    let trailers = soon("trailers", body.trailers())
        .await
        .expect("a whole stream");
    let trailers = trailers.expect("trailers");
    assert_eq!(trailers["x-sum"], "1");
    assert_eq!(trailers.len(), 1, "{trailers:?}");
}

/// Nobody could tell the client to go on.
#[tokio::test]
async fn a_backend_is_not_asked_whether_to_go_on() {
    let arrivals = Arrivals::listen().await;
    let (_gateway, mut client) = before(&arrivals).await;
    let request = Request::put("https://gateway.test/").header("expect", "100-continue");
    let (_answer, _sending) = client.send(request).await;
    let (head, _backend) = arrivals.met().await;
    assert_eq!(head.value("expect"), None);
}

/// curl, for one, takes a stream that is reset before it has sent its body for a failure, whatever was answered.
#[tokio::test]
async fn a_small_body_is_read_before_its_request_is_refused() {
    let yaml = "routes: { fixed: { match: { path: /in }, respond: { status: 200, body: in } } }\n";
    let gateway = Gateway::start(&format!("{}{yaml}", listener(""))).await;
    let mut client = Http2::connect(gateway.address()).await;
    let request = Request::post("https://gateway.test/out").header("content-length", "3");
    let (answer, mut sending) = client.send_begun(request).await;
    let mut answer = pin!(answer);
    let early = timeout(Duration::from_millis(100), &mut answer).await;
    assert!(early.is_err(), "it was answered before its body came");
    sending.send_data("abc".into(), true).expect("it is open");
    let answer = soon("an answer", answer).await.expect("an answer");
    assert_eq!(answer.status(), 404);
}
