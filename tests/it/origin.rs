//! Origins: who may open a session, and that nobody else reaches a backend.

use crate::backends::Backend;
use crate::harness::{Gateway, Http2, Opening, Refusal, ask, before, http2_connect, pool, routed};

const DENIED: Refusal<'_> = Refusal {
    status: 403,
    result: "origin_denied",
    route: "chat",
};

fn from(origin: &str) -> Opening {
    Opening::to("/").with("Origin", origin)
}

async fn expect_taken(gateway: &Gateway, request: Opening) {
    let answer = ask(gateway.address(), request.text()).await;
    assert_eq!(answer.status(), 101, "{}", request.text());
}

#[tokio::test]
async fn listed_origins_are_taken() {
    let backend = Backend::echo().await;
    let keys = "origins: [\"https://app.example.com\", \"https://*.example.org\", \
         \"http://localhost:3000\"]";
    let gateway = Gateway::start(&routed(keys, &[&backend])).await;
    for origin in [
        "https://app.example.com",
        "https://app.example.com:443",
        "HTTPS://APP.EXAMPLE.COM",
        "https://a.example.org",
        "https://a.b.example.org",
        "http://localhost:3000",
    ] {
        expect_taken(&gateway, from(origin)).await;
    }
    let origins = backend.heads();
    assert_eq!(origins[0].values("origin"), ["https://app.example.com"]);
}

#[tokio::test]
async fn other_origins_are_403_and_no_backend_is_contacted() {
    let backend = Backend::echo().await;
    let keys = "origins: [\"https://app.example.com\", \"https://*.example.org\"]";
    let gateway = Gateway::start(&routed(keys, &[&backend])).await;
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://xapp.example.com",
        "https://example.org",
        "https://xexample.org",
        "https://a.example.org:8443",
        "null",
        "",
        "nonsense",
        "https://app.example.com/",
        "https://app.example.com https://evil.example",
    ] {
        gateway.expect_refusal(from(origin), DENIED).await;
    }
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_missing_origin_is_403_unless_allowed() {
    let backend = Backend::echo().await;
    let keys = "origins: { allow: [\"https://a.example\"] }";
    let strict = Gateway::start(&routed(keys, &[&backend])).await;
    let answer = strict.expect_refusal(Opening::to("/"), DENIED).await;
    assert!(answer.body.contains("missing"), "{answer:?}");
    assert_eq!(backend.connections(), 0);
    let keys = "origins: { allow: [\"https://a.example\"], missing: allow }";
    let lenient = Gateway::start(&routed(keys, &[&backend])).await;
    expect_taken(&lenient, Opening::to("/")).await;
    lenient.expect_refusal(from("null"), DENIED).await;
}

#[tokio::test]
async fn an_opaque_origin_is_403_unless_allowed() {
    let backend = Backend::echo().await;
    let keys = "origins: { allow: [\"https://a.example\"] }";
    let strict = Gateway::start(&routed(keys, &[&backend])).await;
    let answer = strict.expect_refusal(from("null"), DENIED).await;
    assert!(answer.body.contains("opaque"), "{answer:?}");
    assert_eq!(backend.connections(), 0);
    let keys = "origins: { allow: [\"https://a.example\"], opaque: allow }";
    let lenient = Gateway::start(&routed(keys, &[&backend])).await;
    expect_taken(&lenient, from("null")).await;
    lenient.expect_refusal(Opening::to("/"), DENIED).await;
}

#[tokio::test]
async fn a_repeated_origin_is_403_even_when_each_is_allowed() {
    let backend = Backend::echo().await;
    let keys = "origins: [\"https://a.example\", \"https://b.example\"]";
    let gateway = Gateway::start(&routed(keys, &[&backend])).await;
    let request = from("https://a.example").with("Origin", "https://b.example");
    let answer = gateway.expect_refusal(request, DENIED).await;
    assert!(answer.body.contains("repeated"), "{answer:?}");
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn any_takes_every_origin() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    for request in [
        Opening::to("/"),
        from("null"),
        from("https://evil.example"),
        from("nonsense"),
    ] {
        expect_taken(&gateway, request).await;
    }
}

#[tokio::test]
async fn no_other_field_stands_for_the_origin_or_the_host() {
    let backend = Backend::echo().await;
    let keys = "match: { hosts: [\"gateway.test\"] }, origins: [\"https://a.example\"]";
    let gateway = Gateway::start(&routed(keys, &[&backend])).await;
    let forged = from("https://evil.example")
        .with("X-Forwarded-Host", "a.example")
        .with("X-Origin", "https://a.example")
        .with("Sec-WebSocket-Origin", "https://a.example")
        .with("Referer", "https://a.example/");
    gateway.expect_refusal(forged, DENIED).await;
    let elsewhere = from("https://a.example")
        .set("Host", "other.test")
        .with("X-Forwarded-Host", "gateway.test");
    let no_route = Refusal {
        status: 404,
        result: "no_route",
        route: "",
    };
    gateway.expect_refusal(elsewhere, no_route).await;
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_route_inherits_the_origins_of_the_defaults() {
    let backend = Backend::echo().await;
    let yaml = format!(
        "defaults: {{ origins: [\"https://a.example\"] }}\n\
         routes:\n  chat: {{ pool: chat }}\n  \
         open: {{ match: {{ path: /open }}, origins: any, pool: chat }}\n{}",
        pool("", &[&backend])
    );
    let gateway = Gateway::start(&yaml).await;
    expect_taken(&gateway, from("https://a.example")).await;
    gateway
        .expect_refusal(from("https://b.example"), DENIED)
        .await;
    expect_taken(&gateway, Opening::to("/open")).await;
}

/// The address that is asked for stands in Host and nowhere else, and is secure where TLS ends here or a trusted proxy says so.
#[tokio::test]
async fn pages_of_the_address_itself_are_taken() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&routed("origins: same", &[&backend])).await;
    let at = |host: &str, origin: &str| from(origin).set("Host", host);
    for (host, origin) in [
        ("gateway.test", "http://gateway.test"),
        ("Gateway.TEST:80", "http://gateway.test"),
        ("192.0.2.1:8123", "http://192.0.2.1:8123"),
        ("[::1]:8123", "http://[0:0::1]:8123"),
    ] {
        expect_taken(&gateway, at(host, origin)).await;
    }
    let taken = backend.connections();
    for request in [
        at("gateway.test", "https://gateway.test"),
        at("gateway.test", "http://gateway.test:8080"),
        at("gateway.test:8080", "http://gateway.test"),
        at("gateway.test", "http://evil.test"),
        at("gateway.test", "http://evil.test").with("X-Forwarded-Host", "evil.test"),
        at("gateway.test", "https://gateway.test").with("X-Forwarded-Proto", "https"),
        at("gateway.test", "null"),
        Opening::to("/"),
    ] {
        gateway.expect_refusal(request, DENIED).await;
    }
    assert_eq!(backend.connections(), taken);
}

#[tokio::test]
async fn the_scheme_of_the_address_is_that_of_a_trusted_proxy() {
    let backend = Backend::echo().await;
    let trusting = "listeners: { main: { address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1], h2c: true } }\n";
    let keys = "origins: { same: allow, missing: allow }";
    let gateway = Gateway::start(&format!("{trusting}{}", routed(keys, &[&backend]))).await;
    let secure = |origin: &str| from(origin).with("X-Forwarded-Proto", "https");
    expect_taken(&gateway, secure("https://gateway.test")).await;
    expect_taken(&gateway, Opening::to("/")).await;
    gateway
        .expect_refusal(secure("http://gateway.test"), DENIED)
        .await;
    let elsewhere = secure("https://other.test").with("X-Forwarded-Host", "other.test");
    gateway.expect_refusal(elsewhere, DENIED).await;
    let mut client = Http2::connect(gateway.address()).await;
    let request = http2_connect("/")
        .header("origin", "https://gateway.test")
        .header("x-forwarded-proto", "https");
    client.open(request).await;
}
