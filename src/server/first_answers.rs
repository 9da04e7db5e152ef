//! The pools for which discovery has had no answer since the start. As long as there are some the gateway is not ready:
//! a rollout would replace one that knows their backends by one that does not.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{Config, Name};
use crate::mutex::lock;

/// How long these pools hold up readiness, if there are other pools.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The pools that wait for their first answer. None is ever added, so that a ready gateway stays ready.
pub(super) struct FirstAnswers {
    began: Instant,
    missing: Mutex<BTreeSet<Name>>,
}

impl FirstAnswers {
    /// The pools with discovery in the configuration at the start.
    pub(super) fn of(config: &Config) -> Self {
        let pools = config.pools.iter();
        let discovered = pools.filter(|(_, pool)| pool.discovery.is_some());
        Self {
            began: Instant::now(),
            missing: Mutex::new(discovered.map(|(name, _)| name.clone()).collect()),
        }
    }

    /// Notes an answer for `pool`: its backends are in use, or it was empty.
    pub(super) fn answered(&self, pool: &Name) {
        lock(&self.missing).remove(pool);
    }

    /// Forgets pools that are not `is_wanted` any more.
    pub(super) fn retain(&self, is_wanted: impl Fn(&Name) -> bool) {
        lock(&self.missing).retain(is_wanted);
    }

    /// The pools that hold up readiness, of `all` pools. If all of them wait, there is no time limit.
    pub(super) fn awaited(&self, all: usize, now: Instant) -> Vec<Name> {
        let mut missing = lock(&self.missing);
        if missing.len() < all && now.duration_since(self.began) >= MAX_WAIT {
            missing.clear();
        }
        missing.iter().cloned().collect()
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
        let late = first.began + MAX_WAIT;
        let early = late - Duration::from_millis(1);
        assert_eq!(first.awaited(2, late), [chat.clone(), page.clone()]);
        first.answered(&chat);
        assert_eq!(first.awaited(2, early), [page]);
        assert!(first.awaited(2, late).is_empty());
        assert!(first.awaited(1, late).is_empty(), "it was ready");
    }
}
