//! Heads and bodies that could be read in two ways: refused, or passed on in one form.

use super::{Stage, get};
use crate::harness::{Gateway, Opening, Wire, ask};
use crate::venue::Arrivals;

const CHUNKED: &str = "Transfer-Encoding: chunked";

/// The status that a POST with these fields, and this behind them, gets; it reaches no backend.
async fn refused(gateway: &Gateway, fields: &str, body: &str) -> u16 {
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
    ask(gateway.address(), request).await.status()
}

#[tokio::test]
async fn what_has_two_meanings_is_refused() {
    let stage = Stage::set().await;
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length : 5",
        "Content-Length: 5\r\n folded",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Host: b",
        "X: a\0b",
    ] {
        let status = refused(&stage.gateway, fields, "0\r\n\r\n").await;
        assert!(matches!(status, 400 | 501), "{status} for {fields:?}");
    }
}

/// A route that takes no plain requests is no reason to read on.
#[tokio::test]
async fn what_has_two_meanings_is_refused_where_no_plain_request_is_taken() {
    let arrivals = Arrivals::listen().await;
    let yaml = arrivals
        .route()
        .replace("origins: any", "origins: any, protocols: [websocket]");
    let gateway = Gateway::start(&yaml).await;
    for (request, status) in [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
    ] {
        let mut client = Wire::connect(gateway.address()).await;
        client.send(request).await;
        assert_eq!(client.answer().await.status(), status, "{request:?}");
        client.gone().await;
    }
}

#[tokio::test]
async fn a_length_beside_chunks_is_never_passed_on() {
    let stage = Stage::set().await;
    for fields in [
        format!("Content-Length: 5\r\n{CHUNKED}"),
        format!("{CHUNKED}\r\nContent-Length: 5"),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        let mut client = stage.send(&request).await;
        let refused = client.answer();
        tokio::select! {
            answer = refused => assert_eq!(answer.status(), 400, "{fields}"),
            (head, _backend) = stage.arrivals.met() => {
                assert_eq!(head.values("content-length"), [""; 0], "{fields}");
                assert_eq!(head.values("transfer-encoding"), ["chunked"], "{fields}");
            }
        }
    }
}

#[tokio::test]
async fn a_chunk_extension_and_a_smuggled_request_stay_a_body() {
    let stage = Stage::set().await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunks = |extension| format!("20{extension}\r\n{smuggled}\r\n0\r\n\r\n");
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\n{CHUNKED}\r\n\r\n{}",
        chunks(";x=y")
    );
    let (_client, head, mut backend) = stage.ask(&request).await;
    assert_eq!(head.line, "POST / HTTP/1.1");
    let expected = chunks("");
    assert_eq!(backend.take(expected.len()).await, expected.as_bytes());
}

#[tokio::test]
async fn targets_that_are_no_paths_reach_no_backend() {
    let stage = Stage::set().await;
    for (line, status) in [
        ("OPTIONS * HTTP/1.1", 400),
        ("CONNECT a.test:80 HTTP/1.1", 501),
    ] {
        let answer = ask(
            stage.gateway.address(),
            format!("{line}\r\nHost: a.test:80\r\n\r\n"),
        )
        .await;
        assert_eq!(answer.status(), status, "{line}");
    }
    let (_client, head, _backend) = stage
        .ask("GET http://b.test/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .await;
    assert_eq!(head.line, "GET /x?y HTTP/1.1");
    assert_eq!(head.values("host"), ["b.test"]);
}

/// What a client gets of a length that a backend gives twice, in vain, or beside chunks.
#[tokio::test]
async fn an_answer_is_bounded_in_one_way() {
    let stage = Stage::set().await;
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    for (head, body, length) in [
        (
            "200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
            chunks,
            None,
        ),
        (
            "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 30",
            chunks,
            None,
        ),
        (
            "200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
            "hello",
            Some("5"),
        ),
        ("200 OK\r\nContent-Length: 5, 5", "hello", Some("5")),
        (
            "200 OK\r\nContent-Length: 0\r\nContent-Length: 0",
            "",
            Some("0"),
        ),
        ("204 No Content\r\nContent-Length: 5", "", None),
    ] {
        let (mut client, _, mut backend) = stage.ask(&get("/")).await;
        backend.send(format!("HTTP/1.1 {head}\r\n\r\n{body}")).await;
        let answer = client.answer().await;
        let expected = if body.is_empty() { "" } else { "hello" };
        assert_eq!(answer.body, expected, "{head}");
        let lengths: Vec<_> = length.into_iter().collect();
        assert_eq!(answer.values("content-length"), lengths, "{head}");
        backend.reset();
    }
}

#[tokio::test]
async fn the_answer_to_a_handshake_is_bounded_in_one_way() {
    let arrivals = Arrivals::listen().await;
    let gateway = Gateway::start(&arrivals.route()).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(Opening::to("/").text()).await;
    let (_, mut backend) = arrivals.met().await;
    let refusal = "HTTP/1.1 403 No\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    backend.send(refusal).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.body.as_str()), (403, "hello"));
}
