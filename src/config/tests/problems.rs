//! Every problem of a file in one run, each with its place, its key and what was meant. Those of routes: `routes`.

use super::{parse, problems, problems_after, problems_with};

#[test]
fn a_number_is_not_told_in_another_spelling() {
    for written in ["1.10", "0x1F", "1e3"] {
        let told = problems_with("pool: chat", &format!("pool: {written}"));
        assert!(told.ends_with("must be text; write it in quotes"), "{told}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "\
admin: { adress: 127.0.0.1:9901, address: 5 }
log:
  format: jsn
  level: 3
  access: { open: on }
runtime: { workers: 0 }
defaults:
  timeouts: { connect: 5, close: 0s, half_close: 5 minutes }
listeners:
  public:
    adress: 127.0.0.1:8080
    tls: { min_version: 1.2 }
  bad name: {}
routes:
  chat:
    match: { hosts: [\"a.b:80\"], path: chat, listeners: [publik] }
    pool: caht
  chat: {}
pools:
  chat:
    backends:
      - ftp://a
      - url: ws://b/path
        weight: 0
";
    let expected = "\
wsgate.yaml:1:10: admin.adress: unknown key; did you mean `address`?
wsgate.yaml:1:43: admin.address: must be an address such as `127.0.0.1:8080`, not the number 5
wsgate.yaml:3:11: log.format: must be `json` or `text`, not `jsn`; did you mean `json`?
wsgate.yaml:4:10: log.level: must be `error`, `warn`, `info`, `debug` or `trace`, not `3`
wsgate.yaml:5:19: log.access.open: must be `true` or `false`, not the text `on`
wsgate.yaml:6:21: runtime.workers: must be `auto` or a number from 1 to 1024
wsgate.yaml:8:24: defaults.timeouts.connect: a duration has a unit: `5ms`, `5s`, `5m` or `5h`
wsgate.yaml:8:34: defaults.timeouts.close: must be more than 0
wsgate.yaml:8:50: defaults.timeouts.half_close: `5 minutes` is not a duration: write `500ms`, `5s`, `10m` or `2h`
wsgate.yaml:10:3: listeners.public: the key `address` is missing
wsgate.yaml:11:5: listeners.public.adress: unknown key; did you mean `address`?
wsgate.yaml:12:5: listeners.public.tls: the key `certificates` is missing
wsgate.yaml:12:25: listeners.public.tls.min_version: needs quotes, as YAML reads it as a number: \"1.2\"
wsgate.yaml:13:3: listeners.bad name: `bad name` is not a name: at most 63 letters, digits, `_`, `.` and `-`, a letter or digit first
wsgate.yaml:13:3: listeners.bad name: the key `address` is missing
wsgate.yaml:15:3: routes.chat: a route that takes WebSockets must say which origins may open it: `origins: [...]` or `origins: any`
wsgate.yaml:16:22: routes.chat.match.hosts[0]: `a.b:80` has a port: hosts are compared without
wsgate.yaml:16:39: routes.chat.match.path: `chat` must begin with a slash
wsgate.yaml:16:57: routes.chat.match.listeners[0]: no listener is named `publik`; did you mean `public`?
wsgate.yaml:17:11: routes.chat.pool: no pool is named `caht`; did you mean `chat`?
wsgate.yaml:18:3: routes.chat: duplicate key
wsgate.yaml:22:9: pools.chat.backends[0]: `ftp` is not a scheme of a backend: write `ws://host:port`, `wss://host:port` or `unix:/path`
wsgate.yaml:23:14: pools.chat.backends[1].url: a backend has no path and no query: those of the client's request are passed on; did you mean `ws://b`?
wsgate.yaml:24:17: pools.chat.backends[1].weight: must be a whole number from 1 to 1000";
    assert_eq!(problems(text), expected);
}

#[test]
fn the_sections_that_a_file_needs() {
    assert_eq!(
        problems("log: {}\n"),
        "wsgate.yaml:1:1: the key `listeners` is missing\n\
         wsgate.yaml:1:1: the key `routes` is missing"
    );
    assert_eq!(
        problems("listeners: {}\nroutes:\n"),
        "wsgate.yaml:1:1: the key `routes` is missing\n\
         wsgate.yaml:1:1: listeners: must name at least one"
    );
}

#[test]
fn no_two_listeners_share_an_address() {
    let with = |address: &str| {
        let lines = format!("  other:\n    address: \"{address}\"\nroutes:\n");
        super::SOUND.replacen("routes:\n", &lines, 1)
    };
    for address in [
        "127.0.0.1:8080",
        "localhost:8080",
        "0.0.0.0:8080",
        "[::]:8080",
        "[::ffff:127.0.0.1]:8080",
    ] {
        let expected = "wsgate.yaml:5:14: listeners.other.address: listeners.public.address listens there already";
        assert_eq!(problems(&with(address)), expected, "{address}");
    }
    assert_eq!(
        problems(&with("127.0.0.1:9901")),
        "wsgate.yaml:5:14: listeners.other.address: admin.address (by default) listens there already"
    );
    for address in [
        "127.0.0.2:8080",
        "[::1]:8080",
        "127.0.0.1:0",
        "unix:/run/other.sock",
    ] {
        assert!(parse(&with(address)).is_ok(), "{address}");
    }
}

#[test]
fn no_listener_is_called_as_the_admin_side_is() {
    let told = problems_with("  public:\n", "  admin:\n");
    assert!(
        told.contains("listeners.admin: `admin` is the admin side in metrics"),
        "{told}"
    );
}

#[test]
fn a_listener_has_an_address_and_a_port() {
    for address in [
        "localhost",
        "localhost:",
        "localhost:x",
        "localhost:65536",
        "my.localhost:8080",
        "example.com:8080",
        "*:8080",
    ] {
        let told = problems_with("127.0.0.1:8080", &format!("\"{address}\""));
        let expected = format!(
            "wsgate.yaml:3:14: listeners.public.address: `{address}` is not an address to listen at:"
        );
        assert!(told.starts_with(&expected), "{told}");
    }
    let told = problems_with("127.0.0.1:8080", "\"[fe80::1%eth0]:80\"");
    assert!(told.contains("by its number"), "{told}");
}

#[test]
fn backends_are_told_apart() {
    let with = |backends: &str| problems_with("[\"ws://127.0.0.1:9001\"]", backends);
    assert_eq!(
        with("[ws://A, ws://a:80]"),
        "wsgate.yaml:10:24: pools.chat.backends[1]: pools.chat.backends[0] has the same address"
    );
    assert_eq!(
        with("[{ name: a, url: ws://b }, { name: a, url: ws://c }]"),
        "wsgate.yaml:10:42: pools.chat.backends[1]: pools.chat.backends[0] has the same name `a`"
    );
    assert_eq!(
        problems_with(
            "    backends: [\"ws://127.0.0.1:9001\"]\n",
            "    attempts: 1\n"
        ),
        "wsgate.yaml:9:3: pools.chat: the key `backends` is missing"
    );
    assert_eq!(
        with(""),
        "wsgate.yaml:9:3: pools.chat: the key `backends` is missing"
    );
    assert_eq!(
        with("[{ name: \"a b\", weight: 1 }]"),
        "wsgate.yaml:10:16: pools.chat.backends[0]: the key `url` is missing\n\
         wsgate.yaml:10:24: pools.chat.backends[0].name: `a b` is not a name: at most 63 letters, \
         digits, `_`, `.` and `-`, a letter or digit first"
    );
}

/// What operators write who come from another proxy: the message names what is accepted, not the next thing that is refused.
#[test]
fn the_cure_that_is_named_is_one() {
    for (key, value, message) in [
        ("timeouts", "{ connect: 0 }", "must be more than 0"),
        (
            "http",
            "{ max_body: -1 }",
            "must be a size such as `64KiB`, or 0 for none, not the number -1",
        ),
        (
            "websocket",
            "{ idle: 1.5 }",
            "must be a duration such as `5s`, or 0 for none, not the number 1.5",
        ),
        (
            "match",
            "{ hosts: [\"2001:db8::1\"] }",
            "an IPv6 address needs brackets: `[2001:db8::1]`",
        ),
        (
            "match",
            "{ hosts: [_] }",
            "leave `hosts` out to match any host",
        ),
        (
            "match",
            "{ path: /chat/* }",
            "a path takes all that is below it: write `/chat`",
        ),
    ] {
        let told = problems_with("pool: chat\n", &format!("pool: chat\n    {key}: {value}\n"));
        assert!(told.ends_with(&format!(": {message}")), "{told}");
    }
    let backend = |written: &str| problems_with("ws://127.0.0.1:9001", written);
    assert!(
        backend("http://unix:/run/app.sock:/")
            .ends_with("a unix socket is written without a scheme: `unix:/run/app.sock`")
    );
    assert!(backend("ws://*:80").contains("a backend is one host"));
}

#[test]
fn variables_that_are_wrong_are_told_without_their_values() {
    assert_eq!(
        problems_with("127.0.0.1:8080", "\"127.0.0.1:${PROT}\""),
        "wsgate.yaml:3:14: listeners.public.address: `${PROT}` is not set in the environment"
    );
    let told = problems_with("127.0.0.1:8080", &format!("${{{}}}", "A".repeat(5000)));
    assert!(told.len() < 200, "{told}");
    assert_eq!(
        problems_with("127.0.0.1:8080", "\"${SECRET}\""),
        "wsgate.yaml:3:14: listeners.public.address: must be an address such as `127.0.0.1:8080`; \
         what the environment gives is not"
    );
    let told = problems_after("log: { level: \"${SECRET}\" }\n");
    let words = "`error`, `warn`, `info`, `debug` or `trace`; what the environment gives is not";
    assert!(told.ends_with(words), "{told}");
    assert_eq!(
        problems_with("pool: chat", "pool: \"${SECRET\""),
        "wsgate.yaml:7:11: routes.chat.pool: `${` has no `}` after it"
    );
}

#[test]
fn a_wrong_part_is_told_once() {
    // The pool exists, though it is wrong; the route that names it is not.
    assert_eq!(
        problems_with("    backends: [\"ws://127.0.0.1:9001\"]\n", "    5\n"),
        "wsgate.yaml:10:5: pools.chat: must be a map, not the number 5"
    );
    assert_eq!(
        problems_with("\"https://app.example.com\"", "5"),
        "wsgate.yaml:6:15: routes.chat.origins[0]: must be an origin such as \
         `https://app.example.com`, not the number 5"
    );
}

#[test]
fn what_could_not_be_read_makes_no_further_problems() {
    assert_eq!(
        problems_with(
            "pools:\n  chat:\n    backends: [\"ws://127.0.0.1:9001\"]\n",
            "pools: 5\n"
        ),
        "wsgate.yaml:8:8: pools: must be a map, not the number 5"
    );
    assert_eq!(
        problems_after("drain: { window: x, deadline: 1s }\n"),
        "wsgate.yaml:11:18: drain.window: `x` is not a duration: write `500ms`, `5s`, `10m` or `2h`"
    );
    let told = problems_with("  public:", "  pub lic:");
    assert!(told.starts_with("wsgate.yaml:2:3: listeners.pub lic: ") && told.lines().count() == 1);
}

/// What stands beside a wrong value is told in the same run.
#[test]
fn a_wrong_value_hides_no_other() {
    let route = |keys: &str| problems_with("pool: chat\n", &format!("pool: chat\n    {keys}\n"));
    let told =
        route("protocols: [ws]\n    headers: { set: { connection: close } }\n    add_prefix: /a/");
    assert_eq!(told.lines().count(), 3, "{told}");
    let told = route("protocols: [http]\n    websocket: { idle: 1m }");
    assert!(
        told.contains("origins: has no") && told.contains("websocket: has no"),
        "{told}"
    );
    let check = "health: { active: { type: htp, headers: { connection: a }, statuses: [] } }";
    let told = problems_with("    backends:", &format!("    {check}\n    backends:"));
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn what_follows_from_a_wrong_value_is_not_told() {
    let route = |keys: &str| problems_with("pool: chat\n", &format!("pool: chat\n    {keys}\n"));
    let secure = super::SOUND.replace("ws://", "wss://");
    for told in [
        route("protocols: [http]\n    http: { cors: 5 }"),
        route("protocols: [http]\n    http: 5"),
        problems_with("origins: [\"https://app.example.com\"]", "protocols: [htp]"),
        route("match: { path: /a/, exact: yes }"),
        problems(&secure.replace(
            "    backends",
            "    tls: { certificate: \"\", key: k }\n    backends",
        )),
        problems(&format!(
            "{}admin: 5\n",
            super::SOUND.replace("8080", "9901")
        )),
    ] {
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

/// Its other problems are told in the same run, and what refers to it finds it.
#[test]
fn what_has_a_wrong_name_is_read_all_the_same() {
    let text = "\
listeners:
  public: { address: 127.0.0.1:8080 }
  q 2: { address: 127.0.0.1:8080, nonsense: 1 }
  \"q\\e3\": { adress: 127.0.0.1:8081 }
routes:
  r 1: { match: { listeners: [\"q 2\"] }, origins: any, pool: p 1 }
  r2: { match: { listeners: [q 2] }, origins: any, pool: p 1 }
pools:
  p 1: { backends: [ws://a, ws://a] }
";
    let told = problems(text);
    let told: Vec<_> = told
        .lines()
        .filter(|it| !it.contains("not a name"))
        .collect();
    let expected = [
        "wsgate.yaml:3:19: listeners.q 2.address: listeners.public.address listens there already",
        "wsgate.yaml:3:35: listeners.q 2.nonsense: unknown key",
        "wsgate.yaml:4:3: listeners.q\\u{1b}3: the key `address` is missing",
        "wsgate.yaml:4:13: listeners.q\\u{1b}3.adress: unknown key; did you mean `address`?",
        "wsgate.yaml:7:3: routes.r2: takes the same requests as routes.r 1",
        "wsgate.yaml:9:29: pools.p 1.backends[1]: pools.p 1.backends[0] has the same address",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_wrong_item_hides_nothing_of_the_others() {
    let backends = |list: &str| problems_with("[\"ws://127.0.0.1:9001\"]", list);
    assert_eq!(
        backends("[ws://h:1, ws://h:1, ws://h:0, { name: b }]")
            .lines()
            .map(|line| line.split(": ").nth(2).unwrap_or_default())
            .collect::<Vec<_>>(),
        [
            "pools.chat.backends[0] has the same address",
            "the port must be a number from 1 to 65535",
            "the key `url` is missing",
        ]
    );
    for (told, message) in [
        (
            backends("[ws://a]\n    source_addresses: [10.0.0.1, 10.0.0.1, 5]"),
            "source_addresses[1]: is in the list already",
        ),
        (
            problems_with(
                "origins:",
                "match: { listeners: [5, publik] }\n    origins:",
            ),
            "listeners[1]: no listener is named `publik`; did you mean `public`?",
        ),
        (
            problems_with("8080", "8080\n    tls: { certificates: [5, { key: a }] }"),
            "certificates[1]: the key `certificate` is missing",
        ),
    ] {
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(told.contains(message), "{told}");
    }
    // A wrong backend may be the one that `tls` is for.
    let told = backends("[{ url: wss://h:0 }]\n    tls: { server_name: a }");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn merge_keys_are_called_by_their_name() {
    let text = super::SOUND.replacen("    pool: chat", "    <<: *base", 1);
    let text = text.replacen("listeners:", "log: &base {}\nlisteners:", 1);
    let told = problems(&text);
    let expected = "wsgate.yaml:8:5: routes.chat.<<: merge keys have no meaning here:";
    assert!(
        told.starts_with(expected) && told.lines().count() == 1,
        "{told}"
    );
}

#[test]
fn a_key_that_stands_elsewhere_is_told_with_its_place() {
    let text = "\
log.level: debug
defaults.websocket.ping.timeout: 5s
log..level: debug
backends: []
listeners: { public: { address: 127.0.0.1:8080, max_connections: 5 } }
defaults: { http: {} }
routes: { chat: { path: /, origins: any, pool: chat } }
pools:
  chat: { backends: [\"ws://a:1\"], max_sessions: 5, health: { interval: 1s }, proxy_pass: a }
";
    let expected = "\
wsgate.yaml:1:1: log.level: unknown key; did you mean `log: { level: … }`?
wsgate.yaml:2:1: defaults.websocket.ping.timeout: unknown key; did you mean `defaults: { websocket: { ping: { timeout: … } } }`?
wsgate.yaml:3:1: log..level: unknown key
wsgate.yaml:4:1: backends: unknown key; did you mean `pools.NAME.backends`?
wsgate.yaml:5:49: listeners.public.max_connections: unknown key; did you mean `limits.max_connections`?
wsgate.yaml:6:13: defaults.http: unknown key; did you mean `routes.NAME.http`?
wsgate.yaml:7:19: routes.chat.path: unknown key; did you mean `match.path`?
wsgate.yaml:9:35: pools.chat.max_sessions: unknown key; did you mean `backends.max_sessions`?
wsgate.yaml:9:62: pools.chat.health.interval: unknown key; did you mean `active.interval`?
wsgate.yaml:9:78: pools.chat.proxy_pass: unknown key";
    assert_eq!(problems(text), expected);
}

#[test]
fn words_of_other_proxies_are_translated_where_their_key_is() {
    let text = "\
upstreams: {}
servers: {}
listeners:
  public: { listen: 80, bind: 80, SSL: on, ssl: on, timeout: 5s }
  secure: { address: 127.0.0.1:1, tls: { cert: a, certificates: [{ cert: a, certificate: a, key: a }] } }
routes:
  chat: { allowed_origins: any, origins: any, proxy_pass: a, upstream: a, pool: chat }
pools:
  chat:
    servers: []
    upstreams: []
    balance: a
    lb: a
    algorithm: a
    policy: a
    healthcheck: {}
    health_check: {}
    healthCheck: {}
    backends: [{ url: wss://a }]
    tls: { cert: a }
";
    let told = problems(text);
    let told = told.lines().filter_map(|line| line.split_once(": "));
    let told = told.filter_map(|(_, rest)| rest.split_once(": unknown key"));
    let told: Vec<(&str, &str)> = told.collect();
    let meant = |key: &str| format!("; did you mean `{key}`?");
    let expected = [
        ("upstreams", meant("pools")),
        ("servers", String::new()),
        ("listeners.public.listen", meant("address")),
        ("listeners.public.bind", meant("address")),
        ("listeners.public.SSL", meant("tls")),
        ("listeners.public.ssl", meant("tls")),
        ("listeners.public.timeout", meant("timeouts")),
        ("listeners.secure.tls.cert", meant("certificates")),
        (
            "listeners.secure.tls.certificates[0].cert",
            meant("certificate"),
        ),
        ("routes.chat.allowed_origins", meant("origins")),
        ("routes.chat.proxy_pass", meant("pool")),
        ("routes.chat.upstream", meant("pool")),
        ("pools.chat.servers", meant("backends")),
        ("pools.chat.upstreams", meant("backends")),
        ("pools.chat.balance", meant("strategy")),
        ("pools.chat.lb", meant("strategy")),
        ("pools.chat.algorithm", meant("strategy")),
        ("pools.chat.policy", meant("strategy")),
        ("pools.chat.healthcheck", meant("health")),
        ("pools.chat.health_check", meant("health")),
        ("pools.chat.healthCheck", meant("health")),
        ("pools.chat.tls.cert", meant("certificate")),
    ];
    let expected: Vec<(&str, &str)> = expected.iter().map(|(key, it)| (*key, &**it)).collect();
    assert_eq!(told, expected);
}
