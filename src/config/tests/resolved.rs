//! What a valid file means: defaults, inheritance, paths, variables.

use std::ptr;
use std::time::Duration;

use super::{SOUND, sound};
use crate::config::{
    Address, ClientAuth, Config, HostPattern, LogFormat, Origin, Origins, SessionTimeouts, Target,
};

fn timeouts(config: &Config, route: &str) -> SessionTimeouts {
    config.routes[route].target.pool().expect("a pool").timeouts
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = sound(SOUND);
    assert_eq!(
        config.admin.address,
        Address::Tcp("127.0.0.1:9901".parse().expect("address"))
    );
    assert_eq!(
        (config.log.format, config.log.level),
        (LogFormat::Json, tracing::Level::INFO)
    );
    assert!(config.log.access.open && config.log.access.close && config.log.access.redact_query);
    assert_eq!(config.runtime.workers, None);
    assert!(config.runtime.io_uring);
    let listener = &config.listeners["public"];
    assert_eq!(listener.tls, None);
    assert_eq!(listener.timeouts.request_header, Duration::from_secs(10));
    assert_eq!(listener.timeouts.keep_alive, Duration::from_secs(75));
    assert_eq!(
        (
            listener.limits.max_connections,
            listener.limits.request_head
        ),
        (100_000, 32 << 10)
    );
    let route = &config.routes["chat"].matcher;
    assert_eq!((&*route.path, route.exact), ("/", false));
    assert!(route.hosts.is_empty() && route.listeners.is_empty());
    let expected = SessionTimeouts {
        connect: Duration::from_secs(3),
        handshake: Duration::from_secs(10),
        close: Duration::from_secs(5),
        half_close: Duration::from_secs(10),
    };
    assert_eq!(timeouts(&config, "chat"), expected);
    assert_eq!(config.pools["chat"].attempts, 3);
    let backend = &config.pools["chat"].backends[0];
    assert_eq!(
        (&*backend.name, &*backend.address.to_string()),
        ("127.0.0.1:9001", "127.0.0.1:9001")
    );
    assert_eq!(backend.weight, 1);
    assert_eq!(
        (config.drain.close_code, &*config.drain.reason),
        (1012, "service restart")
    );
    assert_eq!(config.drain.deadline, Duration::from_secs(60));
}

#[test]
fn null_is_as_good_as_nothing() {
    let text = "admin:\nlog: { format: null, access: ~ }\ndefaults: { origins: null, timeouts: }\n";
    assert_eq!(sound(&format!("{SOUND}{text}")), sound(SOUND));
}

#[test]
fn a_route_overrides_single_keys() {
    let text = SOUND.replacen(
        "    pool: chat\n",
        "    timeouts: { connect: 1s }\n    pool: chat\n  other:\n    match: { path: /other }\n    pool: chat\n",
        1,
    );
    let config = sound(&format!(
        "defaults:\n  origins: any\n  timeouts: {{ connect: 2s, close: 7s }}\n{text}"
    ));
    let (chat, other) = (timeouts(&config, "chat"), timeouts(&config, "other"));
    assert_eq!(
        (chat.connect, chat.close),
        (Duration::from_secs(1), Duration::from_secs(7))
    );
    assert_eq!(
        (other.connect, other.close),
        (Duration::from_secs(2), Duration::from_secs(7))
    );
    let origins = |route: &str| &config.routes[route].target.pool().expect("a pool").origins;
    assert_eq!(*origins("other"), Origins::Any);
    let Origins::List(list) = origins("chat") else {
        panic!("{:?}", origins("chat"))
    };
    assert!(list.allows(&Origin::parse("https://app.example.com").expect("origin")));
    assert!(!list.allow_missing && !list.allow_opaque);
}

#[test]
fn the_same_origin_is_a_word_or_a_verdict() {
    let with = |origins: &str| {
        let text = SOUND.replacen("[\"https://app.example.com\"]", origins, 1);
        let config = sound(&text);
        let target = config.routes["chat"].target.pool().expect("a pool");
        target.origins.clone()
    };
    let Origins::List(list) = with("same") else {
        panic!("a list")
    };
    assert!(list.allow_same && list.allow.is_empty());
    assert!(!list.allow_missing && !list.allow_opaque);
    assert_eq!(with("same"), with("{ same: allow }"));
    let told = super::problems_with("[\"https://app.example.com\"]", "[same]");
    assert!(told.contains("is allowed by `same: allow`"), "{told}");
}

#[test]
fn each_key_of_origins_is_inherited_alone() {
    let with = |inherited: &str, own: &str| {
        let text = SOUND.replacen("[\"https://app.example.com\"]", own, 1);
        let config = sound(&format!("defaults: {{ origins: {inherited} }}\n{text}"));
        let target = config.routes["chat"].target.pool().expect("a pool");
        target.origins.clone()
    };
    let inherited = "{ allow: [\"https://a.test\"], same: allow, opaque: allow }";
    for (own, whole) in [
        (
            "{ missing: allow, opaque: deny }",
            "{ allow: [\"https://a.test\"], same: allow, missing: allow }",
        ),
        (
            "{ allow: [\"https://b.test\"] }",
            "{ allow: [\"https://b.test\"], same: allow, opaque: allow }",
        ),
        ("[\"https://b.test\"]", "{ allow: [\"https://b.test\"] }"),
        ("same", "{ same: allow }"),
        ("any", "any"),
    ] {
        assert_eq!(with(inherited, own), with("any", whole), "{own}");
    }
}

/// Thousands of routes may inherit thousands of origins.
#[test]
fn routes_share_the_origins_that_they_inherit() {
    let defaults = "defaults: { origins: [\"https://a.test\", \"https://b.test\"] }\nroutes:\n";
    let other = "  other: { match: { path: /other }, origins: { missing: allow }, pool: chat }\n";
    let text = SOUND
        .replacen("    origins: [\"https://app.example.com\"]\n", "", 1)
        .replacen("routes:\n", &format!("{defaults}{other}"), 1);
    let config = sound(&text);
    let allow = |route: &str| match &config.routes[route].target.pool().expect("a pool").origins {
        Origins::List(list) => list.allow.clone(),
        Origins::Any => panic!("a list"),
    };
    assert!(ptr::eq(&*allow("chat"), &*allow("other")));
}

#[test]
fn paths_begin_at_the_directory_of_the_file() {
    let config = sound(&SOUND.replacen(
        "    address: 127.0.0.1:8080\n",
        "    address: unix:run/wsgate.sock\n    tls:\n      \
         certificates: [{ certificate: a.crt, key: /keys/a.key }]\n      \
         client_auth: { mode: request, ca: ca.crt }\n",
        1,
    ));
    let listener = &config.listeners["public"];
    assert_eq!(
        listener.address,
        Address::Unix("/etc/wsgate/run/wsgate.sock".into())
    );
    let tls = listener.tls.as_ref().expect("TLS");
    assert_eq!(
        tls.certificates[0].certificate.to_str(),
        Some("/etc/wsgate/a.crt")
    );
    assert_eq!(tls.certificates[0].key.to_str(), Some("/keys/a.key"));
    assert_eq!(
        tls.client_auth,
        ClientAuth::Request(std::path::PathBuf::from("/etc/wsgate/ca.crt").into())
    );
}

#[test]
fn variables_pass_for_any_kind_of_value() {
    let text = SOUND
        .replacen("127.0.0.1:8080", "127.0.0.1:${PORT}", 1)
        .replacen(
            "[\"ws://127.0.0.1:9001\"]",
            "[{ url: ws://b, weight: \"${WEIGHT}\" }]",
            1,
        );
    let config = sound(&format!(
        "{text}log: {{ access: {{ open: \"${{FLAG}}\" }} }}\ndrain: {{ reason: \"a $${{PORT}} b ${{PORT}}\" }}\n"
    ));
    let expected = Address::Tcp("127.0.0.1:8443".parse().expect("address"));
    assert_eq!(config.listeners["public"].address, expected);
    assert_eq!(config.pools["chat"].backends[0].weight, 7);
    assert!(!config.log.access.open);
    assert_eq!(config.drain.reason, "a ${PORT} b 8443");
}

#[test]
fn hosts_and_backends_have_one_spelling() {
    let config = sound(
        &SOUND
            .replacen("    pool:", "    match: { hosts: [Chat.Example.com, \"*.Example.com\", \"[::0:1]\"] }\n    pool:", 1)
            .replacen("ws://127.0.0.1:9001", "WS://[0::1]", 1),
    );
    assert_eq!(
        config.routes["chat"].matcher.hosts,
        [
            HostPattern::Exact("chat.example.com".to_owned()),
            HostPattern::Wildcard("example.com".to_owned()),
            HostPattern::Exact("[::1]".to_owned()),
        ]
    );
    let backend = &config.pools["chat"].backends[0];
    let twice = SOUND.replacen(
        "pool:",
        "match: { hosts: [a.test, b.test, A.test, a.test] }\n    pool:",
        1,
    );
    let hosts = &sound(&twice).routes["chat"].matcher.hosts;
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["a.test", "b.test"]);
    assert_eq!(&*backend.name, "[0::1]");
    assert_eq!(backend.address.to_string(), "[::1]:80");
}

#[test]
fn localhost_is_listened_at_as_an_address() {
    let at = |address: &str| sound(&SOUND.replacen("127.0.0.1:8080", address, 1)).listeners;
    for address in ["localhost:8080", "LocalHost:8080"] {
        assert_eq!(at(address), at("127.0.0.1:8080"), "{address}");
    }
    assert_eq!(at("localhost:0"), at("127.0.0.1:0"));
}

#[test]
fn an_address_of_ipv4_is_one_however_it_is_written() {
    let at = |address: &str| sound(&SOUND.replacen("127.0.0.1:8080", address, 1)).listeners;
    assert_eq!(at("\"[::ffff:127.0.0.1]:8080\""), at("127.0.0.1:8080"));
    assert_eq!(at("\"[::ffff:0.0.0.0]:8080\""), at("0.0.0.0:8080"));
}

#[test]
fn a_pool_may_be_empty_where_that_is_written_out() {
    let config = sound(&SOUND.replacen("[\"ws://127.0.0.1:9001\"]", "[]", 1));
    assert_eq!(config.pools["chat"].backends, []);
}

#[test]
fn any_origin_may_be_said_of_any_route() {
    let any = SOUND.replace("[\"https://app.example.com\"]", "any");
    for answer in [
        "pool: chat\n    protocols: [http]",
        "respond: { status: 200 }",
        "redirect: { to: /new }",
    ] {
        sound(&any.replace("pool: chat", answer));
    }
}

#[test]
fn a_window_that_is_left_out_ends_in_time() {
    for (keys, window) in [
        ("deadline: 1s", 1),
        ("deadline: 0s", 0),
        ("deadline: 0", 0),
        ("grace: 40s", 20),
        ("grace: 9s", 30),
        ("deadline: 2m", 30),
    ] {
        let config = sound(&format!("{SOUND}drain: {{ {keys} }}\n"));
        assert_eq!(config.drain.window, Duration::from_secs(window), "{keys}");
    }
}

#[test]
fn a_route_may_answer_by_itself_and_without_pools() {
    let config = sound(
        "listeners: { a: { address: \"127.0.0.1:0\" } }\nroutes: { r: { respond: { status: 503, body: later } } }\n",
    );
    let Target::Respond(answer) = &config.routes["r"].target else {
        panic!("{config:?}")
    };
    assert_eq!((answer.status.as_u16(), &*answer.body), (503, "later"));
    assert!(config.pools.is_empty());
}

#[test]
fn variables_of_other_proxies_are_warned_of() {
    let keys = "    pool: chat\n    headers: { set: { X-Real-IP: $remote_addr, X-Price: $5 } }\n";
    let config = sound(&SOUND.replace("    pool: chat\n", keys));
    let told: Vec<_> = config.warnings().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("routes.chat: backends get the field `x-real-ip`"));
    for (value, is_told) in [
        ("\"%[src]\"", true),
        ("\"%DOWNSTREAM_REMOTE_ADDRESS%\"", true),
        ("\"{http.request.host}\"", true),
        ("for=$remote_addr;proto=$scheme", true),
        ("\"for=%[src]\"", true),
        ("\"a %REQ(:path)%\"", true),
        ("\"$2b$10$a/b\"", false),
        ("\"%EF%BB%BF\"", false),
        ("\"{}\"", false),
        ("\"{ \\\"a\\\": 1 }\"", false),
        ("\"100%\"", false),
    ] {
        let config =
            sound(&SOUND.replace("    pool: chat\n", &keys.replace("$remote_addr", value)));
        assert_eq!(config.warnings().count() > 0, is_told, "{value}");
    }
}

#[test]
fn redirects_in_a_circle_are_warned_of() {
    let warnings = |routes: &str| {
        let config = sound(&format!(
            "listeners:\n  \
               plain: {{ address: \"127.0.0.1:80\" }}\n  \
               secure: {{ address: \"127.0.0.1:443\", tls: {{ certificates: [{{ certificate: a, key: b }}] }} }}\n\
             routes: {{ {routes} }}\n"
        ));
        config.warnings().collect::<Vec<_>>()
    };
    let to = |to: &str| format!("up: {{ redirect: {{ to: \"{to}\" }} }}");
    for (destination, listener) in [
        ("https://{host}{path}{query}", "secure"),
        ("https://{host}{path}", "secure"),
        ("http://{host}{path}{query}", "plain"),
    ] {
        let told = warnings(&to(destination));
        let expected =
            format!("routes.up.redirect: clients of the listener `{listener}` are sent back");
        assert!(
            told.len() == 1 && told[0].starts_with(&expected),
            "{told:?}"
        );
    }
    let all = "https://{host}{path}{query}";
    for sound in [
        to("https://www.{host}{path}"),
        to("https://{host}:8443{path}"),
        to("https://{host}/"),
        format!("up: {{ match: {{ listeners: [plain] }}, redirect: {{ to: \"{all}\" }} }}"),
        // As from another port.
        format!("up: {{ match: {{ listeners: [secure] }}, redirect: {{ to: \"{all}\" }} }}"),
        format!(
            "a: {{ match: {{ listeners: [secure] }}, respond: {{ status: 200 }} }}, {}",
            to(all)
        ),
    ] {
        assert_eq!(warnings(&sound), [""; 0], "{sound}");
    }
}

#[test]
fn origins_of_sockets_are_warned_of() {
    let origins = "[\"wss://app.example.com\", \"ws://*.a.test:81\", \"https://b.test\", \"wss-x://c.test\", \
                   \"https://a.test\"]";
    let config = sound(&SOUND.replace("[\"https://app.example.com\"]", origins));
    let told: Vec<_> = config.warnings().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].ends_with("add `http://*.a.test:81`"), "{told:?}");
    assert!(
        told[1].ends_with("add `https://app.example.com`"),
        "{told:?}"
    );
    let origins = "[\"wss://app.example.com:8443\", \"https://app.example.com\", \"wss://*.a.test\", \"wss://b.a.test\", \
                   \"https://*.a.test\"]";
    let config = sound(&SOUND.replace("[\"https://app.example.com\"]", origins));
    assert_eq!(config.warnings().next(), None);
}

/// They are inherited by as many routes as there are.
#[test]
fn a_warning_about_many_routes_is_one_line() {
    let config = sound(
        "listeners: { a: { address: \"127.0.0.1:0\" } }\n\
         defaults: { origins: [wss://a.test], headers: { set: { X-A: $host } } }\n\
         pools: { p: { backends: [ws://a] } }\n\
         routes:\n  \
           one: { match: { path: /1 }, pool: p }\n  \
           two: { match: { path: /2 }, pool: p, origins: [wss://a.test] }\n  \
           up: { match: { path: /3 }, pool: p, headers: { set: { X-B: b } } }\n",
    );
    let told: Vec<_> = config.warnings().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("routes.one (and 2 more): backends get the field `x-a`"));
    assert!(told[1].starts_with("routes.one.origins (and 2 more): no page has"));
}
