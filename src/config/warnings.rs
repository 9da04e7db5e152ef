//! Warnings: what is valid but may not do what the operator expects.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use http::HeaderValue;

use super::cookie_conflicts::CookieConflicts;
use super::model::{
    Address, BackendAddress, BackendHost, Check, Config, Listener, Name, Pool, Queue, Route,
    SameSite, Strategy, Target,
};
use super::origin::{Origin, Origins};

impl Config {
    /// One line for each warning, with the path of its key.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let pools = self.pools.iter();
        let sessions = self.pools_with_sessions();
        let of_pools = pools.flat_map(move |pool| {
            let warnings = [
                cookies_without_secret(pool),
                unused_queue_timeout(pool),
                rebalancing_in_vain(pool),
                checks_without_sessions(pool, &sessions),
                self.loop_through(pool),
            ];
            warnings.into_iter().flatten()
        });
        let routes = self.routes.iter();
        let of_routes = routes.flat_map(|route| self.rejected_cookies(route));
        let of_lists = self.foreign_variables().chain(self.origins_of_sockets());
        let of_routes = of_routes.chain(of_lists).chain(self.circles());
        of_pools.chain(of_routes).chain(self.conflicting_cookies())
    }

    /// The pools to which routes lead, and whether one of the routes takes WebSocket sessions.
    fn pools_with_sessions(&self) -> BTreeMap<&Name, bool> {
        let mut sessions = BTreeMap::new();
        for target in self.routes.values().filter_map(|route| route.target.pool()) {
            *sessions.entry(&target.pool).or_default() |= target.takes_websocket;
        }
        sessions
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

    /// Field values that look like variables of other proxies.
    fn foreign_variables(&self) -> impl Iterator<Item = String> + use<> {
        let to_backends = self.routes.iter().filter_map(|(name, route)| {
            let rules = &route.target.pool()?.headers.fields;
            Some((name, &rules.set))
        });
        let to_clients = self.routes.iter();
        let to_clients = to_clients.map(|(name, route)| (name, &route.answer.set));
        let (to_backends, to_clients) = (shared(to_backends), shared(to_clients));
        let to_backends = to_backends.map(|list| ("backends", "headers.set", list));
        let to_clients = to_clients.map(|list| ("clients", "headers.answer.set", list));
        let mut repeated = Repeated::default();
        for (who, key, (route, others, fields)) in to_backends.chain(to_clients) {
            // What the environment gives is expanded already.
            let is_foreign = |(_, value): &&(_, HeaderValue)| {
                !value.is_sensitive() && value.to_str().is_ok_and(has_foreign_variable)
            };
            for (field, _) in fields.iter().filter(is_foreign) {
                // The value is not shown: it may be a secret from the environment.
                let message = format!(
                    "{who} get the field `{field}` as `{key}` has it: there are no variables \
                     but those of the environment, `${{NAME}}`"
                );
                repeated.add(format!("routes.{route}"), others, message);
            }
        }
        repeated.lines()
    }

    /// `ws` and `wss` origins, which no page has, without the origin of the page.
    fn origins_of_sockets(&self) -> impl Iterator<Item = String> + use<> {
        let lists =
            self.routes
                .iter()
                .filter_map(|(name, route)| match &route.target.pool()?.origins {
                    Origins::List(list) if !list.allow_same => Some((name, &list.allow)),
                    Origins::List(_) | Origins::Any => None,
                });
        let mut repeated = Repeated::default();
        for (route, others, allowed) in shared(lists) {
            let pages = allowed.iter();
            let pages = pages.filter_map(|origin| Some((origin, origin.page_of_socket()?)));
            let is_alone =
                |(_, page): &(_, Origin)| allowed.matching_on_any_port(page).next().is_none();
            for (origin, page) in pages.filter(is_alone) {
                let message = format!(
                    "no page has the origin `{origin}`, though some clients that are no browsers \
                     send it (Starscream): to let pages in, add `{page}`"
                );
                repeated.add(format!("routes.{route}.origins"), others, message);
            }
        }
        repeated.lines()
    }

    /// Redirects to the place that was asked for, where nothing else answers there. A route that is on listeners of one kind only
    /// may lead from one port to another.
    fn circles(&self) -> impl Iterator<Item = String> + use<> {
        let place = |route: &Route| (route.matcher.path.clone(), route.matcher.exact);
        let is_answer = |route: &&Route| !matches!(route.target, Target::Redirect(_));
        let answers: HashSet<_> = self.routes.values().filter(is_answer).map(place).collect();
        let mut repeated = Repeated::default();
        for (name, route) in &self.routes {
            let Target::Redirect(redirect) = &route.target else {
                continue;
            };
            let with_tls = match redirect.to_same_place() {
                Some("https://") => true,
                Some("http://") => false,
                _ => continue,
            };
            let listeners = self.listeners.iter();
            let of_route = listeners.filter(|(name, _)| route.matcher.is_on(name));
            let (secure, plain): (Vec<_>, Vec<_>) = of_route
                .filter(|(_, it)| it.tls.is_some() || is_reached_without_tls(it))
                .partition(|(_, it)| it.tls.is_some());
            let (same, others) = if with_tls {
                (secure, plain)
            } else {
                (plain, secure)
            };
            if let ([(listener, _), ..], [_, ..]) = (&same[..], &others[..])
                && !answers.contains(&place(route))
            {
                let message = format!(
                    "clients of the listener `{listener}` are sent back to where they are: name the others in `match.listeners`"
                );
                repeated.add(format!("routes.{name}.redirect"), 0, message);
            }
        }
        repeated.lines()
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
        let warning = move |(listener, _): (&Name, &Listener)| {
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
        listeners.filter_map(warning)
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

/// WebSocket checks of a pool to which no route sends sessions.
fn checks_without_sessions(
    (name, pool): (&Name, &Pool),
    sessions: &BTreeMap<&Name, bool>,
) -> Option<String> {
    let active = pool.health.active.as_ref()?;
    let is_vain = matches!(active.check, Check::WebSocket(_)) && sessions.get(name) == Some(&false);
    is_vain.then(|| {
        format!(
            "pools.{name}.health.active: checks open WebSocket sessions, which no route to the pool takes: \
             backends that have none are down; `type: http` and `type: tcp` do without"
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

/// Whether there is one as nginx, HAProxy or Envoy write them, or the value is one of Caddy.
fn has_foreign_variable(value: &str) -> bool {
    let is_marked = |part: &[u8]| {
        matches!(
            part,
            [b'$', b'a'..=b'z', b'a'..=b'z' | b'_'] | [b'%', b'[', _]
        )
    };
    // Shorter ones may be bytes in percent-encoding.
    let is_envoys = |part: &str| {
        let name = part.find('(').map_or(part, |end| &part[..end]);
        name.len() > 2 && (name.bytes()).all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let is_caddys = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || b"_.".contains(&byte);
        !name.is_empty() && name.bytes().all(is_part)
    };
    let parts = value.split('%');
    let mut between = parts.clone().skip(1).zip(parts.skip(2));
    value.as_bytes().windows(3).any(is_marked)
        || between.any(|(part, _)| is_envoys(part))
        || (value
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}')))
        .is_some_and(is_caddys)
}

/// Lists of routes, each with the first route that has it and the number of others: what is inherited is looked at once.
fn shared<'c, T, L: Deref<Target = [T]> + 'c>(
    lists: impl Iterator<Item = (&'c Name, &'c L)>,
) -> impl Iterator<Item = (&'c Name, usize, &'c L)> {
    let (mut known, mut shared) = (HashMap::new(), Vec::new());
    for (route, list) in lists {
        match known.entry(list.as_ptr()) {
            Entry::Vacant(entry) => {
                entry.insert(shared.len());
                shared.push((route, 0, list));
            }
            Entry::Occupied(entry) => shared[*entry.get()].1 += 1,
        }
    }
    shared.into_iter()
}

/// Warnings of which many routes may cause the same, often by what they inherit.
#[derive(Default)]
struct Repeated(BTreeMap<String, (String, usize)>);

impl Repeated {
    /// Adds a warning about the key at `path` and those of `others` more routes.
    fn add(&mut self, path: String, others: usize, message: String) {
        self.0
            .entry(message)
            .and_modify(|(_, more)| *more += 1 + others)
            .or_insert((path, others));
    }

    /// One line for each message, with the path of the first route.
    fn lines(self) -> impl Iterator<Item = String> {
        let lines = self.0.into_iter();
        lines.map(|(message, (path, more))| match more {
            0 => format!("{path}: {message}"),
            _ => format!("{path} (and {more} more): {message}"),
        })
    }
}
