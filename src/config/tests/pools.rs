//! Pools and the health of their backends, written out again and at random.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::sound;
use super::written::{any_duration, milliseconds};
use crate::config::{
    self, ActiveHealth, Backend, BackendAddress, BackendHost, Check, CheckRequest, HashKey, Health,
    OnUnhealthy, PassiveHealth, Pool, ProxyProtocol, Queue, Rebalance, SameSite, Secret, Sticky,
    Transport,
};

pub(super) fn pool(pool: &Pool) -> Value {
    let backends = pool.backends.iter().map(|backend| {
        let url = match &backend.address {
            BackendAddress::Tcp { tls: true, .. } => backend.address.to_string(),
            BackendAddress::Tcp { tls: false, .. } => format!("ws://{}", backend.address),
            BackendAddress::Unix(path) => format!("unix:{}", path.display()),
        };
        json!({
            "name": &*backend.name,
            "url": url,
            "weight": backend.weight,
            "max_sessions": backend.max_sessions.map_or(0, NonZeroUsize::get),
        })
    });
    let (strategy, hash) = strategy(&pool.strategy);
    json!({
        "strategy": strategy,
        "hash": hash,
        "sticky": pool.sticky.as_ref().map(|sticky| json!({
            "cookie": sticky.cookie,
            "ttl": milliseconds(sticky.ttl),
            "secret": sticky.secret.as_ref().map(|secret| secret.0.clone()),
            "same_site": match sticky.same_site {
                SameSite::Lax => "lax",
                SameSite::Strict => "strict",
                SameSite::None => "none",
            },
        })),
        "slow_start": milliseconds(pool.slow_start),
        "attempts": pool.attempts,
        "backends": backends.collect::<Vec<_>>(),
        "queue": { "max": pool.queue.max, "timeout": milliseconds(pool.queue.timeout) },
        "proxy_protocol": match pool.transport.proxy_protocol {
            ProxyProtocol::None => "none",
            ProxyProtocol::V1 => "v1",
            ProxyProtocol::V2 => "v2",
        },
        "health": health(&pool.health),
        "rebalance": pool.rebalance.map(rebalance),
    })
}

fn rebalance(rebalance: Rebalance) -> Value {
    json!({
        "threshold": format!("{:.0}%", rebalance.threshold * 100.0),
        "rate": format!("{:.2}%/s", rebalance.rate * 100.0),
    })
}

fn health(health: &Health) -> Value {
    let passive = health.passive.map(|passive| {
        json!({
            "failures": passive.failures,
            "window": milliseconds(passive.window),
            "eject": milliseconds(passive.eject),
            "max_ejected": format!("{:.0}%", passive.max_ejected * 100.0),
        })
    });
    json!({
        "active": health.active.as_ref().map(active),
        "passive": passive,
        "on_unhealthy": match health.on_unhealthy {
            OnUnhealthy::Keep => "keep",
            OnUnhealthy::Drain => "drain",
            OnUnhealthy::Close => "close",
        },
    })
}

fn active(active: &ActiveHealth) -> Value {
    let mut written = json!({
        "interval": milliseconds(active.interval),
        "timeout": milliseconds(active.timeout),
        "healthy_threshold": active.healthy_threshold,
        "unhealthy_threshold": active.unhealthy_threshold,
    });
    let (kind, request) = match &active.check {
        Check::Tcp => ("tcp", None),
        Check::Http(request, statuses) => {
            let range = |range: &RangeInclusive<u16>| format!("{}-{}", range.start(), range.end());
            written["statuses"] = statuses.iter().map(range).collect();
            ("http", Some(request))
        }
        Check::WebSocket(request) => ("websocket", Some(request)),
    };
    written["type"] = json!(kind);
    if let Some(request) = request {
        written["path"] = json!(request.path);
        written["host"] = json!(request.host);
        let field = |(name, value): &(HeaderName, HeaderValue)| {
            let value = value.to_str().expect("a text");
            (name.as_str().to_owned(), json!(value))
        };
        written["headers"] = request.headers.iter().map(field).collect();
    }
    written
}

fn strategy(strategy: &config::Strategy) -> (&'static str, Value) {
    let key = match strategy {
        config::Strategy::RoundRobin => return ("round_robin", Value::Null),
        config::Strategy::LeastSessions => return ("least_sessions", Value::Null),
        config::Strategy::TwoChoices => return ("two_choices", Value::Null),
        config::Strategy::Random => return ("random", Value::Null),
        config::Strategy::Hash(key) => key,
    };
    let key = match key {
        HashKey::Client => json!("client"),
        HashKey::Path => json!("path"),
        HashKey::PathSegment(number) => json!({ "path_segment": number }),
        HashKey::Header(name) => json!({ "header": name.as_str() }),
        HashKey::Cookie(name) => json!({ "cookie": name }),
        HashKey::Query(name) => json!({ "query": name }),
    };
    ("hash", json!({ "key": key }))
}

pub(super) fn any_pool() -> impl Strategy<Value = Pool> {
    let backend = ("[a-z]{1,9}", 1..=1000_u32, 0..9_usize);
    let rebalance = (101..=1000_u16, 1..=10_000_u16).prop_map(|(threshold, rate)| Rebalance {
        threshold: f64::from(threshold) / 100.0,
        rate: f64::from(rate) / 10_000.0,
    });
    let keys = (
        any_strategy(),
        of(any_sticky()),
        any_span(),
        any_queue(),
        any_health(),
        of(rebalance),
    );
    (1..=100_usize, vec(backend, 0..5), keys).prop_map(|(attempts, backends, keys)| {
        let (strategy, sticky, slow_start, mut queue, health, rebalance) = keys;
        if backends.iter().all(|(_, _, most)| *most == 0) {
            queue.max = 0;
        }
        let backend = |(port, (host, weight, most))| Backend {
            name: format!("backend{port}").into(),
            address: BackendAddress::Tcp {
                tls: false,
                host: BackendHost::Name(host),
                port,
            },
            weight,
            max_sessions: NonZeroUsize::new(most),
            priority: 0,
        };
        Pool {
            strategy,
            sticky,
            slow_start,
            attempts,
            backends: (1..).zip(backends).map(backend).collect(),
            queue,
            discovery: None,
            transport: Transport::default(),
            health,
            rebalance,
        }
    })
}

fn any_strategy() -> impl Strategy<Value = config::Strategy> {
    prop_oneof![
        Just(config::Strategy::RoundRobin),
        Just(config::Strategy::LeastSessions),
        Just(config::Strategy::TwoChoices),
        Just(config::Strategy::Random),
        any_hash_key().prop_map(config::Strategy::Hash),
    ]
}

fn any_hash_key() -> impl Strategy<Value = HashKey> {
    let header = "[a-z][a-z0-9-]{0,9}";
    prop_oneof![
        Just(HashKey::Client),
        Just(HashKey::Path),
        (1..=100_usize).prop_map(HashKey::PathSegment),
        header.prop_map(|name| HashKey::Header(name.parse().expect("a field name"))),
        "[a-zA-Z._~]{1,9}".prop_map(HashKey::Cookie),
        "[a-zA-Z._~%]{1,9}".prop_map(HashKey::Query),
    ]
}

fn any_sticky() -> impl Strategy<Value = Sticky> {
    let same_site = prop_oneof![
        Just(SameSite::Lax),
        Just(SameSite::Strict),
        Just(SameSite::None)
    ];
    let keys = ("[a-zA-Z_]{1,9}", any_span(), of("[a-z]{32,40}"), same_site);
    keys.prop_map(|(cookie, ttl, secret, same_site)| Sticky {
        cookie,
        ttl,
        secret: secret.map(Secret),
        same_site,
    })
}

fn any_queue() -> impl Strategy<Value = Queue> {
    (0..=100_000_usize, 1..=60_000_u64).prop_map(|(max, timeout)| Queue {
        max,
        timeout: Duration::from_millis(timeout),
    })
}

fn any_span() -> impl Strategy<Value = Duration> {
    (0..=60_000_u64).prop_map(Duration::from_millis)
}

fn any_health() -> impl Strategy<Value = Health> {
    let word = prop_oneof![
        Just(OnUnhealthy::Keep),
        Just(OnUnhealthy::Drain),
        Just(OnUnhealthy::Close)
    ];
    let passive = (1..=1000_usize, any_duration(), any_duration(), 0..=100_u8);
    let passive = passive.prop_map(|(failures, window, eject, share)| PassiveHealth {
        failures,
        window,
        eject,
        max_ejected: f64::from(share) / 100.0,
    });
    (of(any_active()), of(passive), word).prop_map(|(active, passive, word)| Health {
        on_unhealthy: active.as_ref().map_or(OnUnhealthy::Keep, |_| word),
        active,
        passive,
    })
}

fn any_active() -> impl Strategy<Value = ActiveHealth> {
    let request = ("/[a-z0-9?=/._~-]{0,9}", of("[a-z]{1,9}(:[0-9]{1,4})?"));
    let token = HeaderValue::from_static("Bearer a");
    let request = request.prop_map(move |(path, host)| CheckRequest {
        path,
        host,
        headers: vec![(AUTHORIZATION, token.clone())],
    });
    let statuses = vec((100..300_u16, 300..600_u16), 1..3);
    let statuses = statuses.prop_map(|ranges| ranges.into_iter().map(|(a, b)| a..=b).collect());
    let check = prop_oneof![
        Just(Check::Tcp),
        request.clone().prop_map(Check::WebSocket),
        (request, statuses).prop_map(|(request, statuses)| Check::Http(request, statuses)),
    ];
    let parts = (
        check,
        any_duration(),
        any_duration(),
        1..=100_u32,
        1..=100_u32,
    );
    parts.prop_map(
        |(check, interval, timeout, healthy, unhealthy)| ActiveHealth {
            check,
            interval,
            timeout,
            healthy_threshold: healthy,
            unhealthy_threshold: unhealthy,
        },
    )
}

#[test]
fn a_pool_that_leads_back_to_the_gateway_is_warned_of() {
    let told = |listener: &str, backend: &str, listeners: &str| {
        let config = sound(&format!(
            "listeners:\n  front: {{ address: \"{listener}\" }}\n  other: {{ address: 127.0.0.1:9999 }}\n\
             routes:\n  r: {{ match: {{ listeners: [{listeners}] }}, pool: p, origins: any }}\n\
             pools:\n  p: {{ backends: [\"{backend}\"] }}\n"
        ));
        config.warnings().collect::<Vec<_>>()
    };
    assert_eq!(
        told("127.0.0.1:9000", "ws://127.0.0.1:9000", "front"),
        [
            "pools.p: the backend `127.0.0.1:9000` is the gateway itself, as its listener `front` has a route to this pool: \
             requests may come back until no descriptor is left"
        ]
    );
    for (listener, backend) in [
        ("127.0.0.1:9000", "http://localhost:9000"),
        ("127.0.0.1:9000", "ws://0.0.0.0:9000"),
        ("0.0.0.0:9000", "ws://127.0.0.2:9000"),
        ("[::]:9000", "ws://127.0.0.1:9000"),
        ("[::]:9000", "ws://[::1]:9000"),
        ("[::1]:9000", "ws://LocalHost:9000"),
        ("192.0.2.1:9000", "ws://192.0.2.1:9000"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
    ] {
        assert_eq!(
            told(listener, backend, "front").len(),
            1,
            "{listener} {backend}"
        );
    }
    for (listener, backend, listeners) in [
        ("127.0.0.1:9000", "ws://127.0.0.1:9001", "front"),
        ("127.0.0.1:9000", "ws://127.0.0.2:9000", "front"),
        ("0.0.0.0:9000", "ws://[::1]:9000", "front"),
        ("0.0.0.0:9000", "ws://192.0.2.1:9000", "front"),
        ("unix:/run/a.sock", "unix:/run/b.sock", "front"),
        // Two stages.
        ("127.0.0.1:9000", "ws://127.0.0.1:9000", "other"),
    ] {
        let quiet = told(listener, backend, listeners);
        assert!(quiet.is_empty(), "{quiet:?}");
    }
}
