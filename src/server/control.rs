//! Implements the admin side's [`Control`] over the running server.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::command::Command;
use super::discovery::Progress;
use super::listeners::{OpenListener, OpenListeners};
use super::shared::Shared;
use crate::admin::{
    BackendOrder, BackendStatus, BackendTarget, Control, DiscoveryStatus, DrainTarget,
    ListenerStatus, PoolStatus, Readiness, ReloadReport, RouteStatus, Status,
};
use crate::config::Name;
use crate::snapshot::{Route, Snapshot};
use crate::upstream::{Member, Pool};

impl Control for Arc<Shared> {
    fn readiness(&self) -> Readiness {
        if self.stopping.load(Ordering::Relaxed) {
            return Readiness::Draining;
        }
        let all = self.current.load().pools.len();
        let awaited = self.discoveries.first.awaited(all, Instant::now());
        match awaited.is_empty() {
            true => Readiness::Ready,
            false => Readiness::Discovering(awaited),
        }
    }

    fn status(&self) -> Status {
        let snapshot = self.current.load();
        Status {
            started: self.started,
            uptime: self.began.elapsed(),
            generation: snapshot.generation,
            configured: snapshot.since,
            draining: self.stopping.load(Ordering::Relaxed),
            drain_sessions: self.drain_sessions(),
            listeners: listener_status(&snapshot, &self.listeners()),
            routes: snapshot
                .routes
                .values()
                .map(|route| route_status(route))
                .collect(),
            pools: snapshot
                .pools
                .values()
                .map(|pool| pool_status(pool, self.discoveries.progress(pool.name())))
                .collect(),
        }
    }

    fn drain_sessions(&self) -> usize {
        self.drains.sessions()
    }

    async fn drain(&self, target: DrainTarget) -> Option<usize> {
        let snapshot = self.current.load();
        let drains = match target {
            DrainTarget::Gateway => {
                // This fails only if the gateway has stopped.
                let _ = self.commands.send(Command::Drain).await;
                let drains = self.listeners().drains();
                return Some(drains.iter().map(|drain| drain.open()).sum());
            }
            DrainTarget::Route(name) => {
                let route = snapshot.routes.get(name.as_str());
                if route.is_some_and(|route| !route.is_draining()) {
                    tracing::info!(route = name, "drained by the operator");
                }
                route
                    .map(|route| Arc::clone(route.drain()))
                    .into_iter()
                    .collect()
            }
            DrainTarget::Backend(name) => {
                let members = snapshot.members(&name);
                members
                    .map(|(pool, member)| pool.drain(member))
                    .collect::<Vec<_>>()
            }
        };
        for drain in &drains {
            self.begin_drain(drain, &snapshot.config.drain);
        }
        (!drains.is_empty()).then(|| drains.iter().map(|drain| drain.open()).sum())
    }

    fn order(&self, target: &BackendTarget, order: BackendOrder) -> Option<BackendStatus> {
        let snapshot = self.current.load();
        let (pool, member) = snapshot.member(&target.pool, &target.backend)?;
        match order {
            BackendOrder::Drain => {
                self.begin_drain(&pool.drain(member), &snapshot.config.drain);
            }
            BackendOrder::Resume => pool.resume(member),
        }
        Some(backend_status(member, Instant::now()))
    }

    async fn reload(&self) -> ReloadReport {
        let (sender, report) = oneshot::channel();
        if self
            .commands
            .send(Command::Reload(Some(sender)))
            .await
            .is_err()
        {
            return ReloadReport::stopping();
        }
        report.await.unwrap_or_else(|_| ReloadReport::stopping())
    }
}

fn listener_status(snapshot: &Snapshot, listeners: &OpenListeners) -> Vec<ListenerStatus> {
    let status = |(name, open): (&Name, &OpenListener)| ListenerStatus {
        name: Arc::clone(name),
        address: open.address().to_string(),
        tls: snapshot
            .listeners
            .get(name)
            .is_some_and(|settings| settings.tls.is_some()),
        connections: open.connections() as u64,
    };
    listeners.iter().map(status).collect()
}

fn route_status(route: &Route) -> RouteStatus {
    RouteStatus {
        name: Arc::clone(route.metrics.name()),
        pool: route.metrics.pool().cloned(),
        sessions: route.metrics.sessions_active(),
        draining: route.is_draining(),
    }
}

fn pool_status(pool: &Pool, discovery: Option<Progress>) -> PoolStatus {
    let now = Instant::now();
    let status = |member| backend_status(member, now);
    PoolStatus {
        name: Arc::clone(pool.name()),
        discovery: discovery.map(|progress| DiscoveryStatus {
            last: progress.last,
            since: progress.since,
        }),
        waiting: pool.queue().len(),
        backends: pool.members().iter().map(status).collect(),
    }
}

fn backend_status(member: &Member, now: Instant) -> BackendStatus {
    BackendStatus {
        name: Arc::clone(member.name()),
        address: member.address().to_string(),
        weight: member.weight(),
        priority: member.priority(),
        effective_weight: member.weight_in_effect(now),
        sessions: member.backend().sessions() as u64,
        max_sessions: member.max_sessions(),
        is_full: member.is_full(),
        standing: member.backend().standing(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;
    use crate::config::Config;
    use crate::telemetry::Metrics;
    use crate::tls::Material;

    const YAML: &str = "
        listeners: { main: { address: \"127.0.0.1:0\" } }
        routes: { hello: { respond: { status: 200 } } }";

    fn shared(commands: mpsc::Sender<Command>) -> Arc<Shared> {
        let config = Config::parse(YAML, "wsgate.yaml", Path::new("/"), &|_| None).unwrap();
        let snapshot = Snapshot::build(config, Material::default(), &Metrics::new(), None);
        Arc::new(Shared::new(Arc::new(snapshot), commands))
    }

    #[tokio::test]
    async fn a_drain_waits_behind_other_commands_until_it_is_taken() {
        let (sender, mut commands) = mpsc::channel(1);
        let shared = shared(sender);
        shared.commands.try_send(Command::Reload(None)).unwrap();
        let mut drain = std::pin::pin!(shared.drain(DrainTarget::Gateway));
        let early = timeout(Duration::ZERO, drain.as_mut()).await;
        assert!(early.is_err(), "answered although it was not taken");
        assert!(matches!(commands.recv().await, Some(Command::Reload(None))));
        assert_eq!(drain.await, Some(0));
        assert!(matches!(commands.recv().await, Some(Command::Drain)));
    }
}
