//! The pools of which the DNS has said nothing since the start. A gateway that knows none of their backends yet is not ready:
//! whoever puts it in the place of another one would lose those that the other one knows.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{Config, Name};

/// For so long a gateway that has other pools is held back by those that the DNS says nothing of.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pools whose first answer is to come. None is ever added: ready stays ready.
pub(super) struct FirstAnswers {
    began: Instant,
    missing: Mutex<BTreeSet<Name>>,
}

impl FirstAnswers {
    /// Those of the configuration that the process starts with.
    pub(super) fn of(config: &Config) -> Self {
        let pools = config.pools.iter();
        let discovered = pools.filter(|(_, pool)| pool.discovery.is_some());
        Self {
            began: Instant::now(),
            missing: Mutex::new(discovered.map(|(name, _)| name.clone()).collect()),
        }
    }

    /// An answer for `pool` is in force, or says that nothing is there.
    pub(super) fn came(&self, pool: &Name) {
        self.missing().remove(pool);
    }

    /// Forgets those that `is_wanted` no longer.
    pub(super) fn retain(&self, is_wanted: impl Fn(&Name) -> bool) {
        self.missing().retain(is_wanted);
    }

    /// The pools, of `all` that there are, for which the gateway is not ready yet. A gateway that has nothing else waits on.
    pub(super) fn awaited(&self, all: usize, now: Instant) -> Vec<Name> {
        let mut missing = self.missing();
        if missing.len() < all && now.duration_since(self.began) >= PATIENCE {
            missing.clear();
        }
        missing.iter().cloned().collect()
    }

    fn missing(&self) -> MutexGuard<'_, BTreeSet<Name>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const YAML: &str = "
        listeners: { main: { address: \"127.0.0.1:0\" } }
        routes: { chat: { origins: any, pool: chat }, page: { match: { path: /page }, origins: any, pool: page } }
        pools: { chat: { discovery: { dns: chat, port: 1 } }, page: { discovery: { dns: page, port: 1 } } }";

    #[test]
    fn are_waited_for_without_end_only_where_there_is_nothing_else() {
        let config = Config::parse(YAML, "wsgate.yaml", Path::new("/"), &|_| None).unwrap();
        let first = FirstAnswers::of(&config);
        let (chat, page) = (Name::from("chat"), Name::from("page"));
        let late = first.began + PATIENCE;
        let early = late - Duration::from_millis(1);
        assert_eq!(first.awaited(2, late), [chat.clone(), page.clone()]);
        first.came(&chat);
        assert_eq!(first.awaited(2, early), [page]);
        assert!(first.awaited(2, late).is_empty());
        assert!(first.awaited(1, late).is_empty(), "it was ready");
    }
}
