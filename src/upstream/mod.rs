//! The backend side: pools, their backends, and the way to one of them.

mod asked;
mod backend;
mod balancer;
mod candidates;
mod check;
mod condition;
mod connect;
mod connection;
mod cookie;
mod failure;
mod fault;
#[cfg(test)]
mod fixtures;
mod forward;
mod handshake;
mod health;
mod idle;
mod in_force;
mod judge;
mod known_hosts;
mod last_words;
mod lookup;
mod open;
mod progress;
mod queue;
mod rebalance;
mod replay;
mod secure;
#[cfg(test)]
mod simulation;
mod slow_start;
mod source;
mod steering;
mod sticky;
mod transport;
mod upload;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use crate::config::{self, HashKey, Name, Strategy};
use crate::mutex::lock;
use crate::telemetry::PoolMetrics;
pub use backend::{Backend, Lease, Member};
pub use balancer::Purpose;
use balancer::{Balancer, Field, key_of};
pub use candidates::{Candidate, Candidates, Hints};
pub use condition::{Change, LastCheck, Standing};
pub use cookie::without_cookie;
pub use failure::Failure;
pub use forward::{Answered, Errand, ErrandTimeouts, Source};
pub use handshake::{Opening, RequestHead, Switched};
pub use health::State;
use in_force::InForce;
pub use open::Opened;
pub use queue::Queue;
use rebalance::Rebalance;
pub use steering::Paced;
use sticky::{Claimed, Sticky};
pub use transport::Transport;
pub use upload::BodyProgress;

/// The most bytes in the head of a backend's answer, to an opening handshake or a plain request.
const ANSWER_HEAD: usize = 64 * 1024;

/// Backends behind routes, and how sessions are spread over them.
pub struct Pool {
    name: Name,
    attempts: usize,
    members: Vec<Member>,
    /// The priorities of its members, the best first.
    priorities: Vec<u16>,
    /// What the strategy `hash` hashes.
    hash_key: Option<HashKey>,
    /// Locked for each choice, once per candidate.
    balancer: Mutex<Balancer>,
    sticky: Option<Sticky>,
    queue: Arc<Queue>,
    queue_limits: config::Queue,
    health: config::Health,
    /// When ejections were last reconsidered; locked while an ejection is decided.
    ejecting: Mutex<Option<Instant>>,
    rebalance: Rebalance,
    metrics: Arc<PoolMetrics>,
    in_force: Arc<InForce>,
}

impl Pool {
    /// A pool of `members`, all of whose backends know `queue`. It takes over what the balancer of `previous` knows of
    /// surviving backends, so that a reload does not begin the round anew. `previous` is not changed until it hands over.
    #[must_use]
    pub fn new(
        config: &config::Pool,
        members: Vec<Member>,
        queue: Arc<Queue>,
        metrics: Arc<PoolMetrics>,
        previous: Option<&Self>,
    ) -> Self {
        debug_assert!(
            members
                .iter()
                .all(|member| Arc::ptr_eq(member.backend().queue(), &queue)),
            "waiters and `keep_time` hear of a backend by the queue of its pool"
        );
        let name = metrics.name();
        let mut balancer = Balancer::new(&config.strategy, &members);
        let old_members = previous.map_or(&[][..], Self::members);
        let positions = positions(&members, old_members);
        if let Some(previous) = previous {
            balancer.resume(&members, &lock(&previous.balancer), old_members, &positions);
        }
        let before = previous.and_then(|previous| previous.sticky.as_ref());
        let sticky = config.sticky.as_ref();
        let rebalance = Rebalance::new(config.rebalance, &positions, previous);
        Self {
            name: Arc::clone(name),
            attempts: config.attempts,
            hash_key: match &config.strategy {
                Strategy::Hash(key) => Some(key.clone()),
                Strategy::RoundRobin
                | Strategy::LeastSessions
                | Strategy::TwoChoices
                | Strategy::Random => None,
            },
            sticky: sticky.map(|sticky| Sticky::new(sticky, name, &members, before)),
            priorities: Field::priorities(&members),
            members,
            balancer: Mutex::new(balancer),
            queue,
            queue_limits: config.queue,
            health: config.health.clone(),
            ejecting: Mutex::default(),
            rebalance,
            metrics,
            in_force: previous
                .map(|it| Arc::clone(&it.in_force))
                .unwrap_or_default(),
        }
    }

    /// Puts `successor` in force: the health of its backends is judged by its settings, and waiters of this pool are called.
    pub fn hand_over(&self, successor: &Arc<Self>) {
        // A reload that does not change the pool keeps it.
        if !std::ptr::eq(self, Arc::as_ptr(successor)) {
            // First, so that attempts that end from now on are judged by the new settings.
            self.in_force.set(successor);
            successor.inherit_health(&self.health);
            let now = Instant::now();
            for member in &self.members {
                member.settle_slow_start(now);
            }
            // Their states may have changed since the successor was built.
            for member in &successor.members {
                member.show(now);
            }
            self.queue.call_all();
        }
    }

    /// The sessions that wait for a place on one of its backends.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The name of the sticky cookie, which is hidden from backends.
    #[must_use]
    pub fn sticky_cookie(&self) -> Option<&str> {
        self.sticky.as_ref().map(Sticky::name)
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its backends in the order of the configuration.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The backends that a session or a request tries one after the other, all of them before `deadline`.
    #[must_use]
    pub fn candidates<'a>(
        self: &Arc<Self>,
        purpose: Purpose,
        hints: Hints<'a>,
        deadline: Instant,
    ) -> Candidates<'a> {
        Candidates::new(self, purpose, hints, deadline)
    }

    fn claimed(&self, hints: &Hints<'_>) -> Claimed {
        let sticky = self.sticky.as_ref();
        sticky.map_or(Claimed::Nothing, |sticky| sticky.read(hints.headers))
    }

    fn key_of(&self, hints: &Hints<'_>) -> u64 {
        self.hash_key.as_ref().map_or(0, |key| key_of(key, hints))
    }

    /// Whether it has no successor yet.
    #[must_use]
    pub fn is_in_force(self: &Arc<Self>) -> bool {
        Arc::ptr_eq(&self.latest(), self)
    }

    /// The pool of this name that is in force.
    fn latest(self: &Arc<Self>) -> Arc<Self> {
        self.in_force.or(self)
    }
}

/// The position that each of `members` has in `before`; `None` if the backend is new.
fn positions(members: &[Member], before: &[Member]) -> Vec<Option<usize>> {
    let identity = |member: &Member| Arc::as_ptr(member.backend());
    let known: HashMap<_, _> = before.iter().map(identity).zip(0..).collect();
    let positions = members.iter().map(|it| known.get(&identity(it)).copied());
    positions.collect()
}
