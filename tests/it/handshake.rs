//! Opening handshakes: those that are taken, and each way to be refused for what the request says.

use crate::backends::Backend;
use crate::harness::{
    ACCEPT, Gateway, Opening, Refusal, Wire, ask, before, close, echo, open, open_by, routed,
};

const UPGRADE_REQUIRED: Refusal<'_> = Refusal {
    status: 426,
    result: "upgrade_required",
    route: "chat",
};
const UNSUPPORTED_VERSION: Refusal<'_> = Refusal {
    status: 426,
    result: "unsupported_version",
    route: "chat",
};
const BAD_HANDSHAKE: Refusal<'_> = Refusal {
    status: 400,
    result: "bad_handshake",
    route: "chat",
};

#[tokio::test]
async fn a_session_opens_and_messages_pass() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let mut socket = open(gateway.address(), "/chat").await;
    echo(&mut socket, "hello").await;
    close(socket).await;
    let line = gateway.line("close").await;
    assert_eq!(line["route"], "chat");
    assert_eq!(gateway.handshakes("chat", "accepted"), 1.0);
}

#[tokio::test]
async fn the_101_answers_the_key_of_the_client() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let head = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.values("upgrade"), ["websocket"]);
    assert_eq!(head.values("connection"), ["Upgrade"]);
    assert_eq!(head.values("sec-websocket-accept"), [ACCEPT]);
    assert_eq!(head.value("content-length"), None);
    assert_eq!(head.value("transfer-encoding"), None);
    assert!(head.spells("Sec-WebSocket-Accept"), "{head:?}");
}

#[tokio::test]
async fn no_route_is_404() {
    let backend = Backend::echo().await;
    let yaml = routed("match: { path: /chat }, origins: any", &[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let no_route = Refusal {
        status: 404,
        result: "no_route",
        route: "",
    };
    gateway
        .expect_refusal(Opening::to("/other"), no_route)
        .await;
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn no_upgrade_is_426_with_upgrade() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let sound = Opening::to("/");
    for request in [
        sound.clone().without("Upgrade").without("Connection"),
        sound.clone().without("Upgrade"),
        sound.clone().without("Connection"),
        sound.clone().set("Connection", "keep-alive"),
        sound.clone().set("Upgrade", "h2c"),
        sound.clone().set("Upgrade", "websockets"),
    ] {
        let answer = gateway.expect_refusal(request, UPGRADE_REQUIRED).await;
        assert_eq!(answer.values("upgrade"), ["websocket"]);
        assert_eq!(answer.values("connection"), ["Upgrade"]);
        assert!(answer.body.contains("a proxy in front"), "{answer:?}");
        let line = gateway.line("refused").await;
        assert_eq!(line["detail"], answer.body.trim_end(), "{line}");
    }
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn another_version_is_426_with_the_version() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let sound = Opening::to("/");
    for request in [
        sound.clone().without("Sec-WebSocket-Version"),
        sound.clone().set("Sec-WebSocket-Version", "8"),
        sound.clone().set("Sec-WebSocket-Version", "13, 8"),
        sound.clone().with("Sec-WebSocket-Version", "13"),
    ] {
        let answer = gateway.expect_refusal(request, UNSUPPORTED_VERSION).await;
        assert_eq!(answer.values("sec-websocket-version"), ["13"]);
    }
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_malformed_handshake_is_400() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let sound = Opening::to("/");
    let key = "Sec-WebSocket-Key";
    for (request, told) in [
        (sound.clone().line("POST / HTTP/1.1"), "GET"),
        (sound.clone().line("OPTIONS / HTTP/1.1"), "GET"),
        (sound.clone().line("GET / HTTP/1.0"), "HTTP/1.1"),
        (sound.clone().without(key), "missing"),
        (sound.clone().set(key, ""), "base64"),
        (sound.clone().set(key, "short"), "base64"),
        (sound.clone().set(key, "dGhlIHNhbXBsZSBub25jZQ"), "base64"),
        (sound.clone().set(key, "dGhlIHNhbXBsZSBub25j!Q=="), "base64"),
        (
            sound.clone().with(key, "AAAAAAAAAAAAAAAAAAAAAA=="),
            "more than once",
        ),
        (sound.clone().with("Content-Length", "5"), "body"),
        (sound.clone().with("Transfer-Encoding", "chunked"), "body"),
        (sound.clone().set("Host", ""), "Host"),
    ] {
        let answer = gateway.expect_refusal(request, BAD_HANDSHAKE).await;
        assert!(answer.body.contains(told), "{answer:?}");
    }
    assert_eq!(backend.connections(), 0);
}

/// Without one Host nobody knows which route is meant (RFC 9112 section 3.2).
#[tokio::test]
async fn a_request_without_one_host_is_400_and_the_connection_ends() {
    let backend = Backend::echo().await;
    let yaml = routed(
        "match: { hosts: [gateway.test] }, origins: any",
        &[&backend],
    );
    let gateway = Gateway::start(&yaml).await;
    let unrouted = Refusal {
        status: 400,
        result: "bad_request",
        route: "",
    };
    let sound = Opening::to("/");
    for (request, told) in [
        (sound.clone().without("Host"), "Host is missing."),
        (sound.clone().with("Host", "gateway.test"), "more than once"),
        (sound.clone().with("Host", "other.test"), "more than once"),
    ] {
        let answer = gateway.expect_refusal(request, unrouted).await;
        assert!(answer.body.contains(told), "{answer:?}");
        assert_eq!(answer.values("connection"), ["close"]);
    }
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(wire.answer().await.status(), 400);
    wire.gone().await;
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn the_log_says_what_the_client_was_told() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let request = Opening::to("/").without("Sec-WebSocket-Key");
    let answer = gateway.expect_refusal(request, BAD_HANDSHAKE).await;
    let line = gateway.line("refused").await;
    assert_eq!(line["detail"], answer.body.trim_end());
}

#[tokio::test]
async fn upgrade_and_connection_are_taken_in_any_spelling() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let sound = Opening::to("/");
    for request in [
        sound
            .clone()
            .set("Upgrade", "WebSocket")
            .set("Connection", "upgrade"),
        sound
            .clone()
            .set("Upgrade", "WEBSOCKET")
            .set("Connection", "UPGRADE"),
        sound.clone().set("Connection", "keep-alive, Upgrade"),
        sound
            .clone()
            .set("Connection", "keep-alive")
            .with("Connection", "Upgrade"),
        sound.clone().set("Connection", " ,Upgrade,, x"),
        sound.clone().set("Upgrade", "h2c, websocket"),
        sound
            .clone()
            .set("Upgrade", "h2c")
            .with("Upgrade", "websocket"),
        sound
            .clone()
            .without("Upgrade")
            .with("uPGRADE", "websocket"),
    ] {
        let answer = ask(gateway.address(), request.text()).await;
        assert_eq!(answer.status(), 101, "{}", request.text());
    }
    // Nothing but websocket is ever asked for.
    for head in backend.heads() {
        assert_eq!(head.values("upgrade"), ["websocket"]);
        assert_eq!(head.values("connection"), ["Upgrade"]);
    }
}

#[tokio::test]
async fn bytes_behind_the_request_head_reach_the_backend() {
    let backend = Backend::mirror().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let mut wire = Wire::connect(gateway.address()).await;
    let early = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    wire.send(format!("{}{early}", Opening::to("/").text()))
        .await;
    assert_eq!(wire.head().await.status(), 101);
    assert_eq!(wire.take(early.len()).await, early.as_bytes());
    assert_eq!(backend.connections(), 1);
    assert_eq!(gateway.handshakes("", "no_route"), 0.0);
}

#[tokio::test]
async fn bytes_behind_the_101_reach_the_client() {
    let early = "HTTP/1.1 200 OK\r\n\r\n";
    let backend = Backend::early(early).await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").text()).await;
    assert_eq!(wire.head().await.status(), 101);
    assert_eq!(wire.take(early.len()).await, early.as_bytes());
    wire.send("and on").await;
    assert_eq!(wire.take(6).await, b"and on");
}

#[tokio::test]
async fn cookies_subprotocol_and_extensions_pass_both_ways() {
    let fields = "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nSet-Cookie: c=3\r\n\
         Sec-WebSocket-Protocol: chat.v2\r\nX-Own: kept\r\n";
    let backend = Backend::agreeing(fields).await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let wire = Wire::connect(gateway.address()).await;
    let asked = [
        ("Sec-WebSocket-Protocol", "chat.v1, chat.v2"),
        ("Cookie", "session=1"),
        ("Authorization", "Bearer x"),
    ];
    let (mut socket, answer) = open_by(wire.into_stream(), "/", &asked).await;
    let cookies = answer.headers().get_all("set-cookie").iter();
    assert_eq!(cookies.collect::<Vec<_>>(), ["a=1; Path=/", "b=2", "c=3"]);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat.v2");
    assert_eq!(answer.headers()["x-own"], "kept");
    for (name, value) in asked {
        assert_eq!(backend.head().values(name), [value]);
    }
    echo(&mut socket, "agreed").await;
}

#[tokio::test]
async fn a_field_that_a_backend_says_twice_is_spelt_alike() {
    let said = "Sec-WebSocket-Extensions: x-a\r\nSec-WebSocket-Extensions: x-b\r\n";
    let backend = Backend::agreeing(said).await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let request = Opening::to("/").with("Sec-WebSocket-Extensions", "x-a, x-b");
    let answer = ask(gateway.address(), request.text()).await;
    let fields = answer.head.fields.iter();
    let fields = fields.filter(|(name, _)| name.starts_with("Sec-WebSocket-Extensions"));
    assert_eq!(fields.count(), 2, "{answer:?}");
}

#[tokio::test]
async fn extensions_are_negotiated_between_the_ends() {
    let chosen = "permessage-deflate; server_no_context_takeover";
    let backend = Backend::agreeing(&format!("Sec-WebSocket-Extensions: {chosen}\r\n")).await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let offered = "permessage-deflate; client_max_window_bits, x-other";
    let request = Opening::to("/").with("Sec-WebSocket-Extensions", offered);
    let answer = ask(gateway.address(), request.text()).await;
    assert_eq!(answer.values("sec-websocket-extensions"), [chosen]);
    assert_eq!(backend.head().values("sec-websocket-extensions"), [offered]);
}

/// What bounds the handshake does not bound the session.
#[tokio::test]
async fn deadlines_of_the_handshake_end_with_the_101() {
    let sound = Backend::echo().await;
    let silent = Backend::silent().await;
    let gateway = Gateway::start(&format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", \
           timeouts: {{ request_header: 1s, keep_alive: 1s }} }} }}\n\
         defaults: {{ origins: any, timeouts: {{ handshake: 2s }} }}\n\
         routes:\n  chat: {{ pool: chat }}\n  silent: {{ match: {{ path: /silent }}, pool: silent }}\n\
         pools:\n  chat: {{ backends: [\"{}\"] }}\n  silent: {{ backends: [\"{}\"] }}\n",
        sound.url(),
        silent.url(),
    ))
    .await;
    let mut socket = open(gateway.address(), "/chat").await;
    // Another client's deadline stands for the time: it began later.
    let late = ask(gateway.address(), Opening::to("/silent").text()).await;
    assert_eq!(late.status(), 504);
    echo(&mut socket, "still here").await;
}

#[tokio::test]
async fn a_refused_client_may_ask_again_over_its_connection() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").without("Sec-WebSocket-Key").text())
        .await;
    assert_eq!(wire.answer().await.status(), 400);
    wire.send(Opening::to("/").text()).await;
    assert_eq!(wire.answer().await.status(), 101);
}
