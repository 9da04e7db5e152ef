//! The configuration in force: routes, pools and listener settings, built as a whole and swapped as a whole.
//!
//! A request takes one [`Snapshot`] and keeps it. State that outlives a configuration (session counts, drains, round-robin
//! positions) is behind `Arc`, and is carried over to the next snapshot by its identity; see `build`.

mod build;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::config::{
    self, Config, FieldRules, FixedAnswer, HeaderRules, Http, Name, Origins, Redirect,
    SessionTimeouts,
};
use crate::drain::{Drain, Stage};
use crate::listener::Settings;
use crate::route::RouteTable;
use crate::telemetry::{CertificateMetrics, RouteMetrics};
use crate::tunnel::Terms;
use crate::upstream::{Backend, Member, Pool, Transport};

/// An immutable view of all that a configuration decides.
#[derive(Clone)]
pub struct Snapshot {
    /// The number of configurations that have been in force, from 1.
    pub generation: u64,
    /// When it came into force.
    pub since: SystemTime,
    /// The configuration it was built from.
    pub config: Config,
    /// The route table.
    pub table: RouteTable<Arc<Route>>,
    /// All routes by name.
    pub routes: BTreeMap<Name, Arc<Route>>,
    /// All pools by name.
    pub pools: BTreeMap<Name, Arc<Pool>>,
    /// How the backends of each pool are reached, by the pool's name.
    pub transports: Transports,
    /// The backends found by discovery, by the pool's name.
    pub found: Found,
    /// The settings of each listener for new connections.
    pub listeners: BTreeMap<Name, Arc<Settings>>,
    /// Kept so that their metrics stay registered.
    _certificates: Vec<Arc<CertificateMetrics>>,
    departed: Departed,
}

/// How the backends of each pool are reached.
type Transports = BTreeMap<Name, Arc<Transport>>;
/// The backends of each pool with discovery, once there was an answer.
type Found = BTreeMap<Name, Vec<config::Backend>>;
/// Backends of earlier configurations that may still have sessions, by the pool's name. `Weak`, so that they are freed with
/// their last session.
type Departed = BTreeMap<Name, Vec<Weak<Backend>>>;

/// A route and what it leads to.
pub struct Route {
    /// What answers.
    pub target: Target,
    /// The header rules for its answers; `None` if there are none.
    pub answer: Option<Arc<FieldRules>>,
    /// The metrics of the route, with its name.
    pub metrics: Arc<RouteMetrics>,
    drain: Arc<Drain>,
}

/// What answers a route's requests.
pub enum Target {
    /// WebSocket sessions and plain HTTP requests to a pool.
    Pool(Box<PoolTarget>),
    /// A fixed answer.
    Respond(FixedAnswer),
    /// A redirect.
    Redirect(Redirect),
}

/// WebSocket sessions and plain HTTP requests to a pool.
pub struct PoolTarget {
    /// The pool.
    pub pool: Arc<Pool>,
    /// Whether WebSocket sessions are accepted.
    pub takes_websocket: bool,
    /// The settings for plain HTTP requests; `None` if they are not accepted.
    pub http: Option<Http>,
    /// The header rules for requests to backends.
    pub headers: HeaderRules,
    /// The prefix that is stripped from a path; `None` for none.
    pub prefix: Option<String>,
    /// The prefix that is added after that.
    pub added_prefix: Option<String>,
    /// Which origins may open sessions.
    pub origins: Origins,
    /// Deadlines of an opening handshake.
    pub timeouts: SessionTimeouts,
    /// Limits and timeouts of the tunnels.
    pub terms: Arc<Terms>,
}

impl Target {
    /// Whether plain HTTP requests are accepted.
    #[must_use]
    pub fn takes_http(&self) -> bool {
        match self {
            Self::Pool(target) => target.http.is_some(),
            Self::Respond(_) | Self::Redirect(_) => true,
        }
    }

    /// Whether it accepts plain requests (`is_plain`), or opening handshakes.
    #[must_use]
    pub fn takes(&self, is_plain: bool) -> bool {
        match self {
            Self::Pool(target) if !is_plain => target.takes_websocket,
            Self::Pool(_) | Self::Respond(_) | Self::Redirect(_) => self.takes_http(),
        }
    }
}

impl Route {
    /// Whether it is draining and gets no new sessions.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.stage() != Stage::Open
    }

    /// The drain that begins when the route is drained or removed.
    #[must_use]
    pub fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }
}

impl Snapshot {
    /// The backend `backend` of the pool `pool`.
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

    /// Takes the backends and routes out of service that are in `previous` but not here; returns their drains.
    pub fn retire<'a>(&'a self, previous: &'a Self) -> impl Iterator<Item = Arc<Drain>> + 'a {
        let routes = previous
            .routes
            .iter()
            .filter(|(name, _)| !self.routes.contains_key(*name))
            .map(|(_, route)| Arc::clone(&route.drain));
        let backends = previous.pools.iter().flat_map(|(name, pool)| {
            let kept = addresses(self, name);
            let members = pool.members().iter();
            members.filter(move |member| !kept.contains(member.address()))
        });
        let backends = backends.map(Member::remove);
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

    /// The snapshot in force; to be kept for the life of a request.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts `snapshot` in force. Only one task may call this.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        let previous = self.load();
        for (name, pool) in &snapshot.pools {
            pool.take_back();
            // Before the swap, so that no request of the new pool turns to the old one.
            if let Some(before) = previous.pools.get(name) {
                before.hand_over(pool);
            }
        }
        for settings in snapshot.listeners.values() {
            settings.throttle.adjust(&settings.limits);
        }
        self.0.store(snapshot);
    }
}

/// The addresses of a pool's backends, which identify them.
fn addresses<'a>(snapshot: &'a Snapshot, pool: &Name) -> HashSet<&'a config::BackendAddress> {
    let members = snapshot.pools.get(pool).into_iter();
    let members = members.flat_map(|pool| pool.members());
    members.map(Member::address).collect()
}

/// Departed backends of the pool of this name that still have sessions.
fn departed_from(snapshot: &Snapshot, pool: &Name) -> impl Iterator<Item = Arc<Backend>> {
    let departed = snapshot.departed.get(pool).into_iter().flatten();
    departed.filter_map(Weak::upgrade)
}
