//! Builds a snapshot from a configuration and the previous snapshot, whose live state is carried over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::{
    Departed, Found, PoolTarget, Route, Snapshot, Target, Transports, addresses, departed_from,
};
use crate::config::{self, Config, FieldRules, Name};
use crate::listener::{Settings, Throttle};
use crate::route::RouteTable;
use crate::telemetry::{CertificateMetrics, Metrics};
use crate::tls::{ClientTls, Material, ServerTls};
use crate::tunnel::{Terms, Words};
use crate::upstream::{Backend, Member, Pool, Queue, Transport};
use crate::websocket::CloseCode;

impl Snapshot {
    /// Builds the snapshot of `config`; live state is carried over from `previous`.
    #[must_use]
    pub fn build(
        config: Config,
        mut tls: Material,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Self {
        let mut certificates = certificate_metrics(&tls.listeners, metrics);
        certificates.extend(pool_certificate_metrics(&tls.pools, metrics));
        let transports = build_transports(&config, tls.pools, previous);
        let found = previous.map_or_else(BTreeMap::new, |previous| still_wanted(&config, previous));
        let before = |name| previous.and_then(|previous| previous.listeners.get(name));
        let listeners = config
            .listeners
            .iter()
            .map(|(name, listener)| {
                (
                    Arc::clone(name),
                    settings(listener, tls.listeners.remove(name), before(name)),
                )
            })
            .collect();
        let (generation, since) = match previous {
            // Only certificates have changed.
            Some(previous) if previous.config == config => (previous.generation, previous.since),
            Some(previous) => (previous.generation + 1, SystemTime::now()),
            None => (1, SystemTime::now()),
        };
        let bare = Self {
            generation,
            since,
            config,
            table: RouteTable::new([]),
            routes: BTreeMap::new(),
            pools: BTreeMap::new(),
            transports,
            found,
            listeners,
            _certificates: certificates,
            departed: Departed::new(),
        };
        bare.furnish(metrics, previous)
    }

    /// The same configuration with other backends in pools with discovery.
    #[must_use]
    pub fn with_found(
        &self,
        changed: impl IntoIterator<Item = (Name, Vec<config::Backend>)>,
        metrics: &Metrics,
    ) -> Self {
        let mut next = self.clone();
        next.found.extend(changed);
        next.furnish(metrics, Some(self))
    }

    /// Builds the pools and the routes that lead to them, whatever they were before.
    fn furnish(mut self, metrics: &Metrics, previous: Option<&Self>) -> Self {
        self.pools = self.build_pools(metrics, previous);
        self.departed = previous.map_or_else(Departed::new, |previous| departed(previous, &self));
        self.routes = build_routes(&self.config, &self.pools, metrics, previous);
        self.table = table(&self.config, &self.routes);
        self
    }

    fn build_pools(&self, metrics: &Metrics, previous: Option<&Self>) -> BTreeMap<Name, Arc<Pool>> {
        let build = |(name, pool): (&Name, &config::Pool)| {
            let before = previous.and_then(|previous| previous.pools.get(name));
            if let (Some(previous), Some(before)) = (previous, before)
                && previous.config.pools.get(name) == Some(pool)
                && Arc::ptr_eq(&previous.transports[name], &self.transports[name])
                && previous.found.get(name) == self.found.get(name)
            {
                return (Arc::clone(name), Arc::clone(before));
            }
            let transport = &self.transports[name];
            let backends = self.found.get(name).unwrap_or(&pool.backends);
            let before = before.map(Arc::as_ref);
            let queue = before.map(Pool::queue).cloned();
            let queue = queue.or_else(|| previous.and_then(|previous| queue_left(previous, name)));
            let queue = queue.unwrap_or_default();
            let live = previous.into_iter().flat_map(|it| live_backends(it, name));
            let live: HashMap<_, _> = live.map(|it| (it.address().clone(), it)).collect();
            let members = backends.iter().map(|backend| {
                let address = &backend.address;
                let live = live.get(address).cloned();
                let live = live.unwrap_or_else(|| new_backend(address, &queue, before));
                let metrics = metrics.member(name, &backend.name);
                Member::new(
                    backend,
                    pool.slow_start,
                    live,
                    metrics,
                    Arc::clone(transport),
                )
            });
            let members = members.collect();
            let pool = Pool::new(pool, members, queue, metrics.pool(name), before);
            (Arc::clone(name), Arc::new(pool))
        };
        self.config.pools.iter().map(build).collect()
    }
}

fn settings(
    listener: &config::Listener,
    tls: Option<ServerTls>,
    before: Option<&Arc<Settings>>,
) -> Arc<Settings> {
    let throttle = before.map_or_else(
        || Arc::new(Throttle::new(&listener.limits)),
        |before| Arc::clone(&before.throttle),
    );
    Arc::new(Settings {
        trusted_proxies: listener.trusted_proxies.clone(),
        proxy_protocol: listener.proxy_protocol,
        access: listener.access.clone(),
        tls,
        h2c: listener.h2c,
        timeouts: listener.timeouts.clone(),
        limits: listener.limits.clone(),
        throttle,
    })
}

fn certificate_metrics(
    tls: &BTreeMap<Name, ServerTls>,
    metrics: &Metrics,
) -> Vec<Arc<CertificateMetrics>> {
    // Of certificates with the same name, the earliest expiry counts, as all of them are served.
    let mut ends = BTreeMap::new();
    for (listener, tls) in tls {
        for certificate in &tls.certificates {
            let not_after = *certificate.chain_validity.end();
            let end = ends
                .entry((listener, &certificate.name))
                .or_insert(not_after);
            *end = (*end).min(not_after);
        }
    }
    let shown = ends.into_iter().map(|((listener, name), end)| {
        let handle = metrics.certificate(listener, &Name::from(name.as_str()));
        handle.set_not_after(end);
        handle
    });
    shown.collect()
}

fn pool_certificate_metrics(
    tls: &BTreeMap<Name, ClientTls>,
    metrics: &Metrics,
) -> impl Iterator<Item = Arc<CertificateMetrics>> {
    tls.iter().filter_map(|(pool, tls)| {
        let certificate = tls.certificate.as_ref()?;
        let handle = metrics.pool_certificate(pool, &Name::from(certificate.name.as_str()));
        handle.set_not_after(*certificate.chain_validity.end());
        Some(handle)
    })
}

fn table(config: &Config, routes: &BTreeMap<Name, Arc<Route>>) -> RouteTable<Arc<Route>> {
    let matchers = config.routes.values().map(|route| route.matcher.clone());
    RouteTable::new(matchers.zip(routes.values().cloned()))
}

fn build_routes(
    config: &Config,
    pools: &BTreeMap<Name, Arc<Pool>>,
    metrics: &Metrics,
    previous: Option<&Snapshot>,
) -> BTreeMap<Name, Arc<Route>> {
    let build = |(name, route): (&Name, &config::Route)| {
        let before = previous.and_then(|previous| previous.routes.get(name));
        let (target, pool) = match &route.target {
            config::Target::Redirect(redirect) => (Target::Redirect(redirect.clone()), None),
            config::Target::Respond(answer) => (Target::Respond(answer.clone()), None),
            config::Target::Pool(target) => {
                let to = PoolTarget {
                    pool: Arc::clone(&pools[&target.pool]),
                    takes_websocket: target.takes_websocket,
                    http: target.http.clone(),
                    headers: target.headers.clone(),
                    prefix: prefix(route, target),
                    added_prefix: target.add_prefix.clone(),
                    origins: target.origins.clone(),
                    timeouts: target.timeouts,
                    terms: Arc::new(terms(target, &config.drain)),
                };
                (Target::Pool(Box::new(to)), Some(&target.pool))
            }
        };
        let metrics = metrics.route(name, pool);
        if let Target::Pool(to) = &target {
            let terms = &to.terms;
            metrics.expect_codes(terms.websocket.backend_lost_code, terms.drain.code.number());
        }
        let is_said = route.answer != FieldRules::default();
        let route = Route {
            target,
            answer: is_said.then(|| Arc::new(route.answer.clone())),
            metrics,
            drain: before.map_or_else(Arc::default, |before| Arc::clone(&before.drain)),
        };
        (Arc::clone(name), Arc::new(route))
    };
    config.routes.iter().map(build).collect()
}

/// The prefix that the route strips.
fn prefix(route: &config::Route, target: &config::PoolTarget) -> Option<String> {
    let prefix = route.matcher.path.trim_end_matches('/');
    let is_stripped = target.strip_prefix && !prefix.is_empty();
    is_stripped.then(|| prefix.to_owned())
}

/// The backends that pools with discovery start with: those they had before, found or configured, until the first answer for
/// the new settings. `max_sessions` is the new one. Backends that spoke TLS are dropped if TLS is off now.
fn still_wanted(config: &Config, previous: &Snapshot) -> Found {
    let kept = |(name, pool): (&Name, &config::Pool)| {
        let discovery = pool.discovery.as_ref()?;
        let named = || previous.config.pools.get(name).map(|it| &it.backends);
        let backends = previous.found.get(name).or_else(named)?.iter();
        let backends = backends.filter(|it| discovery.tls || !it.address.is_tls());
        let as_said = |it: &config::Backend| config::Backend {
            max_sessions: discovery.max_sessions,
            ..it.clone()
        };
        let backends: Vec<_> = backends.map(as_said).collect();
        (!backends.is_empty()).then(|| (Arc::clone(name), backends))
    };
    config.pools.iter().filter_map(kept).collect()
}

/// Transports whose settings have not changed are kept, so that idle connections that they opened, and look-ups under way, still
/// serve.
fn build_transports(
    config: &Config,
    mut tls: BTreeMap<Name, ClientTls>,
    previous: Option<&Snapshot>,
) -> Transports {
    let build = |(name, pool): (&Name, &config::Pool)| {
        let tls = tls.remove(name);
        let kept = previous.and_then(|previous| {
            let before = previous.config.pools.get(name)?;
            let kept = previous.transports.get(name)?;
            let is_same = before.transport == pool.transport
                && kept.fingerprint() == tls.as_ref().map(|tls| tls.fingerprint);
            is_same.then(|| Arc::clone(kept))
        });
        let transport = kept.unwrap_or_else(|| Arc::new(Transport::new(&pool.transport, tls)));
        (Arc::clone(name), transport)
    };
    config.pools.iter().map(build).collect()
}

/// The backends of a pool, and those that left it and still have sessions.
fn live_backends(snapshot: &Snapshot, pool: &Name) -> impl Iterator<Item = Arc<Backend>> {
    let members = snapshot.pools.get(pool).into_iter();
    let members = members.flat_map(|pool| pool.members());
    let backends = members.map(|member| Arc::clone(member.backend()));
    departed_from(snapshot, pool).chain(backends)
}

/// The queue of departed backends that a pool of this name once had.
fn queue_left(previous: &Snapshot, pool: &Name) -> Option<Arc<Queue>> {
    let backend = departed_from(previous, pool).next()?;
    Some(Arc::clone(backend.queue()))
}

/// The backends that had left before, and those that leave now.
fn departed(previous: &Snapshot, now: &Snapshot) -> Departed {
    let names = previous.pools.keys().chain(previous.departed.keys());
    let left = names.map(|name| {
        let kept = addresses(now, name);
        let known = live_backends(previous, name);
        let left = known.filter(|backend| !kept.contains(backend.address()));
        (
            Arc::clone(name),
            left.map(|it| Arc::downgrade(&it)).collect(),
        )
    });
    left.filter(|(_, left): &(_, Vec<_>)| !left.is_empty())
        .collect()
}

/// A new backend. If `before` had backends, its slow start begins now; the first backends of a pool share the sessions evenly
/// at once.
fn new_backend(
    address: &config::BackendAddress,
    queue: &Arc<Queue>,
    before: Option<&Pool>,
) -> Arc<Backend> {
    let backend = Backend::new(address.clone(), queue);
    if before.is_some_and(|before| !before.members().is_empty()) {
        backend.became_ready(Instant::now());
    }
    Arc::new(backend)
}

fn terms(target: &config::PoolTarget, drain: &config::Drain) -> Terms {
    Terms {
        close: target.timeouts.close,
        half_close: target.timeouts.half_close,
        websocket: target.websocket,
        drain: Words {
            code: CloseCode::new(drain.close_code).unwrap_or(CloseCode::SERVICE_RESTART),
            reason: drain.reason.clone(),
        },
    }
}
