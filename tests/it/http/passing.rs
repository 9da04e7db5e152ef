//! What passes, each way, of requests that nothing is wrong with.

use super::{OK, Stage, configuration, get};
use crate::harness::{Gateway, Opening, Speaker, ask, eventually};
use crate::venue::Arrivals;

#[tokio::test]
async fn a_request_and_its_answer_pass() {
    let stage = Stage::set().await;
    let request = "GET /a/b?q=1 HTTP/1.1\r\nHost: app.test:8080\r\nCookie: a=1\r\nX-Own: 1\r\nX-Own: 2\r\n\
                   Accept-Encoding: gzip\r\nTraceparent: 00-1-2-01\r\nConnection: X-Hop, Host\r\nX-Hop: 1\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n";
    let (mut client, head, mut backend) = stage.ask(request).await;
    assert_eq!(head.line, "GET /a/b?q=1 HTTP/1.1");
    for (name, values) in [
        ("host", &["app.test:8080"][..]),
        ("cookie", &["a=1"]),
        ("x-own", &["1", "2"]),
        ("accept-encoding", &["gzip"]),
        ("traceparent", &["00-1-2-01"]),
        ("x-forwarded-for", &["127.0.0.1"]),
        ("x-forwarded-proto", &["http"]),
        ("x-hop", &[]),
        ("upgrade", &[]),
        ("http2-settings", &[]),
        ("connection", &[]),
        ("content-length", &[]),
        ("transfer-encoding", &[]),
    ] {
        assert_eq!(head.values(name), values, "{name}");
    }
    assert_eq!(head.values("x-request-id").len(), 1);
    let answer = "HTTP/1.1 201 Created\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own: 1\r\n\
                  Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\nhello";
    backend.send(answer).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.body.as_str()), (201, "hello"));
    assert_eq!(answer.values("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.values("x-own"), ["1"]);
    assert_eq!(answer.values("content-length"), ["5"]);
    for name in ["x-hop", "keep-alive", "connection"] {
        assert_eq!(answer.value(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_target_without_a_path_asks_for_the_root() {
    let stage = Stage::set().await;
    for (target, line) in [
        ("http://app.test", "GET / HTTP/1.1"),
        ("http://app.test?x", "GET /?x HTTP/1.1"),
    ] {
        let (mut client, head, mut backend) = stage.ask(&get(target)).await;
        assert_eq!(head.line, line, "{target}");
        backend.send(OK).await;
        assert_eq!(client.answer().await.body, "ok");
        backend.reset();
    }
}

#[tokio::test]
async fn it_is_counted_and_logged_as_a_request() {
    let stage = Stage::set().await;
    let request = "PUT /a?token=secret HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc";
    let (mut client, head, mut backend) = stage.ask(request).await;
    assert_eq!(head.values("content-length"), ["3"]);
    assert_eq!(backend.take(3).await, b"abc");
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    let line = stage.gateway.line("request").await;
    for (key, value) in [
        ("method", "PUT"),
        ("path", "/a?token=***"),
        ("route", "app"),
        ("pool", "app"),
        ("result", "backend_answered"),
        ("protocol", "h1"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(
        (&line["status"], &line["bytes_in"]),
        (&200.into(), &3.into())
    );
    assert_eq!(line["bytes_out"], 2);
    assert_eq!(stage.answered("200"), 1.0);
    let route = [("route", "app")];
    let durations = "wsgate_http_request_duration_seconds_count";
    assert_eq!(stage.gateway.count(durations, &route), 1.0);
    assert_eq!(stage.gateway.count("wsgate_handshakes_total", &route), 0.0);
    let sessions = "wsgate_backend_sessions_active";
    assert_eq!(stage.gateway.count(sessions, &[("pool", "app")]), 0.0);
}

#[tokio::test]
async fn a_connection_to_the_backend_serves_many_requests() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/1")).await;
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    for target in ["/2", "/3"] {
        let mut client = stage.send(&get(target)).await;
        let line = format!("GET {target} HTTP/1.1");
        assert_eq!(backend.head().await.line, line);
        backend.send(OK).await;
        assert_eq!(client.answer().await.body, "ok");
    }
}

#[tokio::test]
async fn a_connection_that_rests_for_long_is_closed() {
    let stage = Stage::set().await;
    let (mut client, _, mut backend) = stage.ask(&get("/")).await;
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    backend.gone().await;
}

#[tokio::test]
async fn a_connection_that_was_opened_otherwise_than_a_reload_says_serves_no_more() {
    let stage = Stage::set().await;
    let (mut client, _, mut before) = stage.ask(&get("/1")).await;
    before.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    let yaml = configuration("", &[&stage.arrivals]);
    let elsewhere = yaml.replace(
        "app: { backends",
        "app: { source_addresses: [127.0.0.2], backends",
    );
    stage.gateway.change(&elsewhere).await;
    let (mut client, head, mut after) = stage.ask(&get("/2")).await;
    assert_eq!(head.line, "GET /2 HTTP/1.1");
    after.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    before.gone().await;
}

#[tokio::test]
async fn answers_without_a_body() {
    let stage = Stage::set().await;
    for (method, given) in [
        ("HEAD", "200 OK\r\nContent-Length: 5"),
        ("GET", "204 No Content\r\nX: y"),
        ("GET", "304 Not Modified\r\nETag: \"a\""),
    ] {
        let request = format!("{method} / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
        let (mut client, head, mut backend) = stage.ask(&request).await;
        assert_eq!(head.line, format!("{method} / HTTP/1.1"));
        backend.send(format!("HTTP/1.1 {given}\r\n\r\n")).await;
        let answer = client.head().await;
        let (status, field) = given.split_once("\r\n").expect("a field");
        let (name, value) = field.split_once(": ").expect("a value");
        assert!(answer.line.ends_with(status), "{answer:?}");
        assert_eq!(answer.values(name), [value], "{answer:?}");
        assert_eq!(answer.value("transfer-encoding"), None);
        assert_eq!(client.rest().await, b"");
        backend.reset();
    }
}

#[tokio::test]
async fn the_words_behind_a_status_pass() {
    let stage = Stage::set().await;
    for line in [
        "HTTP/1.1 200 All is well",
        "HTTP/1.1 299 Odd",
        "HTTP/1.1 600 ",
    ] {
        let (mut client, _, mut backend) = stage.ask(&get("/")).await;
        backend
            .send(format!("{line}\r\nContent-Length: 0\r\n\r\n"))
            .await;
        assert_eq!(client.head().await.line, line);
        backend.reset();
    }
    let yaml = "routes: { fixed: { respond: { status: 299 } } }\n";
    let gateway = Gateway::start(yaml).await;
    let answer = ask(gateway.address(), get("/")).await;
    assert_eq!(answer.line, "HTTP/1.1 299 ");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let stage = Stage::set().await;
    let request = "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
                   Trailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n";
    let (mut client, head, mut backend) = stage.ask(request).await;
    assert_eq!(head.values("te"), ["trailers"]);
    assert_eq!(head.values("trailer"), ["X-Sum"]);
    assert_eq!(head.values("transfer-encoding"), ["chunked"]);
    let sent = b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(backend.take(sent.len()).await, sent);
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n";
    backend.send(answer).await;
    assert_eq!(client.head().await.values("trailer"), ["X-Sum"]);
    let sent = b"2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n";
    assert_eq!(client.take(sent.len()).await, sent);
    assert_eq!(
        stage.gateway.line("request").await["result"],
        "backend_answered"
    );
}

#[tokio::test]
async fn an_answer_with_trailers_keeps_the_backends_connection() {
    let stage = Stage::set().await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n";
    let (mut client, _, mut backend) = stage.ask(request).await;
    let body = "2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
    backend.send(format!("{answer}{body}")).await;
    client.head().await;
    client.take(body.len()).await;
    client.send(get("/again")).await;
    assert_eq!(backend.head().await.line, "GET /again HTTP/1.1");
}

/// As in the head, where the gateway speaks itself.
#[tokio::test]
async fn trailers_do_not_speak_for_the_gateway() {
    let stage = Stage::set_with(", headers: { set: { X-Auth: gateway } }").await;
    let request = "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\
                   Trailer: X-Forwarded-For, X-Sum\r\nTrailer: X_Auth, Connection\r\n\r\n\
                   2\r\nhi\r\n0\r\nX-Forwarded-For: evil\r\nX_Auth: evil\r\nX-Sum: 1\r\nConnection: x\r\n\r\n";
    let (_client, head, mut backend) = stage.ask(request).await;
    assert_eq!(head.values("trailer"), ["X-Sum"]);
    let sent = b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(backend.take(sent.len()).await, sent);
}

/// What a server has to know before it acts (RFC 9110 section 6.5.1).
#[tokio::test]
async fn trailers_say_nothing_that_belongs_into_the_head() {
    let stage = Stage::set().await;
    let names = "Cookie, Expect, Range, Origin, If-Match, If-None-Match, If-Range, \
                 If-Modified-Since, If-Unmodified-Since";
    let trailers = names.split(", ").map(|name| format!("{name}: evil\r\n"));
    let request = format!(
        "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTrailer: {names}, X-Sum\r\n\r\n\
         2\r\nhi\r\n0\r\n{}X-Sum: 1\r\n\r\n",
        trailers.collect::<String>()
    );
    let (_client, head, mut backend) = stage.ask(&request).await;
    assert_eq!(head.values("trailer"), ["X-Sum"]);
    let sent = b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(backend.take(sent.len()).await, sent);
}

/// There are servers that take trailers for fields of the next request on their connection.
#[tokio::test]
async fn what_trailers_went_over_serves_no_other_client() {
    let stage = Stage::set().await;
    let request = "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\
                   Trailer: X-User\r\n\r\n2\r\nhi\r\n0\r\nX-User: one\r\n\r\n";
    let (mut client, _, mut backend) = stage.ask(request).await;
    backend
        .take(b"2\r\nhi\r\n0\r\nX-User: one\r\n\r\n".len())
        .await;
    backend.send(OK).await;
    assert_eq!(client.answer().await.body, "ok");
    let (_other, head, _backend) = stage.ask(&get("/")).await;
    assert_eq!(head.value("x-user"), None);
    backend.gone().await;
}

/// There are servers that take the body of a GET for the next request on its connection.
#[tokio::test]
async fn what_a_body_went_over_that_nobody_expects_serves_no_other_client() {
    let stage = Stage::set().await;
    for method in ["GET", "HEAD"] {
        let request =
            format!("{method} / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi");
        let (mut client, _, mut backend) = stage.ask(&request).await;
        assert_eq!(backend.take(2).await, b"hi");
        backend.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 204, "{method}");
        let (_other, _, another) = stage.ask(&get("/")).await;
        backend.gone().await;
        another.reset();
    }
}

/// IIS takes a client that has proved itself by NTLM for the client of all that follows on the connection.
#[tokio::test]
async fn a_connection_that_knows_its_client_serves_no_other() {
    let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n\
                   WWW-Authenticate: Bearer, NTLM\r\nContent-Length: 0\r\n\r\n";
    for (fields, answer) in [
        ("Authorization: NTLM TlRMTVNTUAAD\r\n", OK),
        ("Authorization: negotiate YIIJvw\r\n", OK),
        ("", refusal),
    ] {
        let stage = Stage::set().await;
        let request = format!("GET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n");
        let (mut client, _, mut backend) = stage.ask(&request).await;
        backend.send(answer).await;
        client.answer().await;
        backend.gone().await;
    }
}

#[tokio::test]
async fn websocket_and_http_share_a_route() {
    let arrivals = Arrivals::listen().await;
    let yaml = configuration("", &[&arrivals]).replace("protocols: [http]", "origins: any");
    let gateway = Gateway::start(&yaml).await;
    let (mut client, mut backend) = crate::venue::open(
        crate::harness::Wire::connect(gateway.address()).await,
        &arrivals,
    )
    .await;
    let mut poll = crate::harness::Wire::connect(gateway.address()).await;
    poll.send(get("/poll")).await;
    let (head, mut polled) = arrivals.met().await;
    assert_eq!(head.line, "GET /poll HTTP/1.1");
    polled.send(OK).await;
    assert_eq!(poll.answer().await.body, "ok");
    let frame = Speaker::Backend.text("still here");
    backend.send(&frame).await;
    client.expect(&frame).await;
}

#[tokio::test]
async fn who_asks_for_the_other_protocol_is_told() {
    let stage = Stage::set().await;
    let answer = ask(stage.gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.status(), 501);
    let arrivals = Arrivals::listen().await;
    let yaml = configuration(", origins: any", &[&arrivals]).replace("[http]", "[websocket]");
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(gateway.address(), get("/")).await;
    assert_eq!(answer.status(), 426);
    assert_eq!(answer.values("upgrade"), ["websocket"]);
    eventually("the refusal is counted", || {
        gateway.handshakes("app", "upgrade_required") == 1.0
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_that_ends_here_is_told_in_the_log() {
    let stage = Stage::set().await;
    for (upgrade, detail) in [
        ("SPDY/3.1", Some("Upgrade is passed on for websocket only")),
        ("h2c", None),
    ] {
        let id = upgrade.replace('/', "-");
        let request = format!(
            "POST /exec HTTP/1.1\r\nHost: app.test\r\nX-Request-ID: {id}\r\nContent-Length: 0\r\n\
             Connection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
        );
        let (mut client, head, mut backend) = stage.ask(&request).await;
        assert_eq!(head.value("upgrade"), None);
        backend.send(OK).await;
        assert_eq!(client.answer().await.body, "ok");
        let line = stage.gateway.line_of("request", &id).await;
        assert_eq!(line["detail"].as_str(), detail, "{line}");
        backend.reset();
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_is_served() {
    let stage = Stage::set().await;
    let (mut client, head, mut backend) = stage.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(head.line, "GET / HTTP/1.1");
    assert!(
        head.value("host")
            .is_some_and(|host| host.starts_with("127.0.0.1:")),
        "{head:?}"
    );
    assert_eq!(head.value("x-forwarded-host"), None);
    backend
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        .await;
    let answer = client.head().await;
    assert_eq!(answer.value("transfer-encoding"), None);
    assert_eq!(client.rest().await, b"ok");
}

/// An answer without a length ends with the connection, so that must not be said to stay (RFC 9112 section 9.3).
#[tokio::test]
async fn a_client_of_http_1_0_keeps_its_connection_where_answers_have_a_length() {
    let stage = Stage::set().await;
    let request = "GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, _, mut backend) = stage.ask(request).await;
    backend.send(OK).await;
    let answer = client.answer().await;
    assert_eq!(answer.values("connection"), ["keep-alive"]);
    client.send(request).await;
    assert_eq!(backend.head().await.line, "GET / HTTP/1.1");
    backend
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.values("connection"), answer.body.as_str()),
        (vec!["close"], "ok")
    );
    let mut refused = stage.send(&request.replace("/ ", "/a/../b ")).await;
    let answer = refused.answer().await;
    assert_eq!(
        (answer.status(), answer.values("connection")),
        (400, vec!["close"])
    );
}
