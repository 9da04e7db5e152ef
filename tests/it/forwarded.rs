//! Who the client is, when others speak for it.

use crate::backends::Backend;
use crate::harness::{Gateway, Head, Opening, ask, before};
use crate::process::Process;

/// The head that the backend gets of a request from 127.0.0.1, and the client in the access log.
async fn from_loopback(trusted: &str, request: Opening) -> (Head, String) {
    let backend = Backend::echo().await;
    let listener = format!("address: \"127.0.0.1:0\", trusted_proxies: {trusted}");
    let yaml = format!(
        "listeners: {{ main: {{ {listener} }} }}\n{}",
        before(&[&backend])
    );
    let gateway = Gateway::start(&yaml).await;
    ask(gateway.address(), request.text()).await;
    let line = gateway.line("open").await;
    let client = line["client"].as_str().expect("a text").to_owned();
    (backend.head(), client)
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let request = Opening::to("/")
        .with("X-Forwarded-For", "203.0.113.9, 203.0.113.7")
        .with("X-Forwarded-Proto", "https")
        .with("X-Forwarded-Host", "site.example")
        .with("X-Forwarded-Port", "443")
        .with("X-Real-IP", "203.0.113.9");
    let (head, client) = from_loopback("[127.0.0.0/8]", request).await;
    assert_eq!(client, "203.0.113.7");
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9, 203.0.113.7, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "site.example"),
        ("x-forwarded-port", "443"),
        ("x-real-ip", "203.0.113.7"),
    ] {
        assert_eq!(head.values(name), [value], "{name}");
    }
}

/// The same on a unix socket, where this proxy may connect and others may not.
#[tokio::test]
async fn whoever_may_connect_to_a_unix_socket_may_be_believed() {
    for (trusted, is_believed) in [("[unix]", true), ("[unix, 203.0.113.7]", true), ("", false)] {
        let backend = Backend::echo().await;
        let listener = match trusted {
            "" => String::new(),
            trusted => format!("    trusted_proxies: {trusted}\n"),
        };
        let process = Process::start(&(listener + &before(&[&backend]))).await;
        let mut proxy = process.connect().await;
        let request = Opening::to("/")
            .with("X-Forwarded-For", "203.0.113.9, 203.0.113.7")
            .with("X-Forwarded-Proto", "https");
        proxy.send(request.text()).await;
        assert_eq!(proxy.head().await.status(), 101);
        let head = backend.head();
        let [hops, real, protocol, port] = match (is_believed, trusted.contains("203")) {
            (true, false) => ["203.0.113.9, 203.0.113.7", "203.0.113.7", "https", "443"],
            (true, true) => ["203.0.113.9, 203.0.113.7", "203.0.113.9", "https", "443"],
            (false, _) => ["", "", "http", "80"],
        };
        for (name, value) in [
            ("x-forwarded-for", hops),
            ("x-real-ip", real),
            ("x-forwarded-proto", protocol),
            ("x-forwarded-port", port),
        ] {
            assert_eq!(
                head.value(name).unwrap_or_default(),
                value,
                "{trusted} {name}"
            );
        }
    }
}

/// nginx with `proxy_set_header X-Real-IP $remote_addr` and nothing else.
#[tokio::test]
async fn a_trusted_proxy_may_name_the_client_in_x_real_ip_alone() {
    for (told, passed) in [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("203.0.113.9, 203.0.113.7", "127.0.0.1"),
        ("nobody", "127.0.0.1"),
        ("", "127.0.0.1"),
    ] {
        let request = Opening::to("/").with("X-Real-IP", told);
        let (head, client) = from_loopback("[127.0.0.1]", request).await;
        assert_eq!(head.values("x-real-ip"), [passed], "{told}");
        assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
        assert!(client.starts_with("127.0.0.1:"), "{client}");
    }
}

/// The first of several has spoken to the client.
#[tokio::test]
async fn the_port_goes_with_the_first_protocol_that_is_named() {
    let request = Opening::to("/").with("X-Forwarded-Proto", "https, http");
    let (head, _) = from_loopback("[127.0.0.1]", request).await;
    assert_eq!(head.values("x-forwarded-port"), ["443"]);
    assert_eq!(head.values("x-forwarded-proto"), ["https, http"]);
}

/// Caddy and others name the protocol and the host alone.
#[tokio::test]
async fn the_port_goes_with_the_protocol_and_the_host_that_are_passed_on() {
    for (host, port) in [("site.example", "443"), ("site.example:8443", "8443")] {
        let request = Opening::to("/")
            .with("X-Forwarded-Proto", "https")
            .with("X-Forwarded-Host", host);
        let (head, _) = from_loopback("[127.0.0.1]", request).await;
        assert_eq!(head.values("x-forwarded-port"), [port], "{host}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_that_says_nothing_is_the_client() {
    let (head, client) = from_loopback("[127.0.0.1]", Opening::to("/")).await;
    assert!(client.starts_with("127.0.0.1:"), "{client}");
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.values("x-forwarded-proto"), ["http"]);
}

#[tokio::test]
async fn a_peer_in_no_trusted_network_is_not_believed() {
    let request = Opening::to("/").with("X-Forwarded-For", "203.0.113.7");
    let (head, client) = from_loopback("[10.0.0.0/8, \"::1\"]", request).await;
    assert!(client.starts_with("127.0.0.1:"), "{client}");
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.values("x-real-ip"), ["127.0.0.1"]);
}

/// What Forwarded says to the backend of a request that came over a trusted proxy.
async fn forwarded(request: Opening) -> Vec<String> {
    let backend = Backend::echo().await;
    let yaml = format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1] }} }}\n{}",
        before(&[&backend])
    );
    let yaml = yaml.replace("origins: any", "origins: any, headers: { forwarded: both }");
    let gateway = Gateway::start(&yaml).await;
    ask(gateway.address(), request.text()).await;
    let head = backend.head();
    head.values("forwarded")
        .into_iter()
        .map(str::to_owned)
        .collect()
}

const OWN: &str = "for=127.0.0.1;host=gateway.test;proto=http";

/// RFC 7239 section 7.4: most proxies speak X-Forwarded-* alone.
#[tokio::test]
async fn forwarded_says_what_a_trusted_proxy_said_otherwise() {
    let request = Opening::to("/")
        .with("X-Forwarded-For", "203.0.113.7")
        .with("X-Forwarded-Proto", "https")
        .with("X-Forwarded-Host", "site.example");
    let first = "for=203.0.113.7;host=site.example;proto=https";
    assert_eq!(forwarded(request).await, [format!("{first}, {OWN}")]);
}

/// They pass a client's own Forwarded on as it is.
#[tokio::test]
async fn forwarded_is_not_believed_of_a_proxy_that_speaks_otherwise() {
    let forging = || Opening::to("/").with("Forwarded", "for=6.6.6.6;proto=https");
    let request = forging().with("X-Forwarded-For", "203.0.113.7");
    let expected = [format!("for=203.0.113.7, {OWN}")];
    assert_eq!(forwarded(request).await, expected);
    let request = forging().with("X-Real-IP", "203.0.113.7");
    assert_eq!(forwarded(request).await, expected);
    let expected = format!("for=6.6.6.6;proto=https, {OWN}");
    assert_eq!(forwarded(forging()).await, [expected], "it speaks so alone");
}

/// What a client began would swallow what proxies say behind it.
#[tokio::test]
async fn a_field_that_ends_within_quotes_is_left_out_of_forwarded() {
    let request = Opening::to("/")
        .with("Forwarded", r#"for="6.6.6.6"#)
        .with("Forwarded", r#"for="6.6.6.6\""#)
        .with("Forwarded", r#"for="[2001:db8::1]";host="a\"b""#);
    let first = r#"for="[2001:db8::1]";host="a\"b""#;
    assert_eq!(forwarded(request).await, [format!("{first}, {OWN}")]);
}
