//! The lines of the access log: which keys, in which case, and what is never in them.

use serde_json::Value;

use crate::backends::Backend;
use crate::harness::{
    Gateway, Identity, Opening, Wire, ask, before, close, connect_tls, directory, echo, eventually,
    impatient, open, open_by, repeatedly,
};
use crate::process::Process;

/// The keys of every line about a session that a backend agreed to, in their order.
const OPEN_KEYS: [&str; 16] = [
    "ts",
    "event",
    "session_id",
    "request_id",
    "client",
    "listener",
    "route",
    "pool",
    "backend",
    "host",
    "path",
    "origin",
    "user_agent",
    "protocol",
    "status",
    "result",
];

const CLOSE_KEYS: [&str; 5] = [
    "bytes_in",
    "bytes_out",
    "close_code",
    "close_initiator",
    "close_reason",
];

fn keys(line: &Value) -> Vec<&str> {
    let line = line.as_object().expect("a line is an object");
    line.keys().map(String::as_str).collect()
}

async fn started(yaml: &str) -> (Gateway, Backend) {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&(yaml.to_owned() + &impatient(&[&backend]))).await;
    (gateway, backend)
}

#[tokio::test]
async fn a_session_has_a_line_at_its_opening_and_one_at_its_end() {
    let (gateway, backend) = started("").await;
    let wire = Wire::connect(gateway.address()).await;
    let asked = [("Origin", "https://a.example"), ("User-Agent", "browser/1")];
    let (mut socket, _) = open_by(wire.into_stream(), "/chat?x=1", &asked).await;
    echo(&mut socket, "hello").await;
    close(socket).await;
    let end = gateway.line("close").await;
    let opening = gateway.line("open").await;
    assert_eq!(gateway.log().lines().len(), 2);
    for line in [&opening, &end] {
        for key in OPEN_KEYS {
            assert!(line.get(key).is_some(), "{key} in {line}");
        }
        assert!(line["duration_ms"].is_u64(), "{line}");
        assert_eq!(line["listener"], "main");
        assert_eq!(line["route"], "chat");
        assert_eq!(line["pool"], "chat");
        assert_eq!(line["backend"], backend.address().to_string());
        assert_eq!(line["host"], "gateway.test");
        assert_eq!(line["origin"], "https://a.example");
        assert_eq!(line["user_agent"], "browser/1");
        assert_eq!(line["protocol"], "h1");
        assert_eq!(line["status"], 101);
        assert_eq!(line["result"], "accepted");
        assert_eq!(line["session_id"], opening["session_id"]);
        assert_eq!(line["request_id"], opening["request_id"]);
        let client = line["client"].as_str().unwrap_or_default();
        assert!(client.starts_with("127.0.0.1:"), "{line}");
    }
    assert_eq!(end["bytes_in"], 17);
    assert_eq!(end["bytes_out"], 9);
    assert_eq!(end["close_reason"], "finished");
    for key in CLOSE_KEYS {
        assert!(!keys(&opening).contains(&key), "{opening}");
    }
}

#[tokio::test]
async fn a_tls_session_says_its_version() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "a", &["gateway.test"]);
    let backend = Backend::echo().await;
    let yaml = format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{}] }} }} }}\n{}",
        identity.yaml(),
        before(&[&backend])
    );
    let gateway = Gateway::start_in(directory, &yaml).await;
    let stream = connect_tls(gateway.address(), "gateway.test", identity.trust()).await;
    let stream = stream.expect("the certificate is trusted");
    let (mut socket, _) = open_by(stream, "/", &[]).await;
    echo(&mut socket, "hello").await;
    assert_eq!(gateway.line("open").await["tls_version"], "TLSv1.3");
    assert_eq!(backend.head().values("x-forwarded-proto"), ["https"]);
}

#[tokio::test]
async fn a_refusal_has_one_line() {
    let (gateway, _backend) = started("").await;
    let request = Opening::to("/chat").with("Origin", "nonsense");
    ask(
        gateway.address(),
        request.without("Sec-WebSocket-Key").text(),
    )
    .await;
    let line = gateway.line("refused").await;
    assert_eq!(line["status"], 400);
    assert_eq!(line["result"], "bad_handshake");
    assert_eq!(line["route"], "chat");
    assert_eq!(line["path"], "/chat");
    assert_eq!(line["origin"], "nonsense");
    assert!(line["detail"].is_string(), "{line}");
    assert!(!keys(&line).contains(&"backend"), "{line}");
    assert_eq!(gateway.lines_so_far().await.len(), 1);
}

#[tokio::test]
async fn values_in_queries_are_redacted() {
    let (gateway, backend) = started("").await;
    ask(
        gateway.address(),
        Opening::to("/chat?token=secret&x=&flag").text(),
    )
    .await;
    assert_eq!(
        gateway.line("open").await["path"],
        "/chat?token=***&***&***"
    );
    assert!(!gateway.log().text().contains("secret"));
    // The backend gets them.
    assert!(backend.head().line.contains("token=secret"));
}

#[tokio::test]
async fn queries_are_whole_where_asked_for() {
    let (gateway, _backend) = started("log: { access: { redact_query: false } }\n").await;
    ask(gateway.address(), Opening::to("/chat?token=shown").text()).await;
    assert_eq!(gateway.line("open").await["path"], "/chat?token=shown");
}

#[tokio::test]
async fn credentials_are_never_logged() {
    let (gateway, _backend) = started("log: { access: { redact_query: false } }\n").await;
    let request = Opening::to("/chat")
        .with("Authorization", "Bearer secret-1")
        .with("Cookie", "session=secret-2")
        .with("Proxy-Authorization", "Basic secret-3")
        .with("Sec-WebSocket-Protocol", "secret-4");
    ask(gateway.address(), request.text()).await;
    ask(gateway.address(), request.without("Upgrade").text()).await;
    gateway.line("refused").await;
    gateway.line("close").await;
    let text = gateway.log().text();
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn what_a_client_sends_cannot_forge_a_line() {
    let (gateway, _backend) = started("").await;
    let forged = "x\",\"result\":\"accepted\u{1b}[31m\\";
    let request = Opening::to("/chat").with("User-Agent", "x\", \"result\": \"forged");
    ask(
        gateway.address(),
        request.with("Origin", forged).without("Upgrade").text(),
    )
    .await;
    let lines = gateway.lines_so_far().await;
    assert_eq!(lines.len(), 1);
    assert!(lines[0]["status"].is_u64());
    assert_ne!(lines[0]["result"], "accepted");
    assert_ne!(lines[0]["result"], "forged");
    assert!(!gateway.log().text().contains('\u{1b}'));
}

#[tokio::test]
async fn a_long_value_is_cut() {
    let (gateway, _backend) = started("").await;
    let agent = "x".repeat(10_000);
    let request = Opening::to("/chat").with("User-Agent", &agent);
    ask(gateway.address(), request.text()).await;
    let line = gateway.line("open").await;
    let agent = line["user_agent"].as_str().unwrap_or_default();
    assert!(agent.len() < 300 && agent.ends_with('…'), "{line}");
}

#[tokio::test]
async fn lines_may_be_left_out() {
    let (gateway, _backend) = started("log: { access: { open: false } }\n").await;
    let socket = open(gateway.address(), "/").await;
    close(socket).await;
    gateway.line("close").await;
    assert_eq!(gateway.lines_so_far().await.len(), 1);
}

#[tokio::test]
async fn the_body_of_a_fixed_answer_is_counted_where_it_is_sent() {
    let gateway =
        Gateway::start("routes: { fixed: { respond: { status: 200, body: in } } }\n").await;
    for (method, bytes) in [("GET", 2), ("HEAD", 0)] {
        let mut client = Wire::connect(gateway.address()).await;
        let fields = format!("Host: gateway.test\r\nX-Request-ID: {method}");
        let request = format!("{method} / HTTP/1.1\r\n{fields}\r\n\r\n");
        client.send(request).await;
        assert_eq!(client.head().await.status(), 200);
        let line = gateway.line_of("request", method).await;
        assert_eq!(line["bytes_out"], bytes, "{line}");
    }
}

#[tokio::test]
async fn plain_requests_may_be_left_out() {
    let route = "routes: { fixed: { match: { path: /in }, respond: { status: 200 } } }\n";
    for (keys, count) in [("", 2), ("log: { access: { request: false } }\n", 0)] {
        let gateway = Gateway::start(&format!("{keys}{route}")).await;
        // Those that no route takes are meant, too.
        for (path, status) in [("/in", 200), ("/out", 404)] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
            assert_eq!(ask(gateway.address(), &request).await.status(), status);
        }
        assert_eq!(gateway.lines_so_far().await.len(), count, "{keys}");
    }
    let gateway = Gateway::start(&format!("log: {{ access: {{ close: false }} }}\n{route}")).await;
    let request = "GET /out HTTP/1.1\r\nHost: gateway.test\r\nX-Request-ID: out\r\n\r\n";
    assert_eq!(ask(gateway.address(), request).await.status(), 404);
    gateway.line_of("refused", "out").await;
}

#[tokio::test]
async fn a_refused_plain_request_is_told_from_a_handshake() {
    let route = "routes: { fixed: { match: { path: /in }, respond: { status: 200 } } }\n";
    let gateway = Gateway::start(route).await;
    let request = "DELETE /out HTTP/1.1\r\nHost: gateway.test\r\nX-Request-ID: plain\r\n\r\n";
    assert_eq!(ask(gateway.address(), request).await.status(), 404);
    let opening = Opening::to("/out").with("X-Request-ID", "opening").text();
    assert_eq!(ask(gateway.address(), &opening).await.status(), 404);
    let line = gateway.line_of("refused", "plain").await;
    assert_eq!(line["method"], "DELETE", "{line}");
    let line = gateway.line_of("refused", "opening").await;
    assert_eq!(line.get("method"), None, "{line}");
}

#[tokio::test]
async fn lines_may_be_text() {
    let (gateway, _backend) = started("log: { format: text }\n").await;
    let request = Opening::to("/chat").with("User-Agent", "two words");
    ask(gateway.address(), request.text()).await;
    let text = || gateway.log().text();
    eventually("two lines", || text().lines().count() == 2).await;
    let first = text().lines().next().unwrap_or_default().to_owned();
    for part in [
        " event=open ",
        " route=chat ",
        " path=/chat ",
        " user_agent=\"two words\" ",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
}

#[tokio::test]
async fn a_reload_changes_what_is_logged() {
    let (gateway, backend) = started("").await;
    let quiet = "log: { access: { open: false, close: false } }\n".to_owned();
    gateway.change(&(quiet + &before(&[&backend]))).await;
    close(open(gateway.address(), "/").await).await;
    let closed = || gateway.count("wsgate_sessions_closed_total", &[]) == 1.0;
    eventually("the session has ended", closed).await;
    gateway.change(&before(&[&backend])).await;
    assert!(gateway.lines_so_far().await.is_empty());
}

/// The system would end the process for that.
#[tokio::test]
async fn a_file_at_its_limit_is_as_a_full_disk() {
    let route = "routes: { fixed: { respond: { status: 200 } } }\n";
    let process = Process::start_with_small_files(route).await;
    let is_counted = async || {
        process.ask().await;
        let lost = process.metrics().await;
        let lost = lost.value("wsgate_access_log_dropped_lines_total", &[]);
        (lost > Some(0.0)).then_some(())
    };
    repeatedly("a line is lost", is_counted).await;
    process.ask().await;
}

#[tokio::test]
async fn lines_that_cannot_be_written_are_counted_and_it_is_said_once() {
    let route = "routes: { fixed: { respond: { status: 200 } } }\n";
    let process = Process::start_on_a_full_disk(route).await;
    let name = "wsgate_access_log_dropped_lines_total";
    assert_eq!(process.metrics().await.value(name, &[]), Some(0.0));
    for count in [1.0, 2.0] {
        process.ask().await;
        let is_counted =
            async || (process.metrics().await.value(name, &[]) == Some(count)).then_some(());
        repeatedly("a line is counted", is_counted).await;
    }
    let said = || {
        process
            .log()
            .matches("the access log cannot be written")
            .count()
    };
    eventually("it is said", || said() > 0).await;
    assert_eq!(said(), 1);
}
