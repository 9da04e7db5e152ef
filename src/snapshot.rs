//! What is in force: routes, pools and listener settings, built whole and swapped whole.
//!
//! A request takes one [`Snapshot`] and keeps it. What lives longer than a configuration (session counts,
//! drains, the place of a round) stands behind `Arc` and is carried from one snapshot to the next by its
//! identity.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::config::{
    self, Config, FixedAnswer, HeaderRules, Http, Name, Origins, Redirect, SessionTimeouts,
};
use crate::drain::{Drain, DrainWatch, Stage};
use crate::listener::{Settings, Throttle};
use crate::route::RouteTable;
use crate::telemetry::{CertificateMetrics, Metrics, RouteMetrics};
use crate::tls::{ClientTls, Material, ServerTls};
use crate::tunnel::{Terms, Words};
use crate::upstream::{Backend, Member, Pool, Queue, Transport};
use crate::websocket::CloseCode;

/// An immutable view of everything that a configuration decides.
pub struct Snapshot {
    /// Counts the configurations that were in force, from 1.
    pub generation: u64,
    /// When it came into force.
    pub since: SystemTime,
    /// The configuration it was built from.
    pub config: Config,
    /// Which route answers.
    pub table: RouteTable<Arc<Route>>,
    /// All routes by name.
    pub routes: BTreeMap<Name, Arc<Route>>,
    /// All pools by name.
    pub pools: BTreeMap<Name, Arc<Pool>>,
    /// How the backends of each pool are reached, by the pool's name.
    pub transports: Transports,
    /// The backends that were discovered, by the pool's name.
    pub found: Found,
    /// What each listener does with new connections.
    pub listeners: BTreeMap<Name, Arc<Settings>>,
    _certificates: Vec<Arc<CertificateMetrics>>,
}

/// How the backends of each pool are reached.
type Transports = BTreeMap<Name, Arc<Transport>>;
/// The backends of each pool whose backends are discovered, once there was an answer.
type Found = BTreeMap<Name, Vec<config::Backend>>;

/// A route and what it leads to.
pub struct Route {
    /// What answers.
    pub target: Target,
    /// What is counted of it; it knows the route's name.
    pub metrics: Arc<RouteMetrics>,
    drain: Arc<Drain>,
}

/// What answers a route's requests.
pub enum Target {
    /// WebSocket sessions and plain HTTP requests to a pool.
    Pool(Box<PoolTarget>),
    /// A fixed answer.
    Respond(FixedAnswer),
    /// The name of another place.
    Redirect(Redirect),
}

/// WebSocket sessions and plain HTTP requests to a pool.
pub struct PoolTarget {
    /// The pool.
    pub pool: Arc<Pool>,
    /// Whether WebSocket sessions are taken.
    pub takes_websocket: bool,
    /// What holds for plain HTTP requests; `None` where they are not taken.
    pub http: Option<Http>,
    /// What is said to backends in fields.
    pub headers: HeaderRules,
    /// What is taken off a path before it goes to a backend; `None` where nothing is.
    pub prefix: Option<String>,
    /// Which origins may open sessions.
    pub origins: Origins,
    /// Deadlines of an opening handshake.
    pub timeouts: SessionTimeouts,
    /// What holds for the tunnels.
    pub terms: Arc<Terms>,
}

impl Target {
    /// Whether plain HTTP requests are taken.
    #[must_use]
    pub fn takes_http(&self) -> bool {
        match self {
            Self::Pool(target) => target.http.is_some(),
            Self::Respond(_) | Self::Redirect(_) => true,
        }
    }
}

impl Route {
    /// Whether it takes no new sessions.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.stage() != Stage::Open
    }

    /// Joins those who hear when the route is removed.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        self.drain.watch()
    }
}

impl Snapshot {
    /// Builds what `config` says. Live state of what was there before is taken from `previous`.
    #[must_use]
    pub fn build(
        config: Config,
        mut tls: Material,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Self {
        let certificates = certificate_metrics(&tls.listeners, metrics);
        let transports = build_transports(&config, tls.pools, previous);
        let found = previous.map_or_else(BTreeMap::new, |previous| still_wanted(&config, previous));
        let pools = build_pools(&config, (&transports, &found), metrics, previous);
        let routes = build_routes(&config, &pools, metrics, previous);
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
        Self {
            generation: previous.map_or(1, |previous| previous.generation + 1),
            since: SystemTime::now(),
            table: table(&config, &routes),
            config,
            routes,
            pools,
            transports,
            found,
            listeners,
            _certificates: certificates,
        }
    }

    /// The same configuration with other backends in a pool whose backends are discovered.
    #[must_use]
    pub fn with_found(
        &self,
        pool: &Name,
        backends: Vec<config::Backend>,
        metrics: &Metrics,
    ) -> Self {
        let config = self.config.clone();
        let transports = self.transports.clone();
        let mut found = self.found.clone();
        found.insert(Arc::clone(pool), backends);
        let pools = build_pools(&config, (&transports, &found), metrics, Some(self));
        let routes = build_routes(&config, &pools, metrics, Some(self));
        Self {
            generation: self.generation,
            since: self.since,
            table: table(&config, &routes),
            config,
            routes,
            pools,
            transports,
            found,
            listeners: self.listeners.clone(),
            _certificates: self._certificates.clone(),
        }
    }

    /// What ends the sessions of a route.
    #[must_use]
    pub fn route_drain(&self, name: &str) -> Option<Arc<Drain>> {
        self.routes.get(name).map(|route| Arc::clone(&route.drain))
    }

    /// The backend of this name in the pool of that name.
    #[must_use]
    pub fn member(&self, pool: &str, backend: &str) -> Option<(&Pool, &Member)> {
        let pool = self.pools.get(pool)?;
        let member = pool.members().iter().find(|it| **it.name() == *backend)?;
        Some((pool, member))
    }

    /// The backends of this name, one in each pool that has it.
    pub fn members<'a>(&'a self, backend: &'a str) -> impl Iterator<Item = (&'a Pool, &'a Member)> {
        let pools = self.pools.keys();
        pools.filter_map(move |pool| self.member(pool, backend))
    }

    /// Takes the backends and routes of `previous` out of service that are no longer here; what ends their
    /// sessions.
    pub fn retire<'a>(&'a self, previous: &'a Self) -> impl Iterator<Item = Arc<Drain>> + 'a {
        let routes = previous
            .routes
            .iter()
            .filter(|(name, _)| !self.routes.contains_key(*name))
            .map(|(_, route)| Arc::clone(&route.drain));
        let backends = previous
            .pools
            .iter()
            .flat_map(|(name, pool)| pool.members().iter().map(move |member| (name, member)))
            .filter(|(name, member)| find_backend(self, name, member.address()).is_none())
            .map(|(_, member)| member.remove());
        routes.chain(backends)
    }
}

/// The snapshot in force.
pub struct Current(ArcSwap<Snapshot>);

impl Current {
    /// Puts the first snapshot in force.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(ArcSwap::new(snapshot))
    }

    /// The snapshot in force now; to be kept for the life of a request.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts `snapshot` in force.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        let previous = self.0.swap(Arc::clone(&snapshot));
        for (name, pool) in &previous.pools {
            if let Some(successor) = snapshot.pools.get(name) {
                pool.hand_over(successor);
            }
        }
    }
}

fn settings(
    listener: &config::Listener,
    tls: Option<ServerTls>,
    before: Option<&Arc<Settings>>,
) -> Arc<Settings> {
    let kept = before.filter(|before| before.limits == listener.limits);
    let throttle = kept.map_or_else(
        || Arc::new(Throttle::new(&listener.limits)),
        |kept| Arc::clone(&kept.throttle),
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
    let mut all = Vec::new();
    for (listener, tls) in tls {
        for certificate in &tls.certificates {
            let handle = metrics.certificate(listener, &Name::from(certificate.name.as_str()));
            handle.set_not_after(certificate.not_after);
            all.push(handle);
        }
    }
    all
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
                    origins: target.origins.clone(),
                    timeouts: target.timeouts,
                    terms: Arc::new(terms(target, &config.drain)),
                };
                (Target::Pool(Box::new(to)), Some(&target.pool))
            }
        };
        let route = Route {
            target,
            metrics: metrics.route(name, pool),
            drain: before.map_or_else(Arc::default, |before| Arc::clone(&before.drain)),
        };
        (Arc::clone(name), Arc::new(route))
    };
    config.routes.iter().map(build).collect()
}

/// What of a path belongs to the route alone.
fn prefix(route: &config::Route, target: &config::PoolTarget) -> Option<String> {
    let prefix = route.matcher.path.trim_end_matches('/');
    let is_stripped = target.strip_prefix && !prefix.is_empty();
    is_stripped.then(|| prefix.to_owned())
}

/// What was found before, for pools whose backends are still discovered. Where something else is asked for by now,
/// it holds until there is an answer.
fn still_wanted(config: &Config, previous: &Snapshot) -> Found {
    let is_wanted = |name: &Name| {
        let pool = config.pools.get(name);
        pool.is_some_and(|pool| pool.discovery.is_some())
    };
    let found = previous.found.iter().filter(|(name, _)| is_wanted(name));
    found
        .map(|(name, backends)| (Arc::clone(name), backends.clone()))
        .collect()
}

/// Those of pools that are reached as before are kept, with what their TLS sessions know.
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

fn build_pools(
    config: &Config,
    (transports, found): (&Transports, &Found),
    metrics: &Metrics,
    previous: Option<&Snapshot>,
) -> BTreeMap<Name, Arc<Pool>> {
    let build = |(name, pool): (&Name, &config::Pool)| {
        let before = previous.and_then(|previous| previous.pools.get(name));
        if let (Some(previous), Some(before)) = (previous, before)
            && previous.config.pools.get(name) == Some(pool)
            && Arc::ptr_eq(&previous.transports[name], &transports[name])
            && previous.found.get(name) == found.get(name)
        {
            return (Arc::clone(name), Arc::clone(before));
        }
        let transport = &transports[name];
        let backends = found.get(name).unwrap_or(&pool.backends);
        let before = before.map(Arc::as_ref);
        let queue = before.map(Pool::queue).cloned().unwrap_or_default();
        let members = backends.iter().map(|backend| {
            let live = previous.and_then(|previous| find_backend(previous, name, &backend.address));
            let live = live.unwrap_or_else(|| new_backend(&backend.address, &queue, before));
            let metrics = metrics.backend(name, &backend.name);
            Member::new(
                backend,
                pool.slow_start,
                live,
                metrics,
                Arc::clone(transport),
            )
        });
        let pool = Pool::new(name, pool, members.collect(), metrics.pool(name), before);
        (Arc::clone(name), Arc::new(pool))
    };
    config.pools.iter().map(build).collect()
}

/// A backend that joins those of `before`. Where there were none, it is one of those that a pool begins with, and they
/// share its sessions at once.
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

/// The backend with this identity: the pool's name and the address.
fn find_backend(
    snapshot: &Snapshot,
    pool: &Name,
    address: &config::BackendAddress,
) -> Option<Arc<Backend>> {
    let members = snapshot.pools.get(pool)?.members();
    let member = members.iter().find(|member| member.address() == address)?;
    Some(Arc::clone(member.backend()))
}
