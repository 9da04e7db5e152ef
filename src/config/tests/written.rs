//! A configuration written out again, by other code than reads it, and configurations at random.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::pools::{any_pool, pool};
use super::requests;
use crate::config::{
    Access, Address, Admin, Config, Drain, FixedAnswer, HostPattern, Listener, ListenerLimits,
    ListenerTimeouts, Name, Networks, OnProtocolError, OriginList, OriginPattern, Origins, Ping,
    PoolTarget, ProxyHeader, Route, RouteMatch, SessionTimeouts, Target, WebSocket,
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
        "runtime": {
            "workers": config.runtime.workers.map_or(json!("auto"), |count| json!(count)),
            "io_uring": config.runtime.io_uring,
        },
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
        "trusted_proxies": networks(&listener.trusted_proxies.networks),
        "proxy_protocol": match listener.proxy_protocol {
            ProxyHeader::None => "none",
            ProxyHeader::Accept => "accept",
            ProxyHeader::Require => "require",
        },
        "timeouts": {
            "request_header": milliseconds(listener.timeouts.request_header),
            "keep_alive": milliseconds(listener.timeouts.keep_alive),
        },
        "limits": {
            "max_connections": listener.limits.max_connections,
            "handshakes_per_second": listener.limits.handshakes_per_second,
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
    written["headers"] = json!({});
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
            written["add_prefix"] = json!(target.add_prefix);
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
    written["headers"]["answer"] = requests::fields(&route.answer);
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
        "backend_lost_code": websocket.backend_lost_code.unwrap_or(0),
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
            "same": verdict(list.allow_same),
            "missing": verdict(list.allow_missing),
            "opaque": verdict(list.allow_opaque),
        }),
    }
}

/// A valid configuration; names and addresses are made unequal by their numbers.
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

pub(super) fn any_duration() -> impl Strategy<Value = Duration> {
    (1..31_536_000_000_u64).prop_map(Duration::from_millis)
}

fn any_listener() -> impl Strategy<Value = Listener> {
    let parts = (
        any_duration(),
        any_duration(),
        1..10_000_000_usize,
        1024..1_048_576_usize,
        (1..=10_000_u32, any::<bool>()),
        prop_oneof![Just(ProxyHeader::Accept), Just(ProxyHeader::Require)],
    );
    parts.prop_map(
        |(request_header, keep_alive, max_connections, request_head, http2, proxy_protocol)| {
            Listener {
                address: Address::Unix("/replaced".into()),
                trusted_proxies: crate::config::TrustedProxies {
                    networks: Networks::new(vec!["10.0.0.0/8".parse().expect("a network")]),
                    unix: false,
                },
                proxy_protocol,
                access: Access::default(),
                tls: None,
                h2c: http2.1,
                timeouts: ListenerTimeouts {
                    request_header,
                    keep_alive,
                },
                limits: ListenerLimits {
                    max_connections,
                    max_connections_per_client: None,
                    concurrent_tls_handshakes: None,
                    handshakes_per_second: NonZeroU32::new(http2.0),
                    request_head,
                    http2_streams: http2.0,
                },
            }
        },
    )
}

fn any_route() -> impl Strategy<Value = Route> {
    let host = prop_oneof![
        "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}".prop_map(HostPattern::Exact),
        "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}".prop_map(HostPattern::Wildcard),
    ];
    let matcher = (vec(host, 0..3), "(/[a-z0-9._~-]{3,9}){0,3}", any::<bool>());
    (matcher, any_target()).prop_map(|((hosts, path, exact), target)| Route {
        answer: requests::some_fields(exact),
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
        let body = match status.as_u16() {
            204 | 205 | 304 => String::new(),
            _ => body.replace("${", ""),
        };
        Target::Respond(FixedAnswer { status, body })
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
                add_prefix: (connect < half_close).then(|| "/x/y".to_owned()),
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
            backend_lost_code: pass.then_some(4000),
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
    let verdicts = (any::<bool>(), any::<bool>(), any::<bool>());
    let list = (vec(pattern, 1..4), verdicts);
    prop_oneof![
        Just(Origins::Any),
        list.prop_map(|(allow, (allow_same, allow_missing, allow_opaque))| {
            Origins::List(OriginList {
                allow: allow.into(),
                allow_same,
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
