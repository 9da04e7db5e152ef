//! How sessions are spread over backends, and which wait: what is wrong with it, each thing with its place.

use super::{SOUND, problems, problems_with, sound};
use crate::config::Rebalance;

/// Adds each of these keys to a pool, from line 11 on; what is told has to be this, within the pool.
pub(super) fn expect(cases: &[(&str, &str)]) {
    for (keys, expected) in cases {
        let told = problems(&format!("{SOUND}    {keys}\n"));
        let told = told
            .replace("wsgate.yaml:", "")
            .replace(" pools.chat.", " ");
        assert_eq!(told, *expected, "{keys}");
    }
}

#[test]
fn a_strategy_is_one_of_five() {
    expect(&[
        (
            "strategy: hsah",
            "11:15: strategy: must be `round_robin`, `least_sessions`, `two_choices`, `hash` or `random`, not `hsah`; did you mean `hash`?",
        ),
        (
            "strategy: [hash]",
            "11:5: strategy: must be `round_robin`, `least_sessions`, `two_choices`, `hash` or `random`, not a list",
        ),
        (
            "strategy: maglev",
            "11:15: strategy: must be `round_robin`, `least_sessions`, `two_choices`, `hash` or `random`, not `maglev`",
        ),
        (
            "stratgy: hash",
            "11:5: stratgy: unknown key; did you mean `strategy`?",
        ),
    ]);
}

#[test]
fn a_hash_has_one_key_and_a_strategy_that_looks_at_it() {
    expect(&[
        (
            "hash: client",
            "11:11: hash: must be a map, not the text `client`",
        ),
        (
            "hash: { key: user }",
            "11:18: hash.key: must be `client` or `path`, or a map such as `{ cookie: NAME }`, `{ header: NAME }` or `{ query: NAME }`, not `user`",
        ),
        (
            "strategy: hash\n    hash: { kye: client }",
            "12:13: hash.kye: unknown key; did you mean `key`?",
        ),
        (
            "strategy: hash\n    hash: { key: ip }",
            "12:18: hash.key: must be `client` or `path`, or a map such as `{ cookie: NAME }`, `{ header: NAME }` or `{ query: NAME }`, not `ip`",
        ),
        (
            "strategy: hash\n    hash: { key: { header: \"X Room\" } }",
            "12:28: hash.key.header: `X Room` is not the name of a header field",
        ),
        (
            "strategy: hash\n    hash: { key: { header: X-Room, cookie: room } }",
            "12:13: hash.key: names what is hashed by one of `header`, `cookie`, `query` and `path_segment`",
        ),
        (
            "strategy: hash\n    hash: { key: {} }",
            "12:13: hash.key: names what is hashed by one of `header`, `cookie`, `query` and `path_segment`",
        ),
        (
            "strategy: hash\n    hash: { key: { heder: X-Room } }",
            "12:13: hash.key: names what is hashed by one of `header`, `cookie`, `query` and `path_segment`\n12:20: hash.key.heder: unknown key; did you mean `header`?",
        ),
        (
            "strategy: hash\n    hash: { key: { cookie: \"a b\" } }",
            "12:28: hash.key.cookie: `a b` is not the name of a cookie: at most 64 letters, digits and `-_.`",
        ),
        (
            "strategy: hash\n    hash: { key: { query: \"a&b\" } }",
            "12:27: hash.key.query: `a&b` is not the name of a query parameter",
        ),
        (
            "strategy: hash\n    hash: { key: { path_segment: 0 } }",
            "12:34: hash.key.path_segment: must be a whole number from 1 to 100",
        ),
        (
            "hash: { key: path }",
            "11:5: hash: has no effect without `strategy: hash`",
        ),
        (
            "hash: { key: { header: X-Room } }",
            "11:5: hash: has no effect without `strategy: hash`",
        ),
    ]);
}

#[test]
fn a_sticky_cookie_is_well_formed() {
    expect(&[
        (
            "sticky: wsgate",
            "11:13: sticky: must be a map, not the text `wsgate`",
        ),
        (
            "sticky: { cookie: \"a;b\" }",
            "11:23: sticky.cookie: `a;b` is not the name of a cookie: at most 64 letters, digits and `-_.`",
        ),
        (
            "sticky: { cookie: \"\" }",
            "11:23: sticky.cookie: `` is not the name of a cookie: at most 64 letters, digits and `-_.`",
        ),
        (
            "sticky: { cooky: a }",
            "11:15: sticky.cooky: unknown key; did you mean `cookie`?",
        ),
        (
            "sticky: { ttl: 60 }",
            "11:20: sticky.ttl: a duration has a unit: `60ms`, `60s`, `60m` or `60h`",
        ),
        (
            "sticky: { ttl: -1s }",
            "11:20: sticky.ttl: `-1s` is not a duration: write `500ms`, `5s`, `10m` or `2h`",
        ),
        (
            "sticky: { secret: short }",
            "11:23: sticky.secret: a secret has at least 32 bytes",
        ),
        (
            "sticky: { secret: 31415926535897932384626433832795 }",
            "11:23: sticky.secret: must be text; write it in quotes",
        ),
        (
            "sticky: { same_site: no }",
            "11:26: sticky.same_site: must be `lax`, `strict` or `none`, not `no`",
        ),
        (
            "sticky: { secret: [] }",
            "11:15: sticky.secret: must be a text of at least 32 bytes, not a list",
        ),
    ]);
}

#[test]
fn a_sticky_pool_without_a_secret_is_warned_of() {
    let told = |sticky: &str| {
        let config = sound(&format!("{SOUND}    sticky: {sticky}\n"));
        config.warnings().collect::<Vec<_>>()
    };
    assert_eq!(
        told("{}"),
        [
            "pools.chat.sticky: there is no `secret`, so this process makes a key of its own: \
             cookies do not survive a restart and are not shared between instances"
        ]
    );
    for quiet in ["null", "{ secret: 0123456789abcdef0123456789abcdef }"] {
        assert!(told(quiet).is_empty(), "{quiet}");
    }
}

#[test]
fn a_cookie_that_browsers_refuse_without_tls_is_warned_of() {
    let told = |listener: &str, keys: &str| {
        let secret = "secret: 0123456789abcdef0123456789abcdef";
        let sticky = format!("sticky: {{ cookie: {keys}, {secret} }}");
        let text = format!("{SOUND}    {sticky}\n");
        let config = sound(&text.replace("routes:\n", &format!("{listener}routes:\n")));
        config.warnings().collect::<Vec<_>>()
    };
    for cookie in ["__Host-a", "__secure-a"] {
        assert_eq!(
            told("", cookie),
            [format!(
                "routes.chat: browsers refuse the sticky cookie `{cookie}` on the listener `public`, which has no \
                 `tls`: its name asks for TLS"
            )]
        );
    }
    for quiet in [
        "    trusted_proxies: [10.0.0.0/8]\n",
        "    tls: { certificates: [{ certificate: a, key: b }] }\n",
    ] {
        assert!(told(quiet, "__Host-a").is_empty(), "{quiet}");
    }
    assert_eq!(
        told("", "a, same_site: none"),
        [
            "routes.chat: browsers refuse the sticky cookie `a` on the listener `public`, which has no `tls`: \
             `same_site: none` asks for TLS"
        ]
    );
    for quiet in ["_Host-a", "a, same_site: lax", "a, same_site: strict"] {
        assert!(told("", quiet).is_empty(), "{quiet}");
    }
    let another = "  back: { address: \"127.0.0.1:8081\" }\n";
    assert_eq!(told(another, "__Host-a").len(), 2, "each listener is named");
}

/// A cookie is a host's, whatever the path and the port.
#[test]
fn cookies_of_two_pools_that_one_client_would_get_are_warned_of() {
    let told = |hosts: [&str; 2], cookie: &str| {
        let secret = "secret: 0123456789abcdef0123456789abcdef";
        let [one, other] = hosts.map(|hosts| format!("origins: any, match: {{ hosts: [{hosts}]"));
        let text = format!(
            "listeners: {{ main: {{ address: \"127.0.0.1:8080\" }} }}\n\
             routes:\n  a: {{ {one} }}, pool: a }}\n  b: {{ {other}, path: /b }}, pool: b }}\n\
             pools:\n  a: {{ backends: [ws://a], sticky: {{ {secret} }} }}\n  \
             b: {{ backends: [ws://b], sticky: {{ cookie: {cookie}, {secret} }} }}\n"
        );
        sound(&text).warnings().collect::<Vec<_>>()
    };
    let said = "pools.b.sticky: clients of one host get the cookie `wsgate` of the pool `a` too, and keep one of the two: \
                name another `cookie`";
    for hosts in [
        ["", ""],
        ["a.test", ""],
        ["a.test", "'*.test'"],
        ["'*.test'", "x.a.test"],
        ["", "a.test"],
        ["'*.b.test'", "'*.test'"],
        ["'*.test'", "'*.b.test'"],
        ["c.test, a.test", "d.test, a.test"],
    ] {
        assert_eq!(told(hosts, "wsgate"), [said], "{hosts:?}");
        assert!(told(hosts, "another").is_empty(), "{hosts:?}");
    }
    for hosts in [
        ["a.test", "b.test"],
        ["a.test", "'*.a.test'"],
        ["'*.a.test'", "a.test"],
        ["'*.a.test'", "'*.b.test'"],
        ["a.test", "'*.est'"],
    ] {
        assert!(told(hosts, "wsgate").is_empty(), "{hosts:?}");
    }
}

#[test]
fn a_time_for_a_queue_in_which_nobody_waits_is_warned_of() {
    let told = |queue: &str| {
        let one_place = SOUND.replace("\"ws://", "{ max_sessions: 1, url: \"ws://");
        let text = format!(
            "{}    queue: {queue}\n",
            one_place.replace("9001\"", "9001\" }")
        );
        sound(&text).warnings().collect::<Vec<_>>()
    };
    assert_eq!(
        told("{ timeout: 5s }"),
        ["pools.chat.queue.timeout: nobody waits that long, as `max` is 0"]
    );
    for quiet in ["{}", "{ max: 0, timeout: 1s }", "{ max: 9, timeout: 5s }"] {
        assert!(told(quiet).is_empty(), "{quiet}");
    }
}

#[test]
fn rebalancing_against_cookies_is_warned_of() {
    let told = |keys: &str| {
        let text = format!("{SOUND}{keys}");
        let warnings = sound(&text).warnings().collect::<Vec<_>>();
        warnings
            .iter()
            .any(|it| it.starts_with("pools.chat.rebalance: "))
    };
    let (rebalance, sticky) = ("    rebalance: {}\n", "    sticky: {}\n");
    assert!(told(&format!("{rebalance}{sticky}")));
    let hash = "    strategy: hash\n    hash: { key: client }\n";
    assert!(told(&format!("{rebalance}{hash}")));
    assert!(!told(hash));
    assert!(!told(rebalance) && !told(sticky));
}

#[test]
fn slow_starts_and_attempts_are_bounded() {
    expect(&[
        (
            "slow_start: 30",
            "11:17: slow_start: a duration has a unit: `30ms`, `30s`, `30m` or `30h`",
        ),
        (
            "slow_start: fast",
            "11:17: slow_start: `fast` is not a duration: write `500ms`, `5s`, `10m` or `2h`",
        ),
        (
            "slow_start: { time: 30s }",
            "11:5: slow_start: must be a duration such as `5s`, not a map",
        ),
        (
            "slowstart: 30s",
            "11:5: slowstart: unknown key; did you mean `slow_start`?",
        ),
        (
            "attempts: 0",
            "11:15: attempts: must be a whole number from 1 to 100",
        ),
        (
            "attempts: 101",
            "11:15: attempts: must be a whole number from 1 to 100",
        ),
        (
            "attempts: three",
            "11:15: attempts: must be a whole number from 1 to 100, not the text `three`",
        ),
        (
            "attempts: 1.5",
            "11:15: attempts: must be a whole number from 1 to 100",
        ),
    ]);
}

#[test]
fn a_queue_is_bounded_and_has_something_to_wait_for() {
    expect(&[
        (
            "queue: 100",
            "11:12: queue: must be a map, not the number 100",
        ),
        (
            "queue: { max: -1 }",
            "11:19: queue.max: must be a whole number from 0 to 100000",
        ),
        (
            "queue: { max: 100001 }",
            "11:19: queue.max: must be a whole number from 0 to 100000",
        ),
        (
            "queue: { max: 9 }",
            "11:19: queue.max: nobody ever waits, since no backend of the pool has `max_sessions`",
        ),
        (
            "queue: { timeout: 0s }",
            "11:23: queue.timeout: must be more than 0",
        ),
        (
            "queue: { timeout: soon }",
            "11:23: queue.timeout: `soon` is not a duration: write `500ms`, `5s`, `10m` or `2h`",
        ),
        ("queue: { size: 9 }", "11:14: queue.size: unknown key"),
        (
            "queue: { timout: 1s }",
            "11:14: queue.timout: unknown key; did you mean `timeout`?",
        ),
    ]);
}

#[test]
fn max_sessions_is_a_count() {
    for (backend, expected) in [
        (
            "max_sessions: -1",
            "10:49: {}.max_sessions: must be a whole number from 0 to 10000000",
        ),
        (
            "max_sessions: none",
            "10:49: {}.max_sessions: must be a whole number from 0 to 10000000, not the text `none`",
        ),
        (
            "max_session: 9",
            "10:35: {}.max_session: unknown key; did you mean `max_sessions`?",
        ),
        (
            "weight: 0",
            "10:43: {}.weight: must be a whole number from 1 to 1000",
        ),
    ] {
        let keys = format!("{{ url: \"ws://a:1\", {backend} }}");
        let told = problems_with("\"ws://127.0.0.1:9001\"", &keys);
        let expected = expected.replace("{}", "pools.chat.backends[0]");
        assert_eq!(told, format!("wsgate.yaml:{expected}"));
    }
}

/// Backends that are found can be full as those that are named.
#[test]
fn found_backends_are_waited_for_where_they_have_a_bound() {
    let with = |bound: &str| {
        let discovery = format!("discovery: {{ dns: chat.internal, port: 1{bound} }}");
        let named = "backends: [\"ws://127.0.0.1:9001\"]";
        format!(
            "{}    queue: {{ max: 9 }}\n",
            SOUND.replacen(named, &discovery, 1)
        )
    };
    let pool = &sound(&with(", max_sessions: 3")).pools["chat"];
    let bound = pool.discovery.as_ref().and_then(|it| it.max_sessions);
    assert_eq!(bound.map(usize::from), Some(3));
    for bound in ["", ", max_sessions: 0"] {
        let nobody = "nobody ever waits, since no backend of the pool has `max_sessions`";
        let place = "wsgate.yaml:11:19: pools.chat.queue.max";
        assert_eq!(problems(&with(bound)), format!("{place}: {nobody}"));
    }
}

#[test]
fn rebalancing_is_off_unless_it_is_asked_for() {
    let rebalance = |keys: &str| sound(&format!("{SOUND}{keys}")).pools["chat"].rebalance;
    assert_eq!(rebalance(""), None);
    assert_eq!(rebalance("    rebalance: null\n"), None);
    let default = Rebalance {
        threshold: 1.2,
        rate: 0.01,
    };
    assert_eq!(rebalance("    rebalance: {}\n"), Some(default));
}

#[test]
fn rebalancing_has_a_threshold_and_a_rate() {
    expect(&[
        (
            "rebalance: true",
            "11:16: rebalance: must be a map, not the boolean true",
        ),
        (
            "rebalance: { threshold: 100% }",
            "11:29: rebalance.threshold: must be from `101%` to `1000%`",
        ),
        (
            "rebalance: { threshold: 1.2 }",
            "11:29: rebalance.threshold: must be a share such as `120%`, not the number 1.2",
        ),
        (
            "rebalance: { treshold: 120% }",
            "11:18: rebalance.treshold: unknown key; did you mean `threshold`?",
        ),
        (
            "rebalance: { rate: 1% }",
            "11:24: rebalance.rate: must be a rate from `0.01%/s` to `100%/s`",
        ),
        (
            "rebalance: { rate: 0%/s }",
            "11:24: rebalance.rate: must be a rate from `0.01%/s` to `100%/s`",
        ),
        (
            "rebalance: { rate: 1 }",
            "11:24: rebalance.rate: a rate is written with its unit: `1%/s`",
        ),
        (
            "rebalance: { rate: 1%/m }",
            "11:24: rebalance.rate: must be a rate from `0.01%/s` to `100%/s`",
        ),
    ]);
}
