//! What discovery has found and is not in use yet, and putting it into use: one snapshot for all of it.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::shared::Shared;
use crate::config::{Backend, Discovery, Name};
use crate::mutex::lock;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;

/// The backends that were found for a pool.
#[derive(Debug)]
pub(super) struct Discovered {
    /// The settings of the query; a reload may have changed them meanwhile.
    pub(super) discovery: Discovery,
    /// The backends, by priority and address.
    pub(super) backends: Vec<Backend>,
}

/// What was found for each pool and is not in use yet. Only the latest counts, so they never grow beyond the pools, and
/// commands need not wait behind them.
#[derive(Default)]
pub(super) struct Findings {
    waiting: Mutex<BTreeMap<Name, Discovered>>,
    /// Notified when one is added.
    added: Notify,
}

impl Findings {
    pub(super) fn add(&self, pool: &Name, found: Discovered) {
        lock(&self.waiting).insert(Arc::clone(pool), found);
        self.added.notify_one();
    }

    /// Takes all of them, as soon as there are some. Dropping the future loses none.
    pub(super) async fn take(&self) -> BTreeMap<Name, Discovered> {
        loop {
            let waiting = mem::take(&mut *lock(&self.waiting));
            if !waiting.is_empty() {
                return waiting;
            }
            self.added.notified().await;
        }
    }
}

impl Shared {
    /// Puts discovered backends into use, as a reload would: sessions of backends that are gone are drained, all others are
    /// not touched.
    pub(super) fn take_found(&self, mut found: BTreeMap<Name, Discovered>, metrics: &Metrics) {
        let before = self.current.load();
        // A reload may have changed the discovery meanwhile.
        found.retain(|name, found| {
            let pool = before.config.pools.get(name);
            pool.and_then(|pool| pool.discovery.as_ref()) == Some(&found.discovery)
        });
        if found.is_empty() {
            return;
        }
        let counts: Vec<(Name, usize)> = found
            .iter()
            .map(|(name, found)| (Arc::clone(name), found.backends.len()))
            .collect();
        for (pool, after) in &counts {
            let used = before.pools.get(pool);
            let used = used.map_or(0, |pool| pool.members().len());
            tracing::info!(%pool, before = used, after, "backends discovered");
        }
        let found = found
            .into_iter()
            .map(|(name, found)| (name, found.backends));
        let after = Arc::new(before.with_found(found, metrics));
        self.replace(&after);
        for (pool, count) in &counts {
            metrics.discovery(pool).found(*count);
            self.discoveries.first.answered(pool);
        }
        self.retire(&before, &after);
        drop(before);
        metrics.sweep();
    }

    /// Drains the routes and backends that are not in `after` any more.
    pub(super) fn retire(&self, before: &Snapshot, after: &Snapshot) {
        for drain in after.retire(before) {
            self.begin_drain(&drain, &after.config.drain);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::mpsc;

    use super::*;
    use crate::config::Config;
    use crate::tls::Material;

    const YAML: &str = "
        listeners: { main: { address: \"127.0.0.1:0\" } }
        routes: { chat: { origins: any, pool: chat }, page: { match: { path: /page }, origins: any, pool: page } }
        pools: { chat: { discovery: { dns: chat, port: 1 } }, page: { discovery: { dns: page, port: 1 } } }";

    fn discovered(snapshot: &Snapshot, pool: &str, count: usize) -> Discovered {
        let discovery = snapshot.config.pools[pool].discovery.clone();
        let yaml = "
            listeners: { main: { address: \"127.0.0.1:0\" } }
            routes: { chat: { origins: any, pool: chat } }
            pools: { chat: { backends: [\"ws://127.0.0.1:1\", \"ws://127.0.0.1:2\"] } }";
        let mut backends = parsed(yaml).pools["chat"].backends.clone();
        backends.truncate(count);
        Discovered {
            discovery: discovery.unwrap(),
            backends,
        }
    }

    fn parsed(yaml: &str) -> Config {
        Config::parse(yaml, "wsgate.yaml", Path::new("/"), &|_| None).unwrap()
    }

    #[tokio::test]
    async fn all_that_wait_are_put_into_use_at_once_and_only_the_latest_of_a_pool() {
        let metrics = Metrics::new();
        let first = Snapshot::build(parsed(YAML), Material::default(), &metrics, None);
        let (commands, _taken) = mpsc::channel(1);
        let shared = Shared::new(Arc::new(first), commands);
        let findings = &shared.discoveries.findings;
        let before = shared.current.load();
        for (pool, count) in [("chat", 2), ("page", 2), ("chat", 1)] {
            findings.add(&pool.into(), discovered(&before, pool, count));
        }
        let found = findings.take().await;
        assert_eq!(found.len(), 2);
        shared.take_found(found, &metrics);
        let after = shared.current.load();
        let count = |pool: &str| after.pools[pool].members().len();
        assert_eq!((count("chat"), count("page")), (1, 2));
        assert!(lock(&findings.waiting).is_empty());
    }

    #[tokio::test]
    async fn what_was_found_by_other_settings_is_not_used() {
        let metrics = Metrics::new();
        let first = Snapshot::build(parsed(YAML), Material::default(), &metrics, None);
        let (commands, _taken) = mpsc::channel(1);
        let shared = Shared::new(Arc::new(first), commands);
        let before = shared.current.load();
        let found = discovered(&before, "page", 1);
        shared.take_found(BTreeMap::from([("chat".into(), found)]), &metrics);
        assert!(Arc::ptr_eq(&shared.current.load(), &before));
    }
}
