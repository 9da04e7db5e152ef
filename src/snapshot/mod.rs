//! What is in force: routes, pools and listener settings, built whole and swapped whole.
//!
//! A request takes one [`Snapshot`] and keeps it. What lives longer than a configuration (session counts,
//! drains, the place of a round) stands behind `Arc` and is carried from one snapshot to the next by its
//! identity. How one is built from the other is in `build`.

mod build;

use std::collections::BTreeMap;
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
    /// Held so that their series stay.
    certificates: Vec<Arc<CertificateMetrics>>,
    departed: Departed,
}

/// How the backends of each pool are reached.
type Transports = BTreeMap<Name, Arc<Transport>>;
/// The backends of each pool whose backends are discovered, once there was an answer.
type Found = BTreeMap<Name, Vec<config::Backend>>;
/// Backends of earlier configurations that may still have sessions, by the pool's name. Only pointed at: they are gone with
/// the last of what they have.
type Departed = Vec<(Name, Weak<Backend>)>;

/// A route and what it leads to.
pub struct Route {
    /// What answers.
    pub target: Target,
    /// What its answers say to clients in fields; `None` where it says nothing of that.
    pub answer: Option<Arc<FieldRules>>,
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
    /// What is put before it then.
    pub added_prefix: Option<String>,
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

    /// Whether it takes plain requests, or else opening handshakes.
    #[must_use]
    pub fn takes(&self, is_plain: bool) -> bool {
        match self {
            Self::Pool(target) if !is_plain => target.takes_websocket,
            Self::Pool(_) | Self::Respond(_) | Self::Redirect(_) => self.takes_http(),
        }
    }
}

impl Route {
    /// Whether it takes no new sessions.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.stage() != Stage::Open
    }

    /// What begins when the route is drained or removed.
    #[must_use]
    pub fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }
}

impl Snapshot {
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

    /// Puts `snapshot` in force. There is one who does.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        let previous = self.load();
        for (name, pool) in &snapshot.pools {
            pool.take_back();
            // Before anybody can find it: none of its requests is to turn to the pool before it.
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

/// What is left of the backends that a pool of this name once had.
fn departed_from<'a>(
    snapshot: &'a Snapshot,
    pool: &'a Name,
) -> impl Iterator<Item = Arc<Backend>> + 'a {
    let departed = snapshot.departed.iter();
    departed
        .filter(move |(from, _)| from == pool)
        .filter_map(|(_, backend)| backend.upgrade())
}
