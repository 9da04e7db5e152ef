//! What becomes of requests when something is wrong with a backend or a body.

use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{OK, Stage, configuration, get};
use crate::backends::Backend;
use crate::harness::{Gateway, Http2, Opening, Wire, ask, eventually, repeatedly, soon};
use crate::process::Process;
use crate::venue::{Arrivals, Transport, Venue};

/// A gateway before a backend that refuses connections and one that the scenario plays.
async fn half_dead() -> (Gateway, Arrivals) {
    let (absent, arrivals) = (Backend::absent(), Arrivals::listen().await);
    let urls = format!("[\"{}\", ", absent.url());
    let yaml = configuration("", &[&arrivals]).replace("backends: [", &format!("backends: {urls}"));
    let gateway = Gateway::start(&yaml).await;
    (gateway, arrivals)
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_followed_by_the_next() {
    let (gateway, arrivals) = half_dead().await;
    for _ in 0..2 {
        let mut client = Wire::connect(gateway.address()).await;
        // Nothing of it was sent, so its method does not matter.
        client
            .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            .await;
        let (_, mut backend) = arrivals.met().await;
        assert_eq!(backend.take(2).await, b"hi");
        backend
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status(), 200);
    }
    assert!(gateway.count("wsgate_backend_retries_total", &[("pool", "app")]) >= 1.0);
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again() {
    let stage = Stage::set().await;
    let lost = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let (mut client, _, backend) = stage.ask(lost).await;
    drop(backend);
    assert_eq!(client.answer().await.status(), 502);

    let (one, other) = (Arrivals::listen().await, Arrivals::listen().await);
    let gateway = Gateway::start(&configuration("", &[&one, &other])).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(get("/again")).await;
    drop(one.met().await);
    let (head, mut backend) = other.met().await;
    assert_eq!(head.line, "GET /again HTTP/1.1");
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
}

#[tokio::test]
async fn how_a_connection_was_lost_is_told() {
    let arrivals = Arrivals::listen().await;
    let process = Process::start(&configuration("", &[&arrivals])).await;
    let mut client = process.connect().await;
    client.send(get("/")).await;
    let (_, backend) = arrivals.met().await;
    backend.reset();
    assert_eq!(client.answer().await.status(), 502);
    let words = "it ended the connection before it answered: Connection reset by peer";
    eventually("it is told", || process.log().contains(words)).await;
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_rested_is_no_failure() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    backend.send(OK).await;
    client.answer().await;
    // It goes at the very moment of the next request, which has been read.
    let mut client = stage.send(&get("/")).await;
    backend.head().await;
    drop(backend);
    let (_, mut backend) = stage.arrivals.met().await;
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    let retries = stage.gateway.count("wsgate_backend_retries_total", &[]);
    assert_eq!(retries, 0.0);
}

#[tokio::test]
async fn an_answer_that_is_late_is_504() {
    let stage = Stage::set_with(", http: { request_timeout: 1s }").await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    assert_eq!(client.answer().await.status(), 504);
    backend.gone().await;
    assert_eq!(stage.answered("504"), 1.0);
    assert_eq!(
        stage.gateway.line("request").await["result"],
        "backend_timeout"
    );
}

#[tokio::test]
async fn an_unasked_101_is_502() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";
    backend.send(answer).await;
    assert_eq!(client.answer().await.status(), 502);
    backend.gone().await;
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_502() {
    let stage = Stage::set().await;
    let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    for answer in ["hello\r\n\r\n", lengths] {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        let (mut client, _, mut backend) = stage.ask(post).await;
        backend.send(answer).await;
        assert_eq!(client.answer().await.status(), 502, "{answer}");
    }
}

/// It is the request's, whichever backend answers it: the next one is not asked, and none is blamed.
#[tokio::test]
async fn an_answer_that_is_too_much_for_the_gateway_is_502() {
    let many = format!("{}\r\n", "Set-Cookie: a=b\r\n".repeat(101));
    let long = format!("X: {}\r\n\r\n", "x".repeat(140_000));
    let coded = "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned();
    let (one, other) = (Arrivals::listen().await, Arrivals::listen().await);
    let passive = "health: { passive: { failures: 1, eject: 1h } }, backends: [";
    let yaml = configuration("", &[&one, &other]).replace("backends: [", passive);
    let gateway = Gateway::start(&yaml).await;
    for (answer, asked) in [(many, &one), (long, &other), (coded, &one)] {
        let mut client = Wire::connect(gateway.address()).await;
        client.send(get("/")).await;
        let (_, mut backend) = asked.met().await;
        backend.send(format!("HTTP/1.1 200 OK\r\n{answer}")).await;
        assert_eq!(client.answer().await.status(), 502);
    }
    assert_eq!(gateway.count("wsgate_backend_retries_total", &[]), 0.0);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let stage = Stage::set_with(", http: { max_body: 4B }").await;
    let announced = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    let answer = ask(stage.gateway.address(), announced).await;
    assert_eq!(answer.status(), 413);
    let streamed = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let (mut client, _, mut backend) = stage.ask(streamed).await;
    client.send("2\r\nde\r\n").await;
    assert_eq!(client.answer().await.status(), 413);
    backend.gone().await;
    assert_eq!(stage.answered("413"), 2.0);
}

/// Otherwise anybody could fill the operator's log, and send him to a backend that is well.
#[tokio::test]
async fn a_fault_of_the_client_is_not_told_as_one_of_the_backend() {
    let arrivals = Arrivals::listen().await;
    let yaml = configuration(", http: { max_body: 4B }", &[&arrivals]);
    let process = Process::start(&yaml).await;
    let mut client = process.connect().await;
    let streamed = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n";
    client.send(streamed).await;
    assert_eq!(client.answer().await.status(), 413);
    drop(arrivals);
    assert_eq!(process.ask().await.status(), 502);
    let told = || process.log().matches("backend failed").count();
    eventually("the backend's fault is told", || told() > 0).await;
    assert_eq!(told(), 1, "{}", process.log());
}

/// It answers, does not read on, and closes: that is a reset, and the answer is there all the same.
#[tokio::test]
async fn a_backend_that_refuses_an_upload_and_closes_is_heard() {
    let stage = Stage::set().await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n";
    for _ in 0..8 {
        let (mut client, _, mut backend) = stage.ask(post).await;
        client.send([b'x'; 65_536]).await;
        backend.take(1).await;
        let refusal = "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig";
        backend.send(refusal).await;
        drop(backend);
        client.send(vec![b'x'; 33_554_432 - 65_536]).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.body.as_str()), (413, "big"));
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_408() {
    let stage = Stage::set_with(", http: { request_timeout: 1s }").await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab";
    let (mut client, _, _backend) = stage.ask(request).await;
    assert_eq!(client.answer().await.status(), 408);
}

/// A body that came at once is no reason to wait longer.
#[tokio::test]
async fn the_time_for_an_answer_begins_with_the_last_byte() {
    let stage = Stage::set_with(", http: { request_timeout: 1s }").await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let (mut client, _, _backend) = stage.ask(post).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut later = stage.send(&get("/")).await;
    tokio::select! {
        biased;
        answer = client.answer() => assert_eq!(answer.status(), 504),
        _ = later.answer() => panic!("the request that was sent later timed out first"),
    }
}

/// The time is that of the request, not of each attempt.
#[tokio::test]
async fn a_request_that_is_sent_again_has_the_time_of_one() {
    let [one, two] = [Arrivals::listen().await, Arrivals::listen().await];
    let yaml = configuration(", http: { request_timeout: 2s }", &[&one, &two]);
    let gateway = Gateway::start(&yaml).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(get("/")).await;
    let (_, lost) = one.met().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(lost);
    let (_, _silent) = two.met().await;
    let mut later = Wire::connect(gateway.address()).await;
    later.send(get("/")).await;
    let _also_silent = tokio::select! {
        met = one.met() => met,
        met = two.met() => met,
    };
    tokio::select! {
        biased;
        answer = client.answer() => assert_eq!(answer.status(), 504),
        _ = later.answer() => panic!("the request that was sent later timed out first"),
    }
}

/// A connection that was closed while it rested is found to be at once.
#[tokio::test]
async fn a_request_that_was_lost_late_is_not_sent_to_the_same_backend_again() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    backend.send(OK).await;
    client.answer().await;
    client.send(get("/")).await;
    backend.head().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    drop(backend);
    assert_eq!(client.answer().await.status(), 502);
}

/// It is the backend that is late, not the client.
#[tokio::test]
async fn a_body_that_the_backend_does_not_read_is_504() {
    let stage = Stage::set_with(", http: { request_timeout: 1s }").await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n";
    let (client, _, _backend) = stage.ask(request).await;
    let (reading, mut writing) = tokio::io::split(client.into_stream());
    let mut answer = Wire::new(tokio::io::join(reading, tokio::io::sink()));
    let sending = async { while writing.write_all(&[b'x'; 65_536]).await.is_ok() {} };
    let answer = tokio::select! {
        biased;
        answer = answer.answer() => answer,
        () = sending => panic!("the connection broke before the answer"),
    };
    assert_eq!(answer.status(), 504);
}

/// It moves, and would for ever.
#[tokio::test]
async fn a_body_that_is_slower_than_the_least_rate_is_408() {
    let keys = ", http: { request_timeout: 1s, min_upload_rate: 1KiB }";
    let stage = Stage::set_with(keys).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    let (client, _, _backend) = stage.ask(request).await;
    let (reading, mut writing) = tokio::io::split(client.into_stream());
    let mut answer = Wire::new(tokio::io::join(reading, tokio::io::sink()));
    let dripping = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::select! {
        biased;
        answer = answer.answer() => answer,
        () = dripping => panic!("the connection broke before the answer"),
    };
    assert_eq!(answer.status(), 408);
}

/// As long as it is fast enough it takes as many times `request_timeout` as it needs.
#[tokio::test]
async fn a_body_at_the_least_rate_passes() {
    let keys = ", http: { request_timeout: 2s, min_upload_rate: 100B }";
    let stage = Stage::set_with(keys).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\n\r\n";
    let (mut client, _, mut backend) = stage.ask(request).await;
    for _ in 0..6 {
        client.send([b'x'; 1000]).await;
        backend.take(1000).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    backend
        .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn no_backend_is_503() {
    let gateway = Gateway::start(&configuration("", &[])).await;
    let answer = ask(gateway.address(), get("/")).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.value("retry-after").is_some());
}

#[tokio::test]
async fn a_request_in_flight_outlives_the_beginning_of_a_stop() {
    let mut stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    stage.gateway.stop().await;
    backend.send(OK).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.body.as_str()), (200, "ok"));
    stage.gateway.outcome().await;
}

#[tokio::test]
async fn a_removed_route_lets_answers_end_until_its_deadline() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/events")).await;
    backend.send("HTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    let other = "routes: { other: { match: { path: /other }, respond: { status: 200 } } }\n\
                 drain: { window: 0s, deadline: 2s }\n";
    stage.gateway.change(other).await;
    backend.send("x").await;
    assert_eq!(client.take(6).await, b"1\r\nx\r\n");
    client.gone().await;
    backend.gone().await;
}

/// It would hold route and backend for as long as the client has patience.
#[tokio::test]
async fn a_drain_ends_an_answer_that_nobody_takes() {
    let stage = Stage::set().await;
    let (client, _, backend) = stage.ask(&get("/large")).await;
    expect_cut(&stage, backend).await;
    drop(client);
}

#[tokio::test]
async fn a_drain_ends_an_answer_that_nobody_takes_over_http2() {
    let arrivals = Arrivals::listen().await;
    let listener = "listeners: { main: { address: \"127.0.0.1:0\", h2c: true } }\n";
    let yaml = format!("{listener}{}", configuration("", &[&arrivals]));
    let gateway = Gateway::start(&yaml).await;
    let stage = Stage { gateway, arrivals };
    let mut client = Http2::connect(stage.gateway.address()).await;
    let answer = client.send(Request::get("http://app.test/large")).await;
    let (_, backend) = stage.arrivals.met().await;
    expect_cut(&stage, backend).await;
    drop((client, answer));
}

/// Answers with more than is taken, and has the route removed.
async fn expect_cut(stage: &Stage, mut backend: Wire) {
    backend.send("HTTP/1.1 200 OK\r\n\r\n").await;
    let (mut reading, mut writing) = tokio::io::split(backend.into_stream());
    let streaming = async { while writing.write_all(&[b'x'; 65_536]).await.is_ok() {} };
    let other = "routes: { other: { match: { path: /other }, respond: { status: 200 } } }\n\
                 drain: { window: 0s, deadline: 500ms }\n";
    let change = async {
        eventually("the answer has begun", || stage.answered("200") == 1.0).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.gateway.change(other).await;
        let _ = reading.read(&mut [0]).await;
    };
    soon("the end of the answer", async {
        tokio::join!(streaming, change)
    })
    .await;
    let line = stage.gateway.line("request").await;
    assert_eq!(
        (&line["result"], &line["status"]),
        (&"draining".into(), &200.into())
    );
    expect_left(&stage.gateway, 0).await;
}

/// Waits until `count` answers are still to end by drains.
async fn expect_left(gateway: &Gateway, count: usize) {
    let look = async || (gateway.status().await["drain_sessions"] == count).then_some(());
    repeatedly(&format!("{count} are left"), look).await;
}

/// Its route and its backend wait for it, and one of them counts it.
#[tokio::test]
async fn an_answer_that_several_drains_end_counts_once() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/events")).await;
    backend.send("HTTP/1.1 200 OK\r\n\r\nx").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.take(6).await, b"1\r\nx\r\n");
    let other = "routes: { other: { match: { path: /other }, respond: { status: 200 } } }\n\
                 drain: { window: 0s, deadline: 1h }\n";
    stage.gateway.change(other).await;
    expect_left(&stage.gateway, 1).await;
    backend.end().await;
    expect_left(&stage.gateway, 0).await;
}

/// What a backend says instead of a 101 holds a place on it, and is cut as other answers are.
#[tokio::test]
async fn a_drain_ends_an_answer_to_an_opening_handshake() {
    let arrivals = Arrivals::listen().await;
    let yaml = arrivals.route() + "drain: { window: 0s, deadline: 500ms }\n";
    let gateway = Gateway::start(&yaml).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(Opening::to("/").text()).await;
    let mut backend = arrivals.asked().await;
    backend.send("HTTP/1.1 403 Forbidden\r\n\r\nno").await;
    assert_eq!(client.head().await.status(), 403);
    let held = || gateway.count("wsgate_backend_sessions_active", &[]);
    assert_eq!(held(), 1.0);
    let drained = gateway.admin("POST", "/drain?backend=one").await;
    assert_eq!(drained.status(), 202);
    client.gone().await;
    backend.gone().await;
    eventually("its place is given back", || held() == 0.0).await;
}

#[tokio::test]
async fn a_request_whose_route_goes_is_refused_at_the_deadline() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/slow")).await;
    let other = "routes: { other: { match: { path: /other }, respond: { status: 200 } } }\n\
                 drain: { window: 0s, deadline: 500ms }\n";
    stage.gateway.change(other).await;
    assert_eq!(client.answer().await.status(), 503);
    backend.gone().await;
}

/// A client that saw no head would send its request once more.
#[tokio::test]
async fn what_came_of_an_answer_before_it_broke_is_passed_on() {
    let stage = Stage::set().await;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (sound, passed) in [("", ""), ("1\r\nx\r\n", "1\r\nx\r\n")] {
        let (mut client, _, mut backend) = stage.ask(&get("/")).await;
        // In one piece, so that the fault is there before anything was sent.
        backend.send(format!("{head}{sound}no chunk\r\n")).await;
        assert_eq!(client.head().await.status(), 200);
        assert_eq!(client.take(passed.len()).await, passed.as_bytes());
        client.gone().await;
    }
}

/// It has no length, and under TLS its end says whether it is whole (RFC 9112 section 9.8).
#[tokio::test]
async fn an_answer_that_broke_off_does_not_end_like_a_whole_one() {
    let venue = Venue::start(Transport::Tls).await;
    for is_whole in [true, false] {
        let mut client = venue.connect().await;
        client
            .send("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n")
            .await;
        let (_, mut backend) = venue.arrivals.met().await;
        let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        backend.send(begun).await;
        assert_eq!(client.head().await.status(), 200);
        assert_eq!(client.take(5).await, b"hello");
        if is_whole {
            backend.send("0\r\n\r\n").await;
        }
        drop(backend);
        assert_eq!(client.is_reset().await, !is_whole);
    }
}
