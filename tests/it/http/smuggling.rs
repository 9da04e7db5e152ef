//! Requests that two readers could take for different ones, byte by byte: told 400 and parted from, or passed on in
//! the one form that they have.

use super::{OK, Stage, get};
use crate::harness::{Opening, Wire, eventually};
use crate::venue::{Transport, Venue, agreement};

/// Whole requests that are refused, whatever they would mean.
const REFUSED: [&str; 38] = [
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\x01c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\x7fc\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n",
    "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
];

#[tokio::test]
async fn what_could_be_two_requests_is_refused_and_the_connection_ended() {
    let stage = Stage::set().await;
    for request in REFUSED {
        // What follows is never answered.
        let mut client = stage.send(&format!("{request}{}", get("/smuggled"))).await;
        let answer = client.answer().await;
        assert!(
            matches!(answer.status(), 400 | 501),
            "{request:?}: {answer:?}"
        );
        let kind = answer.value("content-type");
        assert_eq!(kind, Some("text/plain; charset=utf-8"), "{request:?}");
        assert_eq!(answer.value("connection"), Some("close"), "{request:?}");
        assert!(client.rest().await.is_empty(), "{request:?}");
    }
    let refused = || {
        let lines = stage.gateway.log().lines();
        let told = lines
            .iter()
            .filter(|line| matches!(line["status"].as_u64(), Some(400 | 501)));
        told.count()
    };
    eventually("a line for each", || refused() == REFUSED.len()).await;
    let (_client, head, _backend) = stage.ask(&get("/first")).await;
    assert_eq!(head.line, "GET /first HTTP/1.1");
}

#[tokio::test]
async fn what_has_one_meaning_is_passed_on_in_one_form() {
    let stage = Stage::set().await;
    for (fields, body) in [
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        ("Content-Length: \t5 \r\n", "hello"),
        ("Content-Length: 005\r\n", "hello"),
        ("Content-Length: 5\n", "hello"),
        (
            "Transfer-Encoding: \tchunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        ("Transfer-Encoding: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        (
            "Transfer-Encoding: chunked\r\n",
            "005;x=\"y\"\r\nhello\r\n0;z\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
        let (mut client, head, mut backend) = stage.ask(&request).await;
        let (bound, expected) = match head.value("transfer-encoding") {
            Some(coding) => (coding, "5\r\nhello\r\n0\r\n\r\n"),
            None => ("", "hello"),
        };
        assert_eq!(bound == "chunked", fields.contains("Transfer"), "{fields}");
        let lengths = head.values("content-length");
        assert_eq!(
            lengths,
            if bound.is_empty() { vec!["5"] } else { vec![] },
            "{fields}"
        );
        assert_eq!(
            backend.take(expected.len()).await,
            expected.as_bytes(),
            "{fields}"
        );
        backend
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await;
        drop(backend);
        assert_eq!(client.answer().await.status(), 200, "{fields}");
        if fields.contains("Transfer") && fields.contains("Length") {
            // RFC 9112 section 6.1.
            assert!(client.rest().await.is_empty(), "{fields}");
        }
    }
}

#[tokio::test]
async fn chunks_that_are_none_end_the_request_unfinished() {
    let stage = Stage::set().await;
    let long = format!("2;{}\r\nhi\r\n0\r\n\r\n", "x".repeat(64 * 1024));
    for chunks in [
        "-2\r\nhi\r\n0\r\n\r\n",
        "+2\r\nhi\r\n0\r\n\r\n",
        "0x2\r\nhi\r\n0\r\n\r\n",
        "2_0\r\nhi\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\nhi\r\n0\r\n\r\n",
        "\r\nhi\r\n0\r\n\r\n",
        "2\nhi\r\n0\r\n\r\n",
        "2\rhi\r\n0\r\n\r\n",
        "2;x\nhi\r\n0\r\n\r\n",
        "2\r\nhi0\r\n\r\n",
        "2\r\nhi\n0\r\n\r\n",
        "2\r\nhix\r\n0\r\n\r\n",
        &long,
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let mut client = stage.send(&request).await;
        let brought = stage.arrivals.brought().await;
        assert!(
            !brought.contains("\r\n0\r\n\r\n"),
            "{chunks:?}: {brought:?}"
        );
        assert_eq!(client.answer().await.status(), 400, "{chunks:?}");
        client.gone().await;
    }
}

#[tokio::test]
async fn a_trailer_names_nothing_that_bounds_or_leads() {
    let stage = Stage::set().await;
    let trailers = "Content-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: b\r\n";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
         Trailer: Content-Length, Transfer-Encoding, Host\r\n\r\n2\r\nhi\r\n0\r\n{trailers}\r\n"
    );
    let (mut client, head, mut backend) = stage.ask(&request).await;
    assert_eq!(head.values("host"), ["a"]);
    let expected = "2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(backend.take(expected.len()).await, expected.as_bytes());
    backend.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let stage = Stage::set().await;
    let post = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let (mut client, head, mut backend) = stage
        .ask(&format!("{}{post}{}", get("/1"), get("/3")))
        .await;
    assert_eq!(head.line, "GET /1 HTTP/1.1");
    backend.send(OK).await;
    assert_eq!(backend.head().await.line, "POST /2 HTTP/1.1");
    assert_eq!(backend.take(2).await, b"hi");
    backend.send(OK).await;
    assert_eq!(backend.head().await.line, "GET /3 HTTP/1.1");
    backend.send(OK).await;
    for _ in 0..3 {
        assert_eq!(client.answer().await.body, "ok");
    }
}

#[tokio::test]
async fn a_bad_head_behind_a_request_is_refused_in_words() {
    let stage = Stage::set().await;
    let bad = "GET / HTTP/1.1\r\nHost : a\r\n\r\n";
    let (mut client, _, mut backend) = stage.ask(&format!("{}{bad}", get("/"))).await;
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    let answer = client.answer().await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.body, "The request is not valid HTTP.\n");
    assert!(client.rest().await.is_empty());
    assert_eq!(stage.gateway.line("refused").await["result"], "bad_request");
}

#[tokio::test]
async fn tls_on_a_plain_listener_is_named() {
    let stage = Stage::set().await;
    let mut client = Wire::connect(stage.gateway.address()).await;
    client
        .send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03")
        .await;
    assert_eq!(client.answer().await.status(), 400);
    let line = stage.gateway.line("refused").await;
    assert_eq!(
        line["detail"],
        "This is TLS, but the listener does not use TLS."
    );
}

/// Of both versions; the address that they name is of no use here.
#[tokio::test]
async fn a_proxy_header_on_a_listener_that_expects_none_is_named() {
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x04\0\0\x50";
    for header in [
        &b"PROXY TCP4 192.0.2.1 192.0.2.2 1024 80\r\n"[..],
        b"PROXY UNKNOWN\r\n",
        binary,
    ] {
        let stage = Stage::set().await;
        let mut client = Wire::connect(stage.gateway.address()).await;
        client.send([header, get("/").as_bytes()].concat()).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 400);
        let words = "This is a PROXY header, but the listener has no `proxy_protocol`.";
        assert_eq!(answer.body.trim_end(), words);
        let line = stage.gateway.line("refused").await;
        assert_eq!(line["detail"], words);
    }
}

/// The library for targets drops what it takes for a fragment: a DELETE of `/a/#b` would reach the backend as one of `/a/`.
#[tokio::test]
async fn a_target_with_a_fragment_is_refused() {
    let stage = Stage::set().await;
    let (mut client, head, mut backend) = stage.ask(&get("/first?a=%23")).await;
    assert_eq!(head.line, "GET /first?a=%23 HTTP/1.1");
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    client
        .send("DELETE /a/#b HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.body, "The target contains a fragment.\n");
    assert!(client.rest().await.is_empty());
    assert_eq!(stage.gateway.line("refused").await["result"], "bad_request");
}

#[tokio::test]
async fn a_request_behind_an_upgrade_is_no_request() {
    let more = "defaults: { websocket: { on_protocol_error: pass } }\n";
    let venue = Venue::start_with(Transport::Plain, more).await;
    let mut client = Wire::connect(venue.gateway.address()).await;
    let behind = get("/smuggled");
    client
        .send(format!("{}{behind}", Opening::to("/").text()))
        .await;
    let (_, mut backend) = venue.arrivals.met().await;
    backend.send(agreement()).await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(backend.take(behind.len()).await, behind.as_bytes());
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_refused_and_what_follows_not_read() {
    let venue = Venue::start(Transport::Plain).await;
    for (field, body) in [("Content-Length", "5"), ("Transfer-Encoding", "chunked")] {
        let request = Opening::to("/").with(field, body).text();
        let mut client = Wire::connect(venue.gateway.address()).await;
        client.send(format!("{request}{}", get("/smuggled"))).await;
        assert_eq!(client.answer().await.status(), 400, "{field}");
        assert!(client.rest().await.is_empty(), "{field}");
    }
}

#[tokio::test]
async fn trace_is_refused() {
    let stage = Stage::set().await;
    let mut client = stage
        .send("TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 405);
    let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    assert_eq!(answer.value("allow"), Some(allowed));
    assert_eq!(
        stage.gateway.line("request").await["result"],
        "method_not_allowed"
    );
}

#[tokio::test]
async fn early_hints_do_no_harm() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    backend.send(format!("{hints}{hints}{OK}")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), &*answer.body), (200, "ok"));
    assert_eq!(answer.value("link"), None);
}
