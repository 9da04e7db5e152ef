//! Tending the health of backends: when checks are due, what becomes of sessions, and that time passes: for
//! ejections that end, and for rebalancing.
//!
//! It runs on the server's own runtime, so that no check delays a session and no busy worker a check.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::control::Shared;
use super::workers::{AbortOnDrop, spawn};
use crate::config::{self, Name, OnUnhealthy};
use crate::upstream::{Member, Pool};

/// How often is looked for other pools, for ejections that are over, weights that have grown and sessions to ask. The work is
/// a few atomic accesses for each backend, and a lock where its pool is to be rebalanced.
const TICK: Duration = Duration::from_millis(250);
/// Checks under way at once in the whole process: enough for 64 backends that time out, few enough not to
/// take descriptors from sessions.
const CHECKS_AT_ONCE: usize = 64;

/// The checks of a pool as one configuration has it; they end when this is dropped.
struct Tended {
    pool: Arc<Pool>,
    _checks: Vec<AbortOnDrop>,
}

/// Tends the pools of whatever snapshot is in force.
pub(super) async fn tend(shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(CHECKS_AT_ONCE));
    let mut tended: BTreeMap<Name, Tended> = BTreeMap::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let snapshot = shared.current.load();
        let is_same = |name: &Name, pool: &Arc<Pool>| {
            snapshot
                .pools
                .get(name)
                .is_some_and(|now| Arc::ptr_eq(now, pool))
        };
        tended.retain(|name, tended| is_same(name, &tended.pool));
        for (name, pool) in &snapshot.pools {
            tended
                .entry(Arc::clone(name))
                .or_insert_with(|| Tended::begin(pool, &shared, &permits));
            pool.pass_time(Instant::now());
            pool.rebalance(Instant::now());
        }
    }
}

impl Tended {
    fn begin(pool: &Arc<Pool>, shared: &Arc<Shared>, permits: &Arc<Semaphore>) -> Self {
        let is_checked = pool.health().active.is_some();
        let members = pool.members().iter().filter(|_| is_checked);
        let checks = members.map(|member| {
            let (pool, shared) = (Arc::clone(pool), Arc::clone(shared));
            let runtime = shared.runtime.clone();
            let permits = Arc::clone(permits);
            spawn(
                &runtime,
                keep_checking(pool, member.clone(), shared, permits),
            )
        });
        Self {
            _checks: checks.collect(),
            pool: Arc::clone(pool),
        }
    }
}

async fn keep_checking(
    pool: Arc<Pool>,
    member: Member,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
) {
    while let Some(due) = pool.check_due(&member) {
        sleep_until(due).await;
        // The semaphore is never closed.
        let Ok(_permit) = permits.acquire().await else {
            return;
        };
        if let Some(on_unhealthy) = pool.check(&member).await {
            shared.end_sessions(&member, on_unhealthy);
        }
    }
}

impl Shared {
    /// Ends the sessions of a backend that checks call down, as its pool wants it.
    fn end_sessions(&self, member: &Member, on_unhealthy: OnUnhealthy) {
        let plan = self.current.load().config.drain.clone();
        let plan = match on_unhealthy {
            OnUnhealthy::Keep => return,
            OnUnhealthy::Drain => plan,
            OnUnhealthy::Close => config::Drain {
                window: Duration::ZERO,
                ..plan
            },
        };
        self.drains
            .begin(&member.backend().drain(), &plan, &self.runtime);
    }
}
