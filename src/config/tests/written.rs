//! A configuration written out again, by other code than reads it, and configurations at random.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::requests;
use crate::config::{
    self, ActiveHealth, Address, Admin, Backend, BackendAddress, BackendHost, Check, CheckRequest,
    Config, Drain, FixedAnswer, HashKey, Health, HostPattern, Listener, ListenerLimits,
    ListenerTimeouts, Name, Networks, OnProtocolError, OnUnhealthy, OriginList, OriginPattern,
    Origins, PassiveHealth, Ping, Pool, PoolTarget, ProxyProtocol, Queue, Rebalance, Route,
    RouteMatch, Secret, SessionTimeouts, Sticky, Target, Transport, WebSocket,
};

/// A configuration as JSON, which is YAML as well; every key is given.
pub(super) fn write(config: &Config) -> Value {
    let named = |entries: Vec<(&Name, Value)>| -> Value {
        entries
            .into_iter()
            .map(|(name, value)| (name.to_string(), value))
            .collect::<Map<_, _>>()
            .into()
    };
    json!({
        "admin": { "address": address(&config.admin.address) },
        "log": { "access": { "open": config.log.access.open } },
        "runtime": { "workers": config.runtime.workers.map_or(json!("auto"), |count| json!(count)) },
        "listeners": named(config.listeners.iter().map(|(name, it)| (name, listener(it))).collect()),
        "routes": named(config.routes.iter().map(|(name, it)| (name, route(it))).collect()),
        "pools": named(config.pools.iter().map(|(name, it)| (name, pool(it))).collect()),
        "drain": {
            "grace": milliseconds(config.drain.grace),
            "window": milliseconds(config.drain.window),
            "deadline": milliseconds(config.drain.deadline),
            "close_code": config.drain.close_code,
            "reason": config.drain.reason.replace("${", "$${"),
        },
    })
}

pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

fn address(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn networks(networks: &Networks) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

fn listener(listener: &Listener) -> Value {
    json!({
        "address": address(&listener.address),
        "trusted_proxies": networks(&listener.trusted_proxies),
        "timeouts": {
            "request_header": milliseconds(listener.timeouts.request_header),
            "keep_alive": milliseconds(listener.timeouts.keep_alive),
        },
        "limits": {
            "max_connections": listener.limits.max_connections,
            "request_head": format!("{}B", listener.limits.request_head),
            "http2_streams": listener.limits.http2_streams,
        },
        "h2c": listener.h2c,
    })
}

fn route(route: &Route) -> Value {
    let hosts = route.matcher.hosts.iter().map(|host| match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Wildcard(suffix) => format!("*.{suffix}"),
    });
    let mut written = json!({ "match": {
        "hosts": hosts.collect::<Vec<_>>(),
        "path": route.matcher.path,
        "exact": route.matcher.exact,
        "listeners": route.matcher.listeners.iter().map(|name| &**name).collect::<Vec<_>>(),
    }});
    match &route.target {
        Target::Respond(answer) => {
            written["respond"] = json!({ "status": answer.status.as_u16(), "body": answer.body });
        }
        Target::Redirect(redirect) => {
            written["redirect"] = requests::redirect(redirect);
        }
        Target::Pool(target) => {
            written["headers"] = requests::headers(&target.headers);
            written["strip_prefix"] = json!(target.strip_prefix);
            written["pool"] = json!(&*target.pool);
            written["origins"] = origins(&target.origins);
            written["protocols"] = match &target.http {
                Some(_) => json!(["http", "websocket"]),
                None => json!(["websocket"]),
            };
            if let Some(http) = &target.http {
                written["http"] = requests::http(http);
            }
            written["timeouts"] = json!({
                "connect": milliseconds(target.timeouts.connect),
                "handshake": milliseconds(target.timeouts.handshake),
                "close": milliseconds(target.timeouts.close),
                "half_close": milliseconds(target.timeouts.half_close),
            });
            written["websocket"] = websocket(&target.websocket);
        }
    }
    written
}

fn websocket(websocket: &WebSocket) -> Value {
    let span = |limit: Option<Duration>| limit.map_or(json!(0), |span| json!(milliseconds(span)));
    let size = websocket.max_message_size;
    json!({
        "idle": span(websocket.idle),
        "ping": websocket.ping.map_or(json!({ "target": "none" }), ping),
        "max_message_size": size.map_or(json!(0), |bytes| json!(format!("{bytes}B"))),
        "max_messages_per_second": websocket.max_messages_per_second.map_or(0, NonZeroU32::get),
        "max_age": span(websocket.max_age),
        "max_age_jitter": format!("{:.0}%", websocket.max_age_jitter * 100.0),
        "slow_consumer": { "stall": span(websocket.stall) },
        "on_protocol_error": match websocket.on_protocol_error {
            OnProtocolError::Pass => "pass",
            OnProtocolError::Close => "close",
        },
    })
}

fn ping(ping: Ping) -> Value {
    json!({
        "interval": milliseconds(ping.interval),
        "timeout": milliseconds(ping.timeout),
        "target": match (ping.client, ping.backend) {
            (true, false) => "client",
            (false, true) => "backend",
            (true, true) => "both",
            (false, false) => "none",
        },
    })
}

fn origins(origins: &Origins) -> Value {
    let verdict = |allowed: bool| if allowed { "allow" } else { "deny" };
    match origins {
        Origins::Any => json!("any"),
        Origins::List(list) => json!({
            "allow": list.allow.iter().map(OriginPattern::to_string).collect::<Vec<_>>(),
            "missing": verdict(list.allow_missing),
            "opaque": verdict(list.allow_opaque),
        }),
    }
}

fn pool(pool: &Pool) -> Value {
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
        HashKey::Header(name) => json!({ "header": name.as_str() }),
        HashKey::Cookie(name) => json!({ "cookie": name }),
        HashKey::Query(name) => json!({ "query": name }),
    };
    ("hash", json!({ "key": key }))
}

/// A sound configuration; names and addresses are made unequal by their numbers.
pub(super) fn any_config() -> impl Strategy<Value = Config> {
    let pools = btree_map(any_name(), any_pool(), 1..3);
    let listeners = vec((any_name(), any_listener()), 1..4);
    let parts = (
        listeners,
        pools,
        vec(any_route(), 1..4),
        any_drain(),
        any::<bool>(),
    );
    parts.prop_map(|(listeners, pools, routes, drain, open)| {
        let mut config = super::sound(super::SOUND);
        let numbered = (1..).zip(listeners);
        config.listeners = numbered
            .map(|(port, (name, listener))| {
                let address = Address::Tcp(([127, 0, 0, 1], port).into());
                (
                    name,
                    Listener {
                        address,
                        ..listener
                    },
                )
            })
            .collect();
        let pool = pools.keys().next().expect("a pool");
        let numbered = routes.into_iter().enumerate();
        config.routes = numbered
            .map(|(number, route)| (format!("route{number}").into(), settle(route, number, pool)))
            .collect();
        config.admin = Admin {
            address: Address::Unix("/run/admin.sock".into()),
        };
        config.log.access.open = open;
        Config {
            pools,
            drain,
            ..config
        }
    })
}

/// Makes a route's path its own and its pool one that exists.
fn settle(mut route: Route, number: usize, pool: &Name) -> Route {
    route.matcher.path = format!("/{number}{}", route.matcher.path);
    if let Target::Pool(target) = &mut route.target {
        target.pool = Name::clone(pool);
    }
    route
}

fn any_name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9][A-Za-z0-9_.-]{0,12}".prop_map(Name::from)
}

fn any_duration() -> impl Strategy<Value = Duration> {
    (1..31_536_000_000_u64).prop_map(Duration::from_millis)
}

fn any_listener() -> impl Strategy<Value = Listener> {
    let parts = (
        any_duration(),
        any_duration(),
        1..10_000_000_usize,
        8192..1_048_576_usize,
        (1..=10_000_u32, any::<bool>()),
    );
    parts.prop_map(
        |(request_header, keep_alive, max_connections, request_head, http2)| Listener {
            address: Address::Unix("/replaced".into()),
            trusted_proxies: Networks::new(vec!["10.0.0.0/8".parse().expect("a network")]),
            tls: None,
            h2c: http2.1,
            timeouts: ListenerTimeouts {
                request_header,
                keep_alive,
            },
            limits: ListenerLimits {
                max_connections,
                request_head,
                http2_streams: http2.0,
            },
        },
    )
}

fn any_pool() -> impl Strategy<Value = Pool> {
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
        header.prop_map(|name| HashKey::Header(name.parse().expect("a field name"))),
        "[a-zA-Z._~]{1,9}".prop_map(HashKey::Cookie),
        "[a-zA-Z._~%]{1,9}".prop_map(HashKey::Query),
    ]
}

fn any_sticky() -> impl Strategy<Value = Sticky> {
    ("[a-zA-Z_]{1,9}", any_span(), of("[a-z]{32,40}")).prop_map(|(cookie, ttl, secret)| Sticky {
        cookie,
        ttl,
        secret: secret.map(Secret),
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
    let request = request.prop_map(|(path, host)| CheckRequest { path, host });
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

fn any_route() -> impl Strategy<Value = Route> {
    let host = prop_oneof![
        "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}".prop_map(HostPattern::Exact),
        "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}".prop_map(HostPattern::Wildcard),
    ];
    let matcher = (vec(host, 0..3), "(/[a-z0-9._~%-]{3,9}){0,3}", any::<bool>());
    (matcher, any_target()).prop_map(|((hosts, path, exact), target)| Route {
        matcher: RouteMatch {
            hosts,
            path,
            exact,
            listeners: Vec::new(),
        },
        target,
    })
}

fn any_target() -> impl Strategy<Value = Target> {
    let respond = (200..600_u16, "\\PC{0,20}").prop_map(|(status, body)| {
        let status = http::StatusCode::from_u16(status).expect("a status");
        Target::Respond(FixedAnswer {
            status,
            body: body.replace("${", ""),
        })
    });
    let timeouts = [
        any_duration(),
        any_duration(),
        any_duration(),
        any_duration(),
    ];
    let pool = (any_origins(), timeouts, any_websocket());
    let pool = pool.prop_map(
        |(origins, [connect, handshake, close, half_close], websocket)| {
            let timeouts = SessionTimeouts {
                connect,
                handshake,
                close,
                half_close,
            };
            Target::Pool(Box::new(PoolTarget {
                pool: "replaced".into(),
                takes_websocket: true,
                http: Some(requests::some_http(close, connect)),
                headers: requests::some_headers(connect > close),
                strip_prefix: connect > close,
                origins,
                timeouts,
                websocket,
            }))
        },
    );
    let redirect = any::<bool>()
        .prop_map(requests::some_redirect)
        .prop_map(Target::Redirect);
    prop_oneof![respond, redirect, pool]
}

fn any_websocket() -> impl Strategy<Value = WebSocket> {
    let spans = [of(any_duration()), of(any_duration()), of(any_duration())];
    let ends = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))];
    let ping = (any_duration(), any_duration(), ends);
    let ping = ping.prop_map(|(interval, timeout, (client, backend))| Ping {
        interval,
        timeout,
        client,
        backend,
    });
    let size = 1..=u64::from(u32::MAX);
    let limits = (of(size), of(1..=1_000_000_u32), 0..=100_u8);
    let parts = (spans, of(ping), limits, any::<bool>());
    parts.prop_map(
        |([idle, max_age, stall], ping, (size, rate, share), pass)| WebSocket {
            idle,
            ping,
            max_message_size: size,
            max_messages_per_second: rate.and_then(NonZeroU32::new),
            max_age,
            max_age_jitter: f64::from(share) / 100.0,
            stall,
            on_protocol_error: if pass {
                OnProtocolError::Pass
            } else {
                OnProtocolError::Close
            },
        },
    )
}

fn any_origins() -> impl Strategy<Value = Origins> {
    let pattern = "(https?|app)://(\\*\\.)?[a-z]{1,9}(\\.[a-z]{1,9}){0,2}(:[1-9][0-9]{0,3})?"
        .prop_map(|text| OriginPattern::parse(&text).expect("a pattern"));
    let list = (vec(pattern, 1..4), any::<bool>(), any::<bool>());
    prop_oneof![
        Just(Origins::Any),
        list.prop_map(|(allow, allow_missing, allow_opaque)| {
            Origins::List(OriginList {
                allow,
                allow_missing,
                allow_opaque,
            })
        }),
    ]
}

fn any_drain() -> impl Strategy<Value = Drain> {
    let times = (0..100_000_u64, 0..100_000_u64, 0..100_000_u64);
    let codes = prop_oneof![Just(1001), Just(1012), 3000..5000_u16];
    (times, codes, "\\PC{0,30}").prop_map(|((grace, window, rest), close_code, reason)| Drain {
        grace: Duration::from_millis(grace),
        window: Duration::from_millis(window),
        deadline: Duration::from_millis(grace + window + rest),
        close_code,
        reason,
    })
}
