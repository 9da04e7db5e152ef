//! Heads and bodies that could be read in two ways: refused, or passed on in one form. Trap 28.

use super::Stage;
use crate::harness::{Gateway, ask};

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
