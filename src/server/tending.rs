//! Timed work on pools: health checks and what they mean for open sessions, ends of ejections, slow starts, rebalancing.
//!
//! It runs on the server's own runtime: checks do not delay sessions, and busy workers do not delay checks.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{MutexGuard, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::shared::Shared;
use crate::config::{self, Name, OnUnhealthy};
use crate::upstream::{Member, Pool};

/// How often a pool is tended while an ejection, a slow start or rebalancing is under way in it. At all other times its
/// task sleeps until a backend changes its state, so that an idle gateway does not wake.
const TICK: Duration = Duration::from_millis(250);
/// Concurrent checks in the whole process: enough when 64 backends time out at once, few enough not to take descriptors
/// from sessions.
const CHECKS_AT_ONCE: usize = 64;

/// The tasks of a pool as one configuration defines it. Dropping this ends them; a check that has begun is finished first.
struct Tended {
    pool: Arc<Pool>,
    _in_force: watch::Sender<()>,
}

/// Runs the tasks of all pools of the current snapshot.
pub(super) async fn tend(shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(CHECKS_AT_ONCE));
    let mut tended: BTreeMap<Name, Tended> = BTreeMap::new();
    loop {
        follow(&mut tended, &shared, &permits);
        shared.replaced.notified().await;
    }
}

/// Ends the tasks of pools that are no longer in force, and starts those of new ones.
fn follow(tended: &mut BTreeMap<Name, Tended>, shared: &Arc<Shared>, permits: &Arc<Semaphore>) {
    let snapshot = shared.current.load();
    let pools = &snapshot.pools;
    tended.retain(|name, tended| {
        let in_force = pools.get(name);
        in_force.is_some_and(|pool| Arc::ptr_eq(pool, &tended.pool))
    });
    for (name, pool) in pools {
        tended
            .entry(Arc::clone(name))
            .or_insert_with(|| Tended::begin(pool, shared, permits));
    }
}

/// Does what is due by the clock in `pool`, as long as it is in force. At a swap it is woken before `follow` ends it; what is
/// due then is left to its successor, which knows when it was last done.
async fn keep_time(pool: Arc<Pool>, mut is_in_force: watch::Receiver<()>) {
    let mut changes = pool.queue().changes();
    while pool.is_in_force() {
        let is_under_way = pool.pass_time(Instant::now());
        tokio::select! {
            _ = is_in_force.changed() => return,
            _ = changes.changed() => {}
            () = sleep(TICK), if is_under_way => {}
        }
    }
}

impl Tended {
    fn begin(pool: &Arc<Pool>, shared: &Arc<Shared>, permits: &Arc<Semaphore>) -> Self {
        let (in_force, is_in_force) = watch::channel(());
        for member in pool.members() {
            let checks = Checks {
                pool: Arc::clone(pool),
                member: member.clone(),
                permits: Arc::clone(permits),
                shared: Arc::clone(shared),
            };
            shared.runtime.spawn(checks.keep_on(is_in_force.clone()));
        }
        shared
            .runtime
            .spawn(keep_time(Arc::clone(pool), is_in_force));
        Self {
            pool: Arc::clone(pool),
            _in_force: in_force,
        }
    }
}

/// The checks of one backend.
struct Checks {
    pool: Arc<Pool>,
    member: Member,
    permits: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Checks {
    /// Runs checks when they are due, as long as the pool is in force.
    async fn keep_on(self, mut is_in_force: watch::Receiver<()>) {
        while let Some(due) = self.pool.check_due(&self.member) {
            let turn = tokio::select! {
                biased;
                _ = is_in_force.changed() => return,
                turn = self.turn(due) => turn,
            };
            let Some((_alone, _permit)) = turn else {
                continue;
            };
            if let Some(on_unhealthy) = self.check().await {
                self.shared.end_sessions(&self.member, on_unhealthy);
            }
        }
    }

    /// Runs a check. It is finished even if the pool is replaced: if discovery replaced the pool often enough, a hanging backend
    /// would otherwise never fail a check. It is given up once checks have other settings, as its result would not count and
    /// the first new check waits for it; and once the backend is removed, as others need its place.
    async fn check(&self) -> Option<OnUnhealthy> {
        let mut check = pin!(self.pool.check(&self.member));
        let mut changes = self.pool.queue().changes();
        loop {
            tokio::select! {
                biased;
                on_unhealthy = &mut check => return on_unhealthy,
                _ = changes.changed() => self.pool.check_due(&self.member)?,
            };
        }
    }

    /// Waits until a check is due and no other one of this backend is running. `None` if an earlier pool of the same backend
    /// has checked it meanwhile.
    async fn turn(&self, due: Instant) -> Option<(MutexGuard<'_, ()>, SemaphorePermit<'_>)> {
        let backend = self.member.backend();
        let last = || backend.standing().check.map(|check| check.begun);
        let before = last();
        sleep_until(due).await;
        let alone = backend.checking().lock().await;
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok()?;
        (last() == before).then_some((alone, permit))
    }
}

impl Shared {
    /// Ends the sessions of a backend that checks found down, as its pool is configured to.
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
        self.begin_drain(&member.backend().drain(), &plan);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http::{HeaderMap, Uri};
    use tokio::sync::mpsc;
    use tokio::task::yield_now;

    use super::super::workers::spawn;
    use super::*;
    use crate::config::Config;
    use crate::snapshot::Snapshot;
    use crate::telemetry::Metrics;
    use crate::tls::Material;
    use crate::upstream::{Hints, Purpose};

    const YAML: &str = "
        listeners: { main: { address: \"127.0.0.1:0\" } }
        routes: { chat: { origins: any, pool: chat } }
        pools: { chat: { backends: [\"ws://127.0.0.1:9\"], health: { active: { type: tcp } } } }";

    fn snapshot(yaml: &str, previous: Option<&Snapshot>) -> Arc<Snapshot> {
        let config = Config::parse(yaml, "wsgate.yaml", Path::new("/"), &|_| None).unwrap();
        let (tls, metrics) = (Material::default(), Metrics::new());
        Arc::new(Snapshot::build(config, tls, &metrics, previous))
    }

    /// Each tick parks the runtime at least once, so that an hour of them would do so 14,400 times.
    #[tokio::test(start_paused = true)]
    async fn sleeps_while_nothing_is_under_way() {
        let (commands, _taken) = mpsc::channel(1);
        let yaml = YAML.replace("health: { active: { type: tcp } }", "slow_start: 1m");
        let shared = Arc::new(Shared::new(snapshot(&yaml, None), commands));
        let pool = Arc::clone(&shared.current.load().pools["chat"]);
        let _tending = spawn(&shared.runtime, tend(Arc::clone(&shared)));
        let parks_of = async |time| {
            let parks = || shared.runtime.metrics().worker_park_count(0);
            let before = parks();
            tokio::time::sleep(time).await;
            parks() - before
        };
        let hour = Duration::from_secs(3600);
        assert!(parks_of(hour).await < 10);
        pool.members()[0].backend().became_ready(Instant::now());
        assert!(parks_of(TICK * 20).await >= 20, "a slow start is under way");
        assert!(parks_of(hour).await < 3600, "it is over");
    }

    /// At each swap the old pool and the new one could both ask for the time since the last step.
    #[tokio::test(start_paused = true)]
    async fn a_pool_that_is_replaced_again_and_again_asks_no_more_sessions() {
        const SESSIONS: usize = 200;
        let (commands, _taken) = mpsc::channel(1);
        let with = |attempts: usize| {
            YAML.replace(
                "\"ws://127.0.0.1:9\"], health: { active: { type: tcp } }",
                &format!(
                    "\"ws://127.0.0.1:9\", \"ws://127.0.0.1:10\"], attempts: {attempts}, \
                     rebalance: {{ threshold: 101%, rate: 10%/s }}"
                ),
            )
        };
        let shared = Arc::new(Shared::new(snapshot(&with(1), None), commands));
        let pool = Arc::clone(&shared.current.load().pools["chat"]);
        let _tending = spawn(&shared.runtime, tend(Arc::clone(&shared)));
        let joining = &pool.members()[1];
        let _drain = pool.drain(joining);
        let (headers, uri) = (HeaderMap::new(), Uri::default());
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            let hints = Hints::new(None, &headers, &uri);
            let mut candidates = pool.candidates(Purpose::Session, hints, Instant::now() + TICK);
            let candidate = candidates.next().await.expect("a place");
            sessions.push((candidate.lease.watch(), candidate.lease));
        }
        tokio::time::sleep(TICK).await;
        pool.resume(joining);
        for attempts in 2..12 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let after = snapshot(&with(attempts), Some(&shared.current.load()));
            shared.replace(&after);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let asked = sessions.iter().filter(|(watch, _)| watch.is_asked());
        let asked = asked.count();
        assert!((15..=21).contains(&asked), "{asked} in a second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_that_is_gone_is_let_go_at_once() {
        let (commands, _taken) = mpsc::channel(1);
        let shared = Arc::new(Shared::new(snapshot(YAML, None), commands));
        let pool = Arc::downgrade(&shared.current.load().pools["chat"]);
        let _tending = spawn(&shared.runtime, tend(Arc::clone(&shared)));
        // Late enough for the first check to be over and the next one to be waited for.
        tokio::time::sleep(TICK * 9 / 2).await;
        assert!(pool.strong_count() > 1, "somebody tends it");
        let other = YAML
            .replace("chat: { b", "talk: { b")
            .replace("pool: chat", "pool: talk");
        let after = snapshot(&other, Some(&shared.current.load()));
        shared.replace(&after);
        // The paused clock does not advance while tasks are ready to run.
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(pool.strong_count(), 0);
    }
}
