//! Answers before the end of the request's body, and what becomes of the connection.

use super::{OK, Stage, configuration, get};
use crate::harness::{Gateway, Wire, send_until_stalled};
use crate::venue::Arrivals;

/// Answers that wait for no body, and then end the connection, say so (RFC 9110 section 10.1.1): the client would send its
/// next request there.
#[tokio::test]
async fn an_answer_before_the_end_of_the_body_ends_the_connection_in_words() {
    let arrivals = Arrivals::listen().await;
    let yaml = configuration("", &[&arrivals])
        .replace(
            "routes: {",
            "routes: { fixed: { match: { path: /fixed }, respond: { status: 200, body: ok } },\n\
               none: { match: { path: /none }, protocols: [http], pool: none },\n\
               old: { match: { path: /old }, redirect: { to: \"/new\" } },",
        )
        .replace("pools: {", "pools: { none: { backends: [] },");
    let gateway = Gateway::start(&yaml).await;
    for (path, status) in [
        ("/fixed", 200),
        ("/none", 503),
        ("/old", 308),
        ("/app", 413),
    ] {
        let mut client = Wire::connect(gateway.address()).await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        client.send(head).await;
        if path == "/app" {
            let (_, mut backend) = arrivals.met().await;
            backend
                .send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
        let answer = client.answer().await;
        assert_eq!(
            (answer.status(), answer.values("connection")),
            (status, vec!["close"])
        );
        client.gone().await;
    }
}

/// What is small and on its way is read, and the connection goes on.
#[tokio::test]
async fn an_answer_that_needs_no_body_keeps_the_connection_where_that_is_small() {
    let yaml = "routes: { fixed: { respond: { status: 200, body: ok } },\n\
                  none: { match: { path: /none }, protocols: [http], pool: none },\n\
                  gone: { match: { path: /gone }, protocols: [http], pool: gone } }\n\
                pools: { none: { backends: [] }, gone: { backends: [\"unix:/nowhere/socket\"] } }\n";
    let gateway = Gateway::start(yaml).await;
    let mut client = Wire::connect(gateway.address()).await;
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        for (path, status, held) in [
            ("/", 200, 0),
            ("/", 200, 4),
            ("/none", 503, 4),
            ("/gone", 502, 4),
        ] {
            let (head, rest) = body.split_at(body.len() - held);
            client
                .send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{head}"))
                .await;
            client.send(rest).await;
            let answer = client.answer().await;
            assert_eq!(
                (answer.status(), answer.value("connection")),
                (status, None),
                "{path}"
            );
            client.send(get(path)).await;
            assert_eq!(client.answer().await.value("connection"), None, "{path}");
        }
    }
}

/// The client decides when the rest of the body comes. A backend that leaves it unread would take it for the next request,
/// and a stranger would get the answer.
#[tokio::test]
async fn an_answer_before_the_end_of_the_body_spends_the_backends_connection() {
    let stage = Stage::set().await;
    let smuggled = get("/smuggled");
    let length = smuggled.len();
    for body in [
        format!("Content-Length: {length}\r\n\r\n"),
        "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
    ] {
        let post = format!("POST / HTTP/1.1\r\nHost: a\r\n{body}");
        let (mut client, _, mut backend) = stage.ask(&post).await;
        backend.send(OK).await;
        assert_eq!(client.answer().await.value("connection"), Some("close"));
        client.try_send(&smuggled).await;
        // The next request comes over another connection.
        let (mut stranger, head, mut other) = stage.ask(&get("/stranger")).await;
        assert_eq!(head.line, "GET /stranger HTTP/1.1");
        other.send(OK).await;
        assert_eq!(stranger.answer().await.body, "ok");
        backend.gone().await;
    }
}

/// Not even if no answer came.
#[tokio::test]
async fn a_body_that_was_passed_on_keeps_the_connection() {
    let stage = Stage::set().await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let (mut client, _, mut backend) = stage.ask(post).await;
    backend.take(5).await;
    drop(backend);
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.value("connection")), (502, None));
}

/// hyper would send the next request as HTTP/1.0, too: without the body, if that has no length.
#[tokio::test]
async fn an_answer_of_http_1_0_spends_the_backends_connection() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    backend
        .send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
        .await;
    client.answer().await;
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let post = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let (_client, head, mut other) = stage.ask(&post).await;
    assert_eq!(head.line, "POST / HTTP/1.1");
    assert_eq!(other.take(body.len()).await, body.as_bytes());
}

/// The unread rest of the upload makes the close of the backend a reset.
#[tokio::test]
async fn an_answer_in_the_middle_of_an_upload_comes_whole() {
    let stage = Stage::set().await;
    let length = 60_000;
    for _ in 0..20 {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
        let (mut client, _, mut backend) = stage.ask(head).await;
        client.send(vec![b'u'; 300_000]).await;
        let page = "p".repeat(length);
        backend
            .send(format!(
                "HTTP/1.1 413 Too Large\r\nContent-Length: {length}\r\n\r\n{page}"
            ))
            .await;
        drop(backend);
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.body.len()), (413, length));
    }
}

/// Then nobody knows whether an answer without a length is complete.
#[tokio::test]
async fn an_answer_without_a_length_that_a_reset_ends_is_broken_off() {
    let stage = Stage::set().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n";
    let (client, _, mut backend) = stage.ask(head).await;
    let mut client = client.into_stream();
    send_until_stalled(&mut client, |_| [b'u'; 65_536]).await;
    let mut client = Wire::new(client);
    backend.send("HTTP/1.1 413 Too Large\r\n\r\npage").await;
    drop(backend);
    assert_eq!(client.head().await.status(), 413);
    let rest = client.sent().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it looks complete");
}

/// An operator would look for the fault at the backend.
#[tokio::test]
async fn what_a_client_does_to_its_body_is_not_the_fault_of_a_backend_that_answers_meanwhile() {
    let stage = Stage::set_with(", http: { max_body: 4B }").await;
    let head = "Host: a\r\nTransfer-Encoding: chunked\r\nX-Request-ID";
    for (rest, result) in [
        ("x\r\n", "bad_request"),
        ("5\r\nhello\r\n", "body_too_large"),
        ("", "client_gone"),
    ] {
        let post = format!("POST / HTTP/1.1\r\n{head}: {result}\r\n\r\n1\r\na\r\n");
        let (mut client, _, mut backend) = stage.ask(&post).await;
        backend
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            .await;
        assert_eq!(client.head().await.status(), 200);
        client.send(rest).await;
        if rest.is_empty() {
            client.reset();
        }
        let line = stage.gateway.line_of("request", result).await;
        assert_eq!(
            (&line["result"], &line["status"]),
            (&result.into(), &200.into())
        );
    }
}

/// A body that has been read is no reason to end the connection.
#[tokio::test]
async fn an_answer_behind_the_body_keeps_the_connection() {
    let stage = Stage::set().await;
    let chunks =
        "Transfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n5\r\nhello\r\n0\r\nX-End: 1\r\n\r\n";
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 0\r\n\r\n",
        chunks,
    ] {
        let post = format!("POST / HTTP/1.1\r\nHost: a\r\n{body}");
        let (mut client, _, mut backend) = stage.ask(&post).await;
        let sent = &body[body.find("\r\n\r\n").map_or(0, |end| end + 4)..];
        backend.take(sent.len()).await;
        backend.send(OK).await;
        assert_eq!(client.answer().await.value("connection"), None, "{body}");
        client.send(get("/")).await;
        let mut backend = match body == chunks {
            true => stage.arrivals.met().await.1,
            false => {
                backend.head().await;
                backend
            }
        };
        backend.send(OK).await;
        assert_eq!(client.answer().await.body, "ok");
    }
}
