//! Sessions by extended CONNECT: what both sides hear of each other, and what they share.

use http::{Request, Version};
use tokio::net::TcpStream;

use super::{listener, start};
use crate::backends::Backend;
use crate::harness::{
    Gateway, Http2, Identity, Opening, Speaker, Wire, before, connect_tls, directory, eventually,
    http2_connect as connect,
};

#[tokio::test]
async fn a_session_opens_with_200_and_without_the_fields_of_an_upgrade() {
    let agreed = "Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n";
    let backend = Backend::agreeing(agreed).await;
    let (gateway, mut client) = start("", &backend).await;
    let request = connect("/room?x=1")
        .header("sec-websocket-protocol", "chat, other")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header("origin", "https://app.test")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let (mut session, answer) = client.open(request).await;
    assert!(client.takes_sessions().await);
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!answer.headers().contains_key(name), "{answer:?}");
    }

    session.send(Speaker::Client.text("hello")).await;
    let echo = session.frame().await;
    assert_eq!(
        (echo.payload, echo.speaker),
        (b"hello".to_vec(), Speaker::Backend)
    );

    let head = backend.head();
    assert_eq!(head.line, "GET /room?x=1 HTTP/1.1");
    assert_eq!(head.value("host"), Some("gateway.test"));
    assert_eq!(head.value("sec-websocket-protocol"), Some("chat, other"));
    assert_eq!(
        head.value("sec-websocket-extensions"),
        Some("permessage-deflate")
    );
    assert_eq!(head.value("origin"), Some("https://app.test"));
    assert_eq!(head.value("cookie"), Some("a=1; b=2"));
    assert_eq!(head.value("sec-websocket-key").map(str::len), Some(24));
    let line = gateway.line("open").await;
    assert_eq!(
        (&line["protocol"], &line["status"]),
        (&"h2".into(), &200.into()),
        "{line}"
    );
}

/// So do Node 26 and others that share the code with HTTP/1.1.
#[tokio::test]
async fn a_client_that_brings_a_key_has_it_answered() {
    let backend = Backend::echo().await;
    let (_gateway, mut client) = start("", &backend).await;
    let request = connect("/").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let (_session, answer) = client.open(request).await;
    assert_eq!(
        answer.headers()["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(
        backend.head().value("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
}

#[tokio::test]
async fn many_sessions_share_a_connection_with_requests() {
    let backend = Backend::echo().await;
    let (gateway, mut client) = start("", &backend).await;
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push(client.open(connect("/")).await.0);
    }
    for (number, session) in sessions.iter_mut().enumerate() {
        session
            .send(Speaker::Client.text(&number.to_string()))
            .await;
    }
    for (number, session) in sessions.iter_mut().enumerate() {
        let echo = session.frame().await;
        assert_eq!(echo.payload, number.to_string().into_bytes());
    }
    let active = [("route", "chat"), ("pool", "chat")];
    assert_eq!(gateway.count("wsgate_sessions_active", &active), 50.0);
    let accepted = [("listener", "main")];
    assert_eq!(
        gateway.count("wsgate_listener_accepts_total", &accepted),
        1.0
    );
    drop(sessions);
    eventually("the sessions end", || {
        gateway.count("wsgate_sessions_active", &active) == 0.0
    })
    .await;
}

#[tokio::test]
async fn alpn_decides_under_tls() {
    for (keys, agreed) in [("", &b"h2"[..]), (", http2: false", b"http/1.1")] {
        let directory = directory();
        let identity = Identity::make(directory.path(), "site", &["gateway.test"]);
        let backend = Backend::echo().await;
        let yaml = format!(
            "listeners: {{ main: {{ address: \"127.0.0.1:0\", \
             tls: {{ certificates: [{}] }}{keys} }} }}\n{}",
            identity.yaml(),
            before(&[&backend])
        );
        let gateway = Gateway::start_in(directory, &yaml).await;
        let mut trust = identity.trust();
        trust.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = connect_tls(gateway.address(), "gateway.test", trust).await;
        let stream = stream.expect("the handshake succeeds");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed));
        if agreed == b"h2" {
            let mut client = Http2::over(stream).await;
            let (mut session, _) = client.open(connect("/")).await;
            session.send(Speaker::Client.text("hello")).await;
            assert_eq!(session.frame().await.payload, b"hello");
            assert_eq!(backend.head().value("x-forwarded-proto"), Some("https"));
        } else {
            let mut client = Wire::new(stream);
            client.send(Opening::to("/").text()).await;
            assert_eq!(client.head().await.status(), 101);
            // Nor is it accepted from a client that says nothing in ALPN and begins.
            let silent = connect_tls(gateway.address(), "gateway.test", identity.trust()).await;
            let mut unasked = Wire::new(silent.expect("the handshake succeeds"));
            unasked.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
            assert_eq!(unasked.head().await.status(), 400);
        }
    }
}

#[tokio::test]
async fn a_plain_listener_takes_both_versions_only_when_asked() {
    let backend = Backend::echo().await;
    let (gateway, _client) = start("", &backend).await;
    let mut old = Wire::connect(gateway.address()).await;
    old.send(Opening::to("/").text()).await;
    assert_eq!(old.head().await.status(), 101);

    let gateway = Gateway::start(&before(&[&backend])).await;
    let mut refused = Wire::connect(gateway.address()).await;
    refused.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(refused.head().await.status(), 400);
}

#[tokio::test]
async fn other_protocols_and_plain_connect_are_refused() {
    let backend = Backend::echo().await;
    let (gateway, mut client) = start("", &backend).await;
    let udp = Request::connect("https://gateway.test/")
        .extension(h2::ext::Protocol::from_static("connect-udp"));
    let plain = Request::connect("gateway.test:443");
    for (number, request) in (1..).zip([udp, plain]) {
        let (answer, body) = client.ask(request).await;
        assert_eq!(answer.status(), 501);
        assert_eq!(body, "CONNECT is accepted only for WebSocket.\n");
        eventually("the refusal is counted", || {
            gateway.handshakes("", "not_implemented") == f64::from(number)
        })
        .await;
    }
    let other_version = connect("/").header("sec-websocket-version", "8");
    let (answer, _) = client.ask(other_version).await;
    assert_eq!(answer.status(), 426);
    assert_eq!(answer.headers()["sec-websocket-version"], "13");
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_backend_that_answers_200_opens_no_session() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let (_gateway, mut client) = start("", &backend).await;
    let (answer, _) = client.ask(connect("/")).await;
    assert_eq!(answer.status(), 502);
    let backend =
        Backend::answering("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nhi").await;
    let (_gateway, mut client) = start("", &backend).await;
    let (answer, body) = client.ask(connect("/")).await;
    assert_eq!((answer.status().as_u16(), body.as_str()), (401, "hi"));
}

#[tokio::test]
async fn a_route_that_answers_by_itself_opens_no_session() {
    let fixed = "routes: { fixed: { respond: { status: 200, body: in } }, \
                 shut: { match: { path: /shut }, respond: { status: 503, body: shut } } }\n";
    let gateway = Gateway::start(&format!("{}{fixed}", listener(""))).await;
    let mut client = Http2::connect(gateway.address()).await;
    let (answer, _) = client.ask(connect("/")).await;
    assert_eq!(answer.status(), 501);
    let (answer, body) = client.ask(connect("/shut")).await;
    assert_eq!((answer.status().as_u16(), body.as_str()), (503, "shut"));
    let get = Request::get("https://gateway.test/");
    let (answer, body) = client.ask(get).await;
    assert_eq!((answer.status().as_u16(), body.as_str()), (200, "in"));
}

/// As chats send them: a frame of HTTP/2 for each small message.
#[tokio::test]
async fn a_session_held_up_with_small_messages_holds_up_no_other() {
    let [silent, echo] = [Backend::silent().await, Backend::echo().await];
    let yaml = format!(
        "{}defaults: {{ origins: any }}
routes:
  held: {{ match: {{ path: /held }}, pool: held }}
  chat: {{ pool: chat }}
pools: {{ held: {{ backends: [\"{}\"] }}, chat: {{ backends: [\"{}\"] }} }}
",
        listener(", limits: { http2_streams: 8 }"),
        silent.url(),
        echo.url(),
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Http2::connect(gateway.address()).await;
    let (_unanswered, mut held) = client.send(connect("/held")).await;
    for _ in 0..8_000 {
        let sent = held.send_data(Speaker::Client.text("ok").into(), false);
        sent.expect("the stream is open");
    }
    let (mut session, _) = client.open(connect("/")).await;
    for _ in 0..10 {
        session.send(Speaker::Client.text("hello")).await;
        assert_eq!(session.frame().await.payload, b"hello");
    }
    assert!(!client.has_ended());
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_only_its_own_session() {
    let backend = Backend::mirror().await;
    let yaml = format!("{}{}", listener(""), before(&[&backend]));
    let gateway = Gateway::start(&yaml).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let mut client = Http2::with_window(stream, 64 * 1024).await;
    let (mut blocked, _) = client.open(connect("/")).await;
    let (mut other, _) = client.open(connect("/")).await;
    let message = Speaker::Client.frame(crate::harness::BINARY, &vec![7; 1 << 20]);
    let mut sent = 0;
    let blocking = async {
        for chunk in message.chunks(1024).cycle() {
            blocked.try_send(chunk).await;
            sent += chunk.len();
        }
    };
    // Until nothing moves: what fills the windows and the sockets' buffers is taken, no more.
    let stalled = tokio::time::timeout(std::time::Duration::from_secs(3), blocking).await;
    assert!(
        stalled.is_err(),
        "a session that is not read from takes everything"
    );
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    other.send(Speaker::Client.text("hello")).await;
    assert_eq!(other.frame().await.payload, b"hello");
}
