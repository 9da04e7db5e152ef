//! Warnings: what is valid but may not do what the operator expects.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cookie_conflicts::CookieConflicts;
use super::model::{
    Address, BackendAddress, BackendHost, Check, Config, Listener, Name, Pool, Queue, Route,
    SameSite, Strategy, Target,
};
use super::origin::Origins;

impl Config {
    /// One line for each warning, with the path of its key.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let pools = self.pools.iter();
        let of_pools = pools.flat_map(|pool| {
            let told = [
                cookies_without_secret(pool),
                unused_queue_timeout(pool),
                rebalancing_in_vain(pool),
                self.checks_without_sessions(pool),
                self.loop_through(pool),
            ];
            told.into_iter().flatten()
        });
        let routes = self.routes.iter();
        let of_routes = routes.flat_map(|route| {
            let told = self.rejected_cookies(route).chain(foreign_variables(route));
            told.chain(origins_of_sockets(route))
        });
        of_pools.chain(of_routes).chain(self.conflicting_cookies())
    }

    /// Pools whose sticky cookies overwrite each other: browsers keep cookies by host, whatever its port.
    fn conflicting_cookies(&self) -> Vec<String> {
        let routes = self.routes.values().filter_map(|route| {
            let name = &route.target.pool()?.pool;
            let cookie = &self.pools.get(name)?.sticky.as_ref()?.cookie;
            Some((name, cookie, &*route.matcher.hosts))
        });
        let (mut warnings, mut conflicts) = (BTreeMap::new(), CookieConflicts::default());
        for (name, cookie, hosts) in routes {
            if let Some(other) = conflicts.add(cookie, name, hosts) {
                warnings.insert(name, format!(
                    "pools.{name}.sticky: clients of one host get the cookie `{cookie}` of the pool `{other}` too, and keep \
                     one of the two: name another `cookie`"
                ));
            }
        }
        warnings.into_values().collect()
    }

    /// WebSocket checks of a pool to which no route sends sessions.
    fn checks_without_sessions(&self, (name, pool): (&Name, &Pool)) -> Option<String> {
        let active = pool.health.active.as_ref()?;
        let targets = self.routes.values().filter_map(|route| route.target.pool());
        let mut takes_websocket = targets
            .filter(|target| target.pool == *name)
            .map(|target| target.takes_websocket)
            .peekable();
        takes_websocket.peek()?;
        let is_vain = matches!(active.check, Check::WebSocket(_)) && !takes_websocket.any(|it| it);
        is_vain.then(|| {
            format!(
                "pools.{name}.health.active: checks open WebSocket sessions, which no route to the pool takes: \
                 backends that have none are down; `type: http` and `type: tcp` do without"
            )
        })
    }

    /// A backend that is a listener of the gateway itself, where a route leads to the same pool again. A listener that only
    /// has routes to others may be the second of two stages.
    fn loop_through(&self, (name, pool): (&Name, &Pool)) -> Option<String> {
        let returns = |listener: &Name| {
            let mut routes = self.routes.values();
            routes.any(|route| {
                let target = route.target.pool();
                route.matcher.is_on(listener) && target.is_some_and(|target| target.pool == *name)
            })
        };
        let pairs = pool.backends.iter().flat_map(|backend| {
            let listeners = self.listeners.iter();
            listeners.map(move |listener| (&backend.name, &backend.address, listener))
        });
        let mut loops = pairs.filter(|(_, backend, (name, listener))| {
            is_reached_at(&listener.address, backend) && returns(name)
        });
        loops.next().map(|(backend, _, (listener, _))| {
            format!(
                "pools.{name}: the backend `{backend}` is the gateway itself, as its listener `{listener}` has a route to this \
                 pool: requests may come back until no descriptor is left"
            )
        })
    }

    /// Listeners of a route on which browsers reject its sticky cookie.
    fn rejected_cookies<'c>(
        &'c self,
        (name, route): (&'c Name, &'c Route),
    ) -> impl Iterator<Item = String> + 'c {
        let target = route.target.pool();
        let pool = target.and_then(|target| self.pools.get(&target.pool));
        let sticky = pool.and_then(|pool| pool.sticky.as_ref());
        let demanding = sticky.filter(|sticky| sticky.demands_secure());
        let listeners = self.listeners.iter().filter(|(name, listener)| {
            route.matcher.is_on(name) && is_reached_without_tls(listener)
        });
        let told = move |(listener, _): (&Name, &Listener)| {
            let cookie = &demanding?.cookie;
            let reason = match demanding?.same_site {
                SameSite::None => "`same_site: none`",
                SameSite::Lax | SameSite::Strict => "its name",
            };
            Some(format!(
                "routes.{name}: browsers refuse the sticky cookie `{cookie}` on the listener `{listener}`, which has no `tls`: \
                 {reason} asks for TLS"
            ))
        };
        listeners.filter_map(told)
    }
}

/// Sticky cookies that only this process can verify.
fn cookies_without_secret((name, pool): (&Name, &Pool)) -> Option<String> {
    let sticky = pool.sticky.as_ref()?;
    sticky.secret.is_none().then(|| {
        format!(
            "pools.{name}.sticky: there is no `secret`, so this process makes a key of its own: \
             cookies do not survive a restart and are not shared between instances"
        )
    })
}

/// `queue.timeout` without a queue.
fn unused_queue_timeout((name, pool): (&Name, &Pool)) -> Option<String> {
    let Queue { max, timeout } = pool.queue;
    // The default may be written out.
    (max == 0 && timeout != Queue::TIMEOUT)
        .then(|| format!("pools.{name}.queue.timeout: nobody waits that long, as `max` is 0"))
}

/// Rebalancing of clients that are led back to the backend that they leave.
fn rebalancing_in_vain((name, pool): (&Name, &Pool)) -> Option<String> {
    let leader = match &pool.strategy {
        _ if pool.sticky.is_some() => "clients that keep the cookie of `sticky` are led back",
        Strategy::Hash(_) => "`strategy: hash` may lead clients back",
        _ => return None,
    };
    pool.rebalance.is_some().then(|| {
        format!("pools.{name}.rebalance: {leader} to the backend that they were asked to leave")
    })
}

/// Whether clients connect without TLS. In front of a unix socket or a listener with trusted proxies, a proxy may
/// terminate it.
fn is_reached_without_tls(listener: &Listener) -> bool {
    matches!(listener.address, Address::Tcp(_))
        && listener.tls.is_none()
        && listener.trusted_proxies.is_empty()
}

/// Whether the address of a backend, as it is written, is that of a listener. Names are not looked up, and of the host's own
/// addresses only those of the loopback are known.
fn is_reached_at(listener: &Address, backend: &BackendAddress) -> bool {
    let (listener, host, at) = match (listener, backend) {
        (Address::Unix(listener), BackendAddress::Unix(backend)) => return listener == backend,
        (Address::Tcp(listener), BackendAddress::Tcp { host, port, .. }) => (listener, host, *port),
        (Address::Tcp(_), BackendAddress::Unix(_))
        | (Address::Unix(_), BackendAddress::Tcp { .. }) => {
            return false;
        }
    };
    let takes = |backend: IpAddr| match (listener.ip(), backend) {
        (IpAddr::V4(own), IpAddr::V6(_)) if own.is_unspecified() => false,
        (own, backend) if own.is_unspecified() => backend.is_loopback(),
        (own, backend) => own == backend,
    };
    let is_own = match host {
        BackendHost::Name(name) if name.eq_ignore_ascii_case("localhost") => {
            takes(Ipv4Addr::LOCALHOST.into()) || takes(Ipv6Addr::LOCALHOST.into())
        }
        BackendHost::Name(_) => false,
        // A connection to all addresses reaches the loopback.
        BackendHost::Ip(IpAddr::V4(ip)) if ip.is_unspecified() => takes(Ipv4Addr::LOCALHOST.into()),
        BackendHost::Ip(IpAddr::V6(ip)) if ip.is_unspecified() => takes(Ipv6Addr::LOCALHOST.into()),
        BackendHost::Ip(ip) => takes(ip.to_canonical()),
    };
    is_own && listener.port() == at
}

/// Field values that look like variables of other proxies.
fn foreign_variables<'c>((name, route): (&'c Name, &'c Route)) -> impl Iterator<Item = String> {
    let set = match &route.target {
        Target::Pool(target) => &*target.headers.fields.set,
        Target::Respond(_) | Target::Redirect(_) => &[],
    };
    let to_backends = set.iter().map(|field| ("backends", "headers.set", field));
    let answer = route.answer.set.iter();
    let to_clients = answer.map(|field| ("clients", "headers.answer.set", field));
    let found = to_backends
        .chain(to_clients)
        .filter(|(.., (_, value))| is_foreign_variable(value.as_bytes()));
    // The value is not shown: it may be a secret from the environment.
    found.map(move |(who, key, (field, _))| {
        format!(
            "routes.{name}: {who} get the field `{field}` as `{key}` has it: there are no variables \
             but those of the environment, `${{NAME}}`"
        )
    })
}

/// As nginx, HAProxy, Envoy and Caddy write them.
fn is_foreign_variable(value: &[u8]) -> bool {
    let is_named =
        |name: &[u8], is_part: fn(&u8) -> bool| !name.is_empty() && name.iter().all(is_part);
    match value {
        [b'$', b'a'..=b'z', ..] | [b'%', b'[', ..] => true,
        [b'%', name @ .., b'%'] => {
            is_named(name, |byte| byte.is_ascii_uppercase() || *byte == b'_')
        }
        [b'{', name @ .., b'}'] => is_named(name, |byte| {
            byte.is_ascii_lowercase() || b"_.".contains(byte)
        }),
        _ => false,
    }
}

/// `ws` and `wss` origins, which no page has, without the origin of the page.
fn origins_of_sockets<'c>((name, route): (&'c Name, &'c Route)) -> impl Iterator<Item = String> {
    let allowed = match route.target.pool().map(|target| &target.origins) {
        Some(Origins::List(list)) if !list.allow_same => &*list.allow,
        Some(Origins::List(_) | Origins::Any) | None => &[],
    };
    allowed.iter().filter_map(move |origin| {
        let page = origin.page_of_socket()?;
        let is_alone = !allowed.iter().any(|it| it.matches_on_any_port(&page));
        is_alone.then(|| {
            format!(
                "routes.{name}.origins: no page has the origin `{origin}`, though some clients that are no browsers \
                 send it (Starscream): to let pages in, add `{page}`"
            )
        })
    })
}
