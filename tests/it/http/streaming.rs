//! Bodies pass as they come, in both directions, and both ends learn when the other is gone.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::{OK, Stage, get};
use crate::harness::{Gateway, Wire, eventually, repeatedly, send_until_stalled};

/// Server-sent events are not buffered.
#[tokio::test]
async fn events_pass_one_by_one() {
    let stage = Stage::set_with(", http: { request_timeout: 1s }").await;
    let (mut client, _, mut backend) = stage.ask(&get("/events")).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    backend.send(head).await;
    let head = client.head().await;
    assert_eq!(head.values("content-type"), ["text/event-stream"]);
    assert_eq!(head.values("transfer-encoding"), ["chunked"]);
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        // Longer than the deadline for the head, which is over.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        backend.send(event).await;
        let chunk = format!("{:X}\r\n{event}\r\n", event.len());
        assert_eq!(client.take(chunk.len()).await, chunk.as_bytes());
    }
    assert_eq!(stage.answered("200"), 1.0);
    backend.end().await;
    assert_eq!(client.take(5).await, b"0\r\n\r\n");
}

#[tokio::test]
async fn an_upload_streams() {
    let stage = Stage::set().await;
    let request = "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (mut client, head, mut backend) = stage.ask(request).await;
    assert_eq!(head.values("transfer-encoding"), ["chunked"]);
    for chunk in ["3\r\nabc\r\n", "2\r\nde\r\n", "0\r\n\r\n"] {
        client.send(chunk).await;
        assert_eq!(backend.take(chunk.len()).await, chunk.as_bytes());
    }
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
}

#[tokio::test]
async fn a_body_is_announced_as_it_was() {
    let stage = Stage::set().await;
    // hyper would leave out a body of unknown length with this method.
    let request = "GET / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let (_client, head, mut backend) = stage.ask(request).await;
    assert_eq!(head.values("transfer-encoding"), ["chunked"]);
    assert_eq!(backend.take(12).await, b"2\r\nhi\r\n0\r\n\r\n");
    let request = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n";
    let (_client, head, _backend) = stage.ask(request).await;
    assert_eq!(head.values("content-length"), ["0"]);
}

/// More than is ever taken ahead.
const LARGE: usize = 1 << 30;

#[tokio::test]
async fn a_large_answer_is_held_back_until_it_is_taken() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/large")).await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    backend.send(head).await;
    let mut backend = backend.into_stream();
    let sent = send_until_stalled(&mut backend, |_| [b'x'; 65_536]).await;
    assert_eq!(client.head().await.status(), 200);
    assert!(client.take(sent).await.iter().all(|byte| *byte == b'x'));
}

/// To HTTP/1.0 the end of a body without a length is the end of the connection. The sizes are about as many as a socket
/// takes, so that in some the end follows just as the client has taken what was in front of it.
#[tokio::test]
async fn a_slow_client_of_http_1_0_hears_of_the_end() {
    let stage = Stage::set().await;
    let mut waiting = Vec::new();
    for size in (60_000..460_000).step_by(8192) {
        let (client, _, mut backend) = stage.ask("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n").await;
        let sending = tokio::spawn(async move {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let body = "x".repeat(size);
            backend
                .send(format!("{head}{size:x}\r\n{body}\r\n0\r\n\r\n"))
                .await;
        });
        waiting.push((client, size, sending));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (mut client, size, sending) in waiting {
        assert_eq!(client.head().await.status(), 200);
        assert_eq!(client.rest().await.len(), size);
        sending.await.expect("it was taken");
    }
}

#[tokio::test]
async fn a_large_upload_is_held_back_until_it_is_taken() {
    let stage = Stage::set().await;
    let request = format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {LARGE}\r\n\r\n");
    let (client, _, mut backend) = stage.ask(&request).await;
    let mut client = client.into_stream();
    let sent = send_until_stalled(&mut client, |_| [b'x'; 65_536]).await;
    assert!(backend.take(sent).await.iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn the_backend_decides_whether_a_body_is_sent_at_all() {
    let request =
        "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let stage = Stage::set().await;
    let (mut client, head, mut backend) = stage.ask(request).await;
    assert_eq!(head.values("expect"), ["100-continue"]);
    backend.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 100);
    client.send("hello").await;
    assert_eq!(backend.take(5).await, b"hello");
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");

    let mut client = stage.send(request).await;
    assert_eq!(backend.head().await.values("expect"), ["100-continue"]);
    backend
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        .await;
    // The first word that the client hears: it was never told to go on.
    assert_eq!(client.answer().await.status(), 403);
}

/// It waits for no word, whatever it says (RFC 9110 section 10.1.1).
#[tokio::test]
async fn expect_ends_here_for_a_client_of_http_1_0() {
    let stage = Stage::set().await;
    let request = "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
    let (_client, head, mut backend) = stage.ask(request).await;
    assert_eq!(head.value("expect"), None);
    assert_eq!(backend.take(5).await, b"hello");
}

/// Only a client that asks for 100 waits for it.
#[tokio::test]
async fn another_expectation_holds_no_body_back() {
    let stage = Stage::set().await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: payment\r\n\r\nhello";
    repeatedly("the body comes at once", async || {
        let begun = Instant::now();
        let (_client, head, mut backend) = stage.ask(request).await;
        assert_eq!(head.values("expect"), ["payment"]);
        assert_eq!(backend.take(5).await, b"hello");
        (begun.elapsed() < Duration::from_millis(900)).then_some(())
    })
    .await;
}

/// Many send a request and close, and do not wait for the answer.
#[tokio::test]
async fn a_request_whose_client_does_not_wait_is_passed_on() {
    let stage = Stage::set().await;
    let body = "x".repeat(60_000);
    let post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{body}");
    let mut whole = 0;
    for _ in 0..10 {
        let mut client = Wire::connect(stage.gateway.address()).await;
        client.send(&post).await;
        drop(client);
        let (_, mut backend) = stage.arrivals.met().await;
        if backend.sent().await == body.as_bytes() {
            whole += 1;
        }
    }
    eventually("it is counted", || stage.answered("none") == 10.0).await;
    // The gateway takes a second to pass one on. A machine that is slower than that is so now and then.
    assert!(whole > 5, "{whole} of 10");
}

/// The end comes with the request, so it is read before the request has been looked at.
#[tokio::test]
async fn a_request_that_comes_together_with_its_end_is_answered() {
    let gateway = Gateway::start("routes: { a: { respond: { status: 200, body: ok } } }\n").await;
    let address = gateway.address();
    let ask = move || {
        let mut client = std::net::TcpStream::connect(address)?;
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")?;
        client.shutdown(Shutdown::Write)?;
        std::io::read_to_string(client)
    };
    let mut answered = 0;
    for _ in 0..20 {
        let answer = tokio::task::spawn_blocking(ask).await.expect("no panic");
        answered += usize::from(answer.is_ok_and(|answer| answer.ends_with("ok")));
    }
    // The gateway waits a second. A machine that is slower than that is so now and then.
    assert!(answered > 15, "{answered} of 20");
}

#[tokio::test]
async fn a_client_that_ends_its_half_is_answered_where_that_is_quick() {
    let stage = Stage::set().await;
    // The gateway waits a second. A machine that is slower than that shows it at another request.
    for _ in 0..5 {
        let (mut client, _, mut backend) = stage.ask(&get("/")).await;
        client.end().await;
        backend.send(OK).await;
        if client.rest().await.ends_with(b"ok") {
            return;
        }
    }
    panic!("the gateway does not wait for the answer");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let stage = Stage::set().await;
    let (client, _, mut backend) = stage.ask(&get("/slow")).await;
    client.reset();
    backend.gone().await;
    eventually("it is counted", || stage.answered("none") == 1.0).await;
    assert_eq!(stage.gateway.line("request").await["result"], "client_gone");

    let (mut client, _, mut backend) = stage.ask(&get("/slow")).await;
    backend.send("HTTP/1.1 200 OK\r\n\r\nbeginning").await;
    assert_eq!(client.head().await.status(), 200);
    client.reset();
    backend.gone().await;
}

#[tokio::test]
async fn an_upload_whose_client_leaves_is_no_bad_request() {
    let stage = Stage::set().await;
    let post = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 9\r\n\r\nhello";
    let resets: fn(Wire) = Wire::reset;
    for (number, leaves) in [resets, drop].into_iter().enumerate() {
        let (client, _, mut backend) = stage.ask(post).await;
        backend.take(5).await;
        leaves(client);
        backend.gone().await;
        let none = (number + 1) as f64;
        eventually("it is counted", || stage.answered("none") == none).await;
    }
    let line = stage.gateway.line("request").await;
    assert_eq!(line["result"], "client_gone", "{line}");
    assert_eq!(line.get("status"), None, "{line}");
    assert_eq!(stage.answered("400"), 0.0);
}

#[tokio::test]
async fn a_backend_that_leaves_breaks_the_answer() {
    let stage = Stage::set().await;
    for begun in [
        "Content-Length: 10\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let (mut client, _, mut backend) = stage.ask(&get("/")).await;
        backend.send(format!("HTTP/1.1 200 OK\r\n{begun}")).await;
        assert_eq!(client.head().await.status(), 200);
        backend.end().await;
        let sent = begun.split_once("\r\n\r\n").expect("a body").1;
        // No last chunk, no tenth byte: the client can tell that something is missing.
        assert_eq!(client.rest().await, sent.as_bytes());
        backend.gone().await;
    }
    let lines = || {
        let lines = stage.gateway.log().lines();
        lines
            .iter()
            .filter(|line| line["result"] == "backend_failed")
            .count()
    };
    eventually("both are logged", || lines() == 2).await;
}
