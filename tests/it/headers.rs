//! What of a request's head reaches the backend, to the letter; and heads that could be read in two ways.

use std::collections::BTreeSet;

use crate::backends::Backend;
use crate::harness::{Gateway, Head, KEY, Opening, Wire, ask, before, expect_few_words, soon};

/// The head that the backend gets of this request.
async fn sent_on(request: Opening) -> Head {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let answer = ask(gateway.address(), request.text()).await;
    assert_eq!(answer.status(), 101, "{}", request.text());
    backend.head()
}

#[tokio::test]
async fn the_handshake_is_passed_on() {
    let request = Opening::to("/chat?x=1")
        .with("Origin", "https://a.example")
        .with("User-Agent", "browser/1")
        .with("Cookie", "a=1")
        .with("X-Own", "1")
        .with("X-Own", "2");
    let head = sent_on(request).await;
    assert_eq!(head.line, "GET /chat?x=1 HTTP/1.1");
    for (name, values) in [
        ("host", &["gateway.test"][..]),
        ("upgrade", &["websocket"]),
        ("connection", &["Upgrade"]),
        ("sec-websocket-key", &[KEY]),
        ("sec-websocket-version", &["13"]),
        ("origin", &["https://a.example"]),
        ("user-agent", &["browser/1"]),
        ("cookie", &["a=1"]),
        ("x-own", &["1", "2"]),
    ] {
        assert_eq!(head.values(name), values, "{name}");
    }
}

/// A backend would have to say 100 before its 101 (RFC 9110 section 7.8), and there is no body to go on with.
#[tokio::test]
async fn expect_ends_at_the_gateway() {
    let head = sent_on(Opening::to("/").with("Expect", "100-continue")).await;
    assert_eq!(head.value("expect"), None);
}

/// Some backends compare names with their case.
#[tokio::test]
async fn names_are_spelt_as_in_the_rfc() {
    let request = Opening::to("/")
        .without("Sec-WebSocket-Key")
        .with("sec-websocket-key", KEY)
        .with("SEC-WEBSOCKET-PROTOCOL", "chat")
        .with("sec-websocket-extensions", "x");
    let head = sent_on(request).await;
    for name in [
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
    ] {
        assert!(head.spells(name), "{name} in {head:?}");
    }
}

#[tokio::test]
async fn the_host_is_kept_with_its_port() {
    let head = sent_on(Opening::to("/").set("Host", "Chat.Example.COM:8443")).await;
    assert_eq!(head.values("host"), ["Chat.Example.COM:8443"]);
    assert_eq!(head.values("x-forwarded-host"), ["Chat.Example.COM:8443"]);
    assert_eq!(head.values("x-forwarded-port"), ["8443"]);
}

#[tokio::test]
async fn a_target_in_absolute_form_is_passed_on_as_host_and_path() {
    let request = Opening::to("http://a.test:80/chat?x").set("Host", "b.test");
    let head = sent_on(request).await;
    assert_eq!(head.line, "GET /chat?x HTTP/1.1");
    assert_eq!(head.values("host"), ["a.test:80"]);
    for (target, line) in [
        ("http://a.test", "GET / HTTP/1.1"),
        ("http://a.test?x=1", "GET /?x=1 HTTP/1.1"),
    ] {
        assert_eq!(sent_on(Opening::to(target)).await.line, line, "{target}");
    }
}

#[tokio::test]
async fn hop_by_hop_fields_end_here() {
    let request = Opening::to("/")
        .set("Connection", "Upgrade, X-Hop")
        .with("Connection", "keep-alive, x-other-hop")
        .with("X-Hop", "1")
        .with("X-Other-Hop", "1")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Connection", "keep-alive")
        .with("Proxy-Authorization", "Basic eDp5")
        .with("Proxy-Authenticate", "x")
        .with("Proxy", "http://stranger.test")
        .with("TE", "trailers")
        .with("Trailer", "X")
        .with("Content-Length", "0")
        .with("X-End", "2");
    let head = sent_on(request).await;
    for name in [
        "x-hop",
        "x-other-hop",
        "keep-alive",
        "proxy",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "trailer",
        "content-length",
    ] {
        assert_eq!(head.value(name), None, "{name}");
    }
    assert_eq!(head.values("connection"), ["Upgrade"]);
    assert_eq!(head.values("x-end"), ["2"]);
}

/// Otherwise one request holds its worker for as long as the square of its head takes.
#[tokio::test]
async fn lists_that_fill_a_head_take_no_time() {
    let backend = Backend::mirror().await;
    let listener =
        "listeners: { main: { address: \"127.0.0.1:0\", limits: { request_head: 1MiB } } }\n";
    let gateway = Gateway::start(&format!("{listener}{}", before(&[&backend]))).await;
    let request = Opening::to("/")
        .with("Trailer", &"a,".repeat(100_000))
        .with("Connection", &"b,".repeat(100_000));
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(request.text()).await;
    assert_eq!(wire.head().await.status(), 101);
}

#[tokio::test]
async fn the_backend_learns_who_the_client_is() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    ask(gateway.address(), Opening::to("/").text()).await;
    let head = backend.head();
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "gateway.test"),
        ("x-forwarded-port", "80"),
    ] {
        assert_eq!(head.values(name), [value], "{name}");
    }
}

#[tokio::test]
async fn what_a_client_forges_of_itself_does_not_survive() {
    let request = Opening::to("/")
        .with("X-Forwarded-For", "203.0.113.7")
        .with("x-forwarded-for", "203.0.113.8")
        .with("X-Forwarded-Proto", "https")
        .with("X-Forwarded-Host", "evil.example")
        .with("X-Forwarded-Port", "1")
        .with("X-Real-IP", "203.0.113.7")
        .with("Forwarded", "for=203.0.113.7;proto=https");
    let head = sent_on(request).await;
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.values("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(head.values("x-forwarded-proto"), ["http"]);
    assert_eq!(head.values("x-forwarded-host"), ["gateway.test"]);
    assert_eq!(head.values("x-forwarded-port"), ["80"]);
    assert_eq!(head.value("forwarded"), None);
    let forged = |value: &str| value.contains("203.0.113") || value.contains("evil");
    assert!(
        !head.fields.iter().any(|(_, value)| forged(value)),
        "{head:?}"
    );
}

#[tokio::test]
async fn connection_takes_nothing_away_that_the_gateway_says() {
    let named = "Upgrade, X-Forwarded-For, X-Real-IP, X-Forwarded-Proto, X-Forwarded-Host, \
         X-Forwarded-Port, X-Request-ID, Host, Sec-WebSocket-Key, Sec-WebSocket-Version, \
         Sec-WebSocket-Protocol, Sec-WebSocket-Extensions";
    let request = Opening::to("/")
        .set("Connection", named)
        .with("Sec-WebSocket-Protocol", "chat")
        .with("Sec-WebSocket-Extensions", "x");
    let head = sent_on(request).await;
    for name in named.split(", ") {
        assert_eq!(head.values(name).len(), 1, "{name} in {head:?}");
    }
    assert_eq!(head.values("host"), ["gateway.test"]);
    assert_eq!(head.values("connection"), ["Upgrade"]);
}

#[tokio::test]
async fn a_request_id_is_passed_on_and_logged() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let request = Opening::to("/").with("X-Request-ID", "abc-123");
    ask(gateway.address(), request.text()).await;
    assert_eq!(backend.head().values("x-request-id"), ["abc-123"]);
    assert_eq!(gateway.line("open").await["request_id"], "abc-123");
}

#[tokio::test]
async fn a_request_id_is_made_where_there_is_no_sound_one() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let long = "x".repeat(129);
    for request in [
        Opening::to("/"),
        Opening::to("/").with("X-Request-ID", ""),
        Opening::to("/").with("X-Request-ID", "two words"),
        Opening::to("/").with("X-Request-ID", &long),
    ] {
        let answer = ask(gateway.address(), request.text()).await;
        assert_eq!(answer.status(), 101);
    }
    let mut made = BTreeSet::new();
    for head in backend.heads() {
        let ids = head.values("x-request-id");
        assert_eq!(ids.len(), 1);
        assert!(ids[0].len() == 32 && ids[0] != long, "{ids:?}");
        gateway.line_of("open", ids[0]).await;
        made.insert(ids[0].to_owned());
    }
    assert_eq!(made.len(), 4, "each has its own");
}

/// Heads that two readers could read in two ways never reach a backend.
#[tokio::test]
async fn an_ambiguous_head_is_400() {
    for field in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Space : a\r\n",
        "X-Nul: a\0b\r\n",
        "X Name: a\r\n",
        ": a\r\n",
        "no colon\r\n",
        "X-Return: a\rb\r\n",
    ] {
        expect_400(field).await;
    }
}

async fn expect_400(field: &str) {
    let backend = Backend::mirror().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let sound = Opening::to("/").text();
    let head = sound.replace("\r\n\r\n", &format!("\r\n{field}\r\n"));
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(head).await;
    let answer = wire.answer().await;
    assert_eq!(answer.status(), 400, "{field:?}: {answer:?}");
    expect_few_words(&answer);
    assert_eq!(backend.connections(), 0, "{field:?}");
    let line = gateway.line("refused").await;
    assert_eq!(line["status"], 400, "{line}");
}

/// A body that was announced is not read as the next request; nothing is, since the connection ends.
#[tokio::test]
async fn a_refused_body_is_no_second_request() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let smuggled = Opening::to("/smuggled").text();
    let length = smuggled.len().to_string();
    let request = Opening::to("/").with("Content-Length", &length).text();
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(request + &smuggled).await;
    assert_eq!(wire.answer().await.status(), 400);
    wire.gone().await;
    assert_eq!(backend.connections(), 0);
}

/// Bare line feeds are read as line ends and sent on as valid ones.
#[tokio::test]
async fn bare_line_feeds_are_sent_on_as_line_ends() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let bare = Opening::to("/")
        .with("X-Own", "1")
        .text()
        .replace("\r\n", "\n");
    let answer = soon("an answer", ask(gateway.address(), bare)).await;
    assert_eq!(answer.status(), 101);
    let head = backend.head();
    assert_eq!(head.line, "GET / HTTP/1.1");
    assert_eq!(head.values("x-own"), ["1"]);
    let has_feed = |(name, value): &(String, String)| name.contains('\n') || value.contains('\n');
    assert!(!head.fields.iter().any(has_feed), "{head:?}");
}
