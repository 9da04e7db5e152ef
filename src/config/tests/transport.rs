//! How backends are reached: addresses, TLS, PROXY header, source addresses.

use std::path::Path;

use super::{SOUND, problems, problems_with, sound};
use crate::config::{Pool, ProxyProtocol};

/// A valid configuration whose only pool has these keys.
fn with(keys: &str) -> String {
    let (before, _) = SOUND.split_once("pools:").unwrap();
    format!("{before}pools: {{ chat: {{ {keys} }} }}\n")
}

fn pool(keys: &str) -> Pool {
    sound(&with(keys)).pools.remove("chat").unwrap()
}

/// What is wrong with these keys, without the places.
fn wrong(keys: &str) -> String {
    let problems = problems(&with(keys));
    let lines = problems.lines().map(|line| {
        let (_, message) = line.split_once(": ").unwrap();
        message.strip_prefix("pools.chat").unwrap_or(message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_backend_has_one_address_however_it_is_written() {
    for (url, expected) in [
        ("ws://a", "a:80"),
        ("http://A:8080", "a:8080"),
        ("wss://a", "wss://a:443"),
        ("HTTPS://[::1]:8443", "wss://[::1]:8443"),
        ("ws://[::ffff:127.0.0.1]", "127.0.0.1:80"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
    ] {
        let pool = pool(&format!("backends: [\"{url}\"]"));
        assert_eq!(pool.backends[0].address.to_string(), expected);
    }
    let twice = wrong("backends: [\"ws://a\", \"http://a:80\"]");
    assert_eq!(
        twice,
        ".backends[1]: pools.chat.backends[0] has the same address"
    );
    assert_eq!(
        pool("backends: [\"ws://a\", \"wss://a:80\"]")
            .backends
            .len(),
        2
    );
}

#[test]
fn a_unix_socket_lies_beside_the_file_and_is_named_as_written() {
    let pool = pool("backends: [\"unix:run/a.sock\"]");
    assert_eq!(&*pool.backends[0].name, "unix:run/a.sock");
    assert!(
        pool.backends[0]
            .address
            .to_string()
            .ends_with("/run/a.sock")
    );
    let long = format!("backends: [\"unix:/{}\"]", "x".repeat(107));
    let told = wrong(&long);
    assert!(told.contains("is longer than the 107 bytes of a socket's path"));
    assert!(told.len() < 200, "{told}");
    assert_eq!(
        wrong("backends: [\"unix://run/a.sock\"]"),
        ".backends[0]: a unix socket is written without slashes of a scheme: `unix:run/a.sock`"
    );
}

#[test]
fn tls_is_there_where_a_backend_wants_it() {
    assert_eq!(pool("backends: [ws://a], tls: {}").transport.tls, None);
    let tls = "tls: { ca: ca.pem, server_name: Chat.Internal, certificate: c.pem, key: k.pem }";
    let tls = pool(&format!("backends: [wss://a], {tls}"))
        .transport
        .tls
        .unwrap();
    assert!(tls.ca.unwrap().ends_with("ca.pem"));
    assert_eq!(tls.server_name.unwrap().to_str(), "chat.internal");
    assert_eq!(
        tls.identity.unwrap().key.file_name().unwrap(),
        Path::new("k.pem")
    );
}

#[test]
fn tls_without_a_use_or_a_half_is_wrong() {
    assert_eq!(
        wrong("backends: [ws://a], tls: { ca: ca.pem }"),
        ".tls: has no effect: no backend of the pool is reached by `wss://`"
    );
    assert_eq!(
        wrong("backends: [wss://a], tls: { certificate: c.pem }"),
        ".tls: the key `key` is missing: a certificate is shown with its key"
    );
    assert_eq!(
        wrong("backends: [wss://a], tls: { key: k.pem }"),
        ".tls: the key `certificate` is missing: a key belongs to a certificate"
    );
    assert_eq!(
        wrong("backends: [wss://a], tls: { server_name: \"a b\" }"),
        ".tls.server_name: `a b` cannot be in a certificate: write a name such as `chat.internal`, or an address"
    );
}

#[test]
fn proxy_headers_and_source_addresses() {
    let sources = "source_addresses: [127.0.0.2, \"::1\", \"::ffff:127.0.0.3\"]";
    let transport = pool(&format!("backends: [], proxy_protocol: v2, {sources}")).transport;
    assert_eq!(transport.proxy_protocol, ProxyProtocol::V2);
    let sources = transport.source_addresses.iter();
    let sources: Vec<String> = sources.map(ToString::to_string).collect();
    assert_eq!(sources, ["127.0.0.2", "::1", "127.0.0.3"]);
    assert_eq!(
        wrong("backends: [], source_addresses: [\"0.0.0.0\"]"),
        ".source_addresses[0]: `0.0.0.0` is not a source address: \
         write an address of this machine without a port, such as `192.0.2.1`"
    );
    assert_eq!(
        wrong("backends: [], source_addresses: [127.0.0.2, 127.0.0.2]"),
        ".source_addresses[1]: is in the list already"
    );
}

#[test]
fn backends_are_named_or_found() {
    let found = pool("discovery: { dns: Chat.internal, port: 8080 }");
    let discovery = found.discovery.unwrap();
    assert_eq!(discovery.question.name(), "chat.internal");
    assert!(found.backends.is_empty() && !discovery.tls && discovery.nameservers.is_empty());
    assert_eq!(discovery.refresh, std::time::Duration::from_secs(10));

    let keys =
        "srv: _ws._tcp.chat.internal., scheme: wss, nameservers: [127.0.0.1, \"[::1]:5353\"]";
    let found = pool(&format!("discovery: {{ {keys} }}"));
    let discovery = found.discovery.unwrap();
    assert_eq!(discovery.question.name(), "_ws._tcp.chat.internal.");
    assert_eq!(discovery.nameservers[0].port(), 53);
    let tls = found.transport.tls.unwrap();
    assert_eq!(tls.server_name.unwrap().to_str(), "chat.internal");
}

#[test]
fn discovery_that_asks_for_nothing_or_too_much_is_wrong() {
    for (keys, expected) in [
        (
            "backends: [], discovery: { dns: a.b, port: 1 }",
            ".backends: only one of `backends` and `discovery` is allowed",
        ),
        (
            "discovery: {}",
            ".discovery: one of the keys `dns` and `srv` is missing",
        ),
        (
            "discovery: { dns: a.b }",
            ".discovery: the key `port` is missing",
        ),
        (
            "discovery: { dns: a.b, port: 1, srv: _a._tcp.b }",
            ".discovery.srv: only one of `dns` and `srv` is allowed",
        ),
        (
            "discovery: { srv: _a._tcp.b, port: 1 }",
            ".discovery.port: has no effect with `srv`, which gives the ports",
        ),
        (
            "discovery: { srv: chat.internal }",
            ".discovery.srv: is not a service: write `_service._tcp.name`, such as `_ws._tcp.chat.internal`",
        ),
        (
            "discovery: { dns: 10.0.0.1, port: 1 }",
            ".discovery.dns: is an address, not a name: put it into `backends`",
        ),
        (
            "discovery: { dns: a.b, port: 1, nameservers: [dns] }",
            ".discovery.nameservers[0]: `dns` is not a name server: \
             write an address, such as `192.0.2.53` or `127.0.0.1:5353`",
        ),
    ] {
        assert_eq!(wrong(keys), expected);
    }
}

#[test]
fn what_can_never_work_is_wrong() {
    for keys in [
        "discovery: { dns: a.b, port: 1, nameservers: [\"127.0.0.1:0\"] }",
        "discovery: { dns: a.b, port: 1, nameservers: [224.0.0.1] }",
        "discovery: { srv: _ws._tcp. }",
        "backends: [wss://a], tls: { server_name: \"]]chat.internal[\" }",
        "backends: [wss://a], tls: { server_name: \"[::1\" }",
    ] {
        assert!(!wrong(keys).is_empty(), "{keys}");
    }
    pool("backends: [wss://a], tls: { server_name: \"[::1]\" }");
    pool("discovery: { srv: _ws._tcp.chat. }");
}

#[test]
fn an_address_that_was_nearly_right_is_named() {
    for (written, meant) in [
        ("127.0.0.1:3001", "ws://127.0.0.1:3001"),
        ("http://localhost:3001/", "http://localhost:3001"),
    ] {
        let told = problems_with("\"ws://127.0.0.1:9001\"", &format!("\"{written}\""));
        assert!(
            told.ends_with(&format!("did you mean `{meant}`?")),
            "{told}"
        );
    }
    let told = problems_with("\"ws://127.0.0.1:9001\"", "\"/run/chat.sock\"");
    assert!(!told.contains("did you mean"), "{told}");
}
