//! What routes say of header fields and paths, for plain requests and opening handshakes alike.

use super::{OK, Stage, get};
use crate::backends::Backend;
use crate::harness::{Gateway, Head, Http2, Opening, ask, http2_connect, routed};

/// The head that the backend gets of a plain request on a route with these keys.
async fn plain(keys: &str, request: &str) -> Head {
    let stage = Stage::set_with(keys).await;
    let (mut client, head, mut backend) = stage.ask(request).await;
    backend.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
    head
}

/// The head that the backend gets of an opening handshake on a route with these keys, and its own address.
async fn opening(keys: &str, request: Opening) -> (Head, String) {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&routed(&format!("origins: any{keys}"), &[&backend])).await;
    let answer = ask(gateway.address(), request.text()).await;
    assert_eq!(answer.status(), 101);
    (backend.head(), backend.address().to_string())
}

#[tokio::test]
async fn fields_are_set_and_removed() {
    let keys = ", headers: { set: { X-Env: prod, X-Forwarded-Proto: https }, remove: [Cookie, X-Real-IP] }";
    let request =
        "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=1\r\nX-Env: dev\r\nX-Env: test\r\n\r\n";
    let opened = Opening::to("/").with("Cookie", "a=1").with("X-Env", "dev");
    for head in [plain(keys, request).await, opening(keys, opened).await.0] {
        assert_eq!(head.values("x-env"), ["prod"]);
        assert_eq!(head.values("x-forwarded-proto"), ["https"]);
        assert_eq!(head.value("cookie"), None);
        assert_eq!(head.value("x-real-ip"), None);
        assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
    }
}

/// Behind a balancer that ends TLS and says nothing.
#[tokio::test]
async fn the_port_follows_the_protocol_and_the_host_that_are_set() {
    for (set, port) in [
        ("X-Forwarded-Proto: https", "443"),
        ("X-Forwarded-Host: \"a.test:8443\"", "8443"),
        ("X-Forwarded-Proto: https, X-Forwarded-Port: \"1\"", "1"),
    ] {
        let keys = format!(", headers: {{ set: {{ {set} }} }}");
        let head = plain(&keys, &get("/")).await;
        assert_eq!(head.values("x-forwarded-port"), [port], "{set}");
    }
}

/// Applications that take fields for variables read `_` as `-`, PHP a dot, lighttpd all that is no letter or digit.
#[tokio::test]
async fn another_spelling_is_no_way_around_the_rules() {
    let keys = ", headers: { set: { X-Auth: gateway, X_Env: prod }, remove: [X-Secret] }";
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX_Auth: evil\r\nX_Secret: evil\r\nX-Env: evil\r\n\
                   X.Auth: evil\r\nX!Secret: evil\r\nX.Forwarded.For: evil\r\nX+Real+IP: evil\r\n\
                   X_Own: 1\r\nX.Own: 2\r\n\r\n";
    let opened = Opening::to("/")
        .with("X_Auth", "evil")
        .with("X_Secret", "evil")
        .with("X-Env", "evil")
        .with("X.Auth", "evil")
        .with("X!Secret", "evil")
        .with("X.Forwarded.For", "evil")
        .with("X+Real+IP", "evil")
        .with("X_Own", "1")
        .with("X.Own", "2");
    for head in [plain(keys, request).await, opening(keys, opened).await.0] {
        assert!(
            !head.fields.iter().any(|(_, value)| value == "evil"),
            "{head:?}"
        );
        assert_eq!(head.values("x-auth"), ["gateway"]);
        assert_eq!(head.values("x_env"), ["prod"]);
        assert_eq!(head.values("x_own"), ["1"]);
        assert_eq!(head.values("x.own"), ["2"]);
    }
}

#[tokio::test]
async fn the_host_may_be_the_backends() {
    let keys = ", headers: { preserve_host: false }";
    let (head, address) = opening(keys, Opening::to("/")).await;
    assert_eq!(head.values("host"), [address]);
    assert_eq!(head.values("x-forwarded-host"), ["gateway.test"]);
    let head = plain(keys, &get("/")).await;
    assert!(
        head.value("host")
            .is_some_and(|host| host.starts_with("127.0.0.1:")),
        "{head:?}"
    );
    assert_eq!(head.values("x-forwarded-host"), ["app.test"]);
}

#[tokio::test]
async fn the_client_is_told_of_as_the_route_says() {
    let forwarded = "for=127.0.0.1;host=app.test;proto=http";
    for (style, x_forwarded, forwarded) in [
        ("x_forwarded", Some("127.0.0.1"), None),
        ("forwarded", None, Some(forwarded)),
        ("both", Some("127.0.0.1"), Some(forwarded)),
        ("none", None, None),
    ] {
        let keys = format!(", headers: {{ forwarded: {style} }}");
        let request = "GET / HTTP/1.1\r\nHost: app.test\r\nForwarded: for=203.0.113.7\r\n\
                       X-Forwarded-For: 203.0.113.7\r\nX_Forwarded_For: 203.0.113.7\r\n\r\n";
        let head = plain(&keys, request).await;
        assert_eq!(head.value("x-forwarded-for"), x_forwarded, "{style}");
        assert_eq!(head.value("forwarded"), forwarded, "{style}");
        assert_eq!(head.value("x_forwarded_for"), None, "{style}");
    }
    let head = plain(
        ", headers: { forwarded: forwarded }",
        "GET / HTTP/1.1\r\nHost: app.test:8080\r\n\r\n",
    )
    .await;
    let quoted = "for=127.0.0.1;host=\"app.test:8080\";proto=http";
    assert_eq!(head.values("forwarded"), [quoted]);
}

#[tokio::test]
async fn a_prefix_is_stripped_on_request() {
    let keys = ", match: { path: /app }, strip_prefix: true";
    for (target, stripped) in [
        ("/app/x?y=/app", "/x?y=/app"),
        ("/app", "/"),
        ("/app/", "/"),
        ("/app?x", "/?x"),
    ] {
        let head = plain(keys, &get(target)).await;
        assert_eq!(head.line, format!("GET {stripped} HTTP/1.1"));
        assert_eq!(head.values("x-forwarded-prefix"), ["/app"]);
    }
    let (head, _) = opening(keys, Opening::to("/app/ws")).await;
    assert_eq!(head.line, "GET /ws HTTP/1.1");
    assert_eq!(head.values("x-forwarded-prefix"), ["/app"]);
}

/// Together with `strip_prefix` it puts another path in the place of the prefix.
#[tokio::test]
async fn a_prefix_is_added_on_request() {
    for (keys, stripped, paths) in [
        (
            ", add_prefix: /a/b",
            None,
            &[
                ("/x?y=/z", "/a/b/x?y=/z"),
                ("/", "/a/b/"),
                ("//x//y", "/a/b//x//y"),
                ("/x%2Fy", "/a/b/x%2Fy"),
                ("http://app.test", "/a/b/"),
                ("http://app.test?x", "/a/b/?x"),
            ][..],
        ),
        (
            ", match: { path: /app }, strip_prefix: true, add_prefix: /new",
            Some("/app"),
            &[
                ("/app/x?y=/app", "/new/x?y=/app"),
                ("/app", "/new"),
                ("/app?x", "/new?x"),
                ("/app/", "/new/"),
                ("/app//x", "/new//x"),
            ],
        ),
        (
            ", match: { path: /app/x, exact: true }, strip_prefix: true, add_prefix: /new/y",
            Some("/app/x"),
            &[("/app/x?z", "/new/y?z")],
        ),
    ] {
        for (target, expected) in paths {
            let head = plain(keys, &get(target)).await;
            assert_eq!(head.line, format!("GET {expected} HTTP/1.1"));
            assert_eq!(head.value("x-forwarded-prefix"), stripped);
            let (head, _) = opening(keys, Opening::to(target)).await;
            assert_eq!(head.line, format!("GET {expected} HTTP/1.1"));
            assert_eq!(head.value("x-forwarded-prefix"), stripped);
        }
    }
}

#[tokio::test]
async fn a_prefix_is_added_over_http2() {
    let backend = Backend::echo().await;
    let yaml = routed(
        "origins: any, match: { path: /app }, strip_prefix: true, add_prefix: /new",
        &[&backend],
    );
    let listener = "listeners: { main: { address: \"127.0.0.1:0\", h2c: true } }\n";
    let gateway = Gateway::start(&format!("{listener}{yaml}")).await;
    let mut client = Http2::connect(gateway.address()).await;
    let (_session, _) = client.open(http2_connect("/app/ws?x=1")).await;
    assert_eq!(backend.head().line, "GET /new/ws?x=1 HTTP/1.1");
}

#[tokio::test]
async fn a_path_reaches_no_other_route_than_its_backend_will_see() {
    let guarded = "guarded: { match: { path: /chat }, respond: { status: 403 } }";
    let yaml = format!(
        "routes: {{ {guarded}, open: {{ respond: {{ status: 200 }} }}, \
         files: {{ match: {{ path: /files }}, respond: {{ status: 201 }} }} }}\n"
    );
    let gateway = Gateway::start(&yaml).await;
    for (target, status) in [
        ("/chat", 403),
        ("/chat/", 403),
        ("/chatter", 200),
        ("/%63hat", 400),
        ("/ch%61t/x", 400),
        ("//chat", 400),
        ("/x/..%2fchat", 400),
        ("/./chat", 400),
        ("/chat;x", 400),
        ("/;%2fx/chat", 400),
        ("/.;x%5cy/chat", 400),
        ("/%2fchat", 400),
        ("/\\chat", 400),
        ("/chat%2fx", 400),
        ("/chat%00", 400),
        ("/chat%0a", 400),
        ("//x/chat", 400),
        ("/\\x/chat", 400),
        ("///x/%63hat", 400),
        ("http://gateway.test//x/chat", 400),
        ("//x/other", 200),
        ("/x//y/chat", 200),
        ("/files/a%2fb", 201),
        ("/files//a;v=1", 201),
        ("/files/./a/.", 201),
        ("/files/%e9", 201),
        ("/100%", 400),
        ("/%u0063hat", 400),
        ("/x/%u002e%u002e/chat", 400),
        ("/x?100%", 200),
        ("http://gateway.test/chat", 403),
    ] {
        let answer = ask(gateway.address(), get(target)).await;
        assert_eq!(answer.status(), status, "{target}");
    }
}
