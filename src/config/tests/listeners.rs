//! Problems of listeners: bounds, networks, whose word is believed.

use super::{SOUND, problems_with, sound};
use crate::config::ProxyHeader;

#[test]
fn bounds_of_a_listener() {
    let with = |lines: &str| problems_with("routes:\n", &format!("    {lines}\nroutes:\n"));
    assert_eq!(
        with("limits: { request_head: 512B, max_connections: 0 }"),
        "wsgate.yaml:4:29: listeners.public.limits.request_head: must be from `1KiB` to `1MiB`\n\
         wsgate.yaml:4:52: listeners.public.limits.max_connections: must be a whole number from 1 to \
         10000000"
    );
    assert_eq!(
        with("tls: { certificates: [{ key: a }], client_auth: { mode: require } }"),
        "wsgate.yaml:4:27: listeners.public.tls.certificates[0]: the key `certificate` is missing\n\
         wsgate.yaml:4:40: listeners.public.tls.client_auth: the key `ca` is missing"
    );
    for unasked in ["{ ca: a }", "{ mode: none, ca: a }"] {
        let tls = format!(
            "tls: {{ client_auth: {unasked}, certificates: [{{ certificate: a, key: b }}] }}"
        );
        let told = with(&tls);
        assert!(
            told.ends_with(
                "listeners.public.tls.client_auth.ca: has no effect without `mode: request` or `mode: require`"
            ),
            "{told}"
        );
    }
    assert_eq!(
        with("limits: { concurrent_tls_handshakes: 9, handshakes_per_second: 1000001 }"),
        "wsgate.yaml:4:42: listeners.public.limits.concurrent_tls_handshakes: has no effect on a listener \
         without `tls`\n\
         wsgate.yaml:4:68: listeners.public.limits.handshakes_per_second: must be a whole number from 0 to \
         1000000"
    );
    assert_eq!(
        with("h2c: true\n    tls: { certificates: [{ certificate: a, key: b }] }"),
        "wsgate.yaml:4:10: listeners.public.h2c: is for listeners without `tls`; under TLS `http2` decides"
    );
}

#[test]
fn who_may_connect() {
    let with = |lines: &str| {
        problems_with(
            "    address: 127.0.0.1:8080\n",
            &format!("    address: {lines}\n"),
        )
    };
    assert_eq!(
        with("127.0.0.1:8080\n    allow: [10.0.0.0/33]\n    deny: here"),
        "wsgate.yaml:4:13: listeners.public.allow[0]: `10.0.0.0/33` is not a network: write an address, \
         or one with the length of its prefix, such as `10.0.0.0/8`\n\
         wsgate.yaml:5:11: listeners.public.deny: must be a list, not the text `here`"
    );
    assert_eq!(
        with("unix:/run/front.sock\n    deny: [10.0.0.0/8]"),
        "wsgate.yaml:4:5: listeners.public.deny: has no effect: clients of a unix socket have no \
         address"
    );
    assert_eq!(
        with(
            "unix:/run/front.sock\n    trusted_proxies: []\n    limits: { max_connections_per_client: 9 }"
        ),
        "wsgate.yaml:4:5: listeners.public.trusted_proxies: has no effect: clients of a unix socket have no \
         address; `unix` trusts all that may connect to it\n\
         wsgate.yaml:5:43: listeners.public.limits.max_connections_per_client: has no effect: clients of a \
         unix socket have no address"
    );
    assert_eq!(
        with("127.0.0.1:8080\n    limits: { max_connections_per_client: -1 }"),
        "wsgate.yaml:4:43: listeners.public.limits.max_connections_per_client: must be a whole number \
         from 0 to 10000000"
    );
}

#[test]
fn whose_proxy_header_is_believed() {
    let with = |lines: &str| problems_with("routes:\n", &format!("    {lines}\nroutes:\n"));
    assert_eq!(
        with("proxy_protocol: v1"),
        "wsgate.yaml:4:21: listeners.public.proxy_protocol: must be `none`, `accept` or `require`, not `v1`"
    );
    for nobody in [
        "proxy_protocol: require",
        "proxy_protocol: accept\n    trusted_proxies: []",
    ] {
        assert_eq!(
            with(nobody),
            "wsgate.yaml:4:21: listeners.public.proxy_protocol: needs `trusted_proxies`: the header is believed of \
             nobody else"
        );
    }
    let on_unix = "unix:/run/front.sock\n    proxy_protocol: accept\n    deny: [10.0.0.0/8]";
    let config = sound(&SOUND.replacen("127.0.0.1:8080", on_unix, 1));
    assert_eq!(
        config.listeners["public"].proxy_protocol,
        ProxyHeader::Accept
    );
}

#[test]
fn whoever_may_connect_to_a_unix_socket_may_be_believed() {
    let proxies = "\n    trusted_proxies: [unix, 10.0.0.0/8]";
    let config = sound(&SOUND.replacen("127.0.0.1:8080", &format!("unix:/a.sock{proxies}"), 1));
    let trusted = &config.listeners["public"].trusted_proxies;
    assert!(trusted.contains(None));
    assert!(trusted.contains("10.1.2.3".parse().ok()));
    assert_eq!(
        problems_with("127.0.0.1:8080", &format!("127.0.0.1:8080{proxies}")),
        "wsgate.yaml:4:23: listeners.public.trusted_proxies[0]: has no effect: no client comes over a unix socket here"
    );
}

#[test]
fn a_network_is_an_address_or_a_prefix() {
    let with = |networks: &str| {
        let listener = format!("    address: 127.0.0.1:8080\n    trusted_proxies: {networks}\n");
        problems_with("    address: 127.0.0.1:8080\n", &listener)
    };
    assert_eq!(
        with("[10.1.2.3/8, localhost]"),
        "wsgate.yaml:4:23: listeners.public.trusted_proxies[0]: `10.1.2.3/8` names a host within its \
         network; did you mean `10.0.0.0/8`?\n\
         wsgate.yaml:4:35: listeners.public.trusted_proxies[1]: `localhost` is not a network: write an \
         address, or one with the length of its prefix, such as `10.0.0.0/8`"
    );
}

/// A list or a map of which everything is commented out.
#[test]
fn what_restricts_is_not_left_empty() {
    let with = |lines: &str| problems_with("routes:\n", &format!("    {lines}\nroutes:\n"));
    let fault = "is empty: say what holds, or leave the key out";
    for key in ["tls", "allow", "deny"] {
        assert_eq!(
            with(&format!("{key}:")),
            format!("wsgate.yaml:4:5: listeners.public.{key}: {fault}")
        );
    }
    let certificates = "certificates: [{ certificate: a, key: b }]";
    assert_eq!(
        with(&format!("tls: {{ {certificates}, client_auth: }}")),
        format!("wsgate.yaml:4:56: listeners.public.tls.client_auth: {fault}")
    );
    sound(&SOUND.replacen("routes:\n", "    allow: []\nroutes:\n", 1));
}
