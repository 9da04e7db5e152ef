//! Finds pools with the same sticky cookie that share a host, for `warnings`. Each host pattern is looked up instead of
//! compared with all others, as there may be tens of thousands.

use std::collections::BTreeMap;
use std::iter::successors;

use super::host::HostPattern;
use super::model::Name;

/// Pools by their cookies and the hosts of their routes, as routes are added.
#[derive(Default)]
pub(super) struct CookieConflicts<'c> {
    /// The number of routes so far.
    routes: usize,
    /// By cookie and key: the first two pools, each with the number of the route that added it.
    pools: BTreeMap<(&'c str, HostKey<'c>), Vec<(usize, &'c Name)>>,
}

/// What routes are filed under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HostKey<'c> {
    /// Every route.
    Anywhere,
    /// Routes that match any host.
    AnyHost,
    /// Routes that match this host.
    Host(&'c str),
    /// Routes that match all hosts with this suffix.
    Suffix(&'c str),
    /// Routes that match some of the hosts with this suffix.
    Within(&'c str),
}

impl<'c> CookieConflicts<'c> {
    /// Adds a route to a pool with this cookie. Returns the first other pool with that cookie that shares a host with it.
    pub(super) fn add(
        &mut self,
        cookie: &'c str,
        pool: &'c Name,
        hosts: &'c [HostPattern],
    ) -> Option<&'c Name> {
        let (filed, shared) = keys(hosts);
        let found = shared
            .into_iter()
            .filter_map(|key| self.pools.get(&(cookie, key)));
        let others = found.flatten().filter(|(_, other)| *other != pool);
        let conflict = others.min().map(|(_, other)| *other);
        self.routes += 1;
        for key in filed {
            let pools = self.pools.entry((cookie, key)).or_default();
            // Two are enough: at least one of them is not the pool that asks.
            if pools.len() < 2 && pools.iter().all(|(_, other)| *other != pool) {
                pools.push((self.routes, pool));
            }
        }
        conflict
    }
}

/// The keys under which a route with these hosts is filed, and those under which routes are filed that share a host with it.
fn keys(hosts: &[HostPattern]) -> (Vec<HostKey<'_>>, Vec<HostKey<'_>>) {
    if hosts.is_empty() {
        return (
            vec![HostKey::Anywhere, HostKey::AnyHost],
            vec![HostKey::Anywhere],
        );
    }
    let (mut filed, mut shared) = (vec![HostKey::Anywhere], vec![HostKey::AnyHost]);
    for host in hosts {
        let (own, name) = match host {
            HostPattern::Exact(name) => (HostKey::Host(name), name),
            HostPattern::Wildcard(name) => {
                shared.push(HostKey::Within(name));
                (HostKey::Suffix(name), name)
            }
        };
        filed.push(own);
        filed.extend(suffixes(name).map(HostKey::Within));
        shared.push(own);
        shared.extend(suffixes(name).map(HostKey::Suffix));
    }
    (filed, shared)
}

/// The name without its first label, without its first two, and so on.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    successors(Some(name), |name| {
        name.split_once('.').map(|(_, rest)| rest)
    })
    .skip(1)
}
