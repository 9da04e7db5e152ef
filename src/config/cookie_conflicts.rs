//! Pools of which some host leads to two, for warnings. Each pattern for hosts is looked up, not compared with all others: there
//! may be tens of thousands.

use std::collections::BTreeMap;
use std::iter::successors;

use super::host::HostPattern;
use super::model::Name;

/// Pools by what their routes match, as they are added.
#[derive(Default)]
pub(super) struct Rivals<'c> {
    /// How many routes there are so far.
    routes: usize,
    /// By cookie and spot: the first two pools, and with which route they came.
    pools: BTreeMap<(&'c str, Spot<'c>), Vec<(usize, &'c Name)>>,
}

/// Where a route may be found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Spot<'c> {
    /// Each is here.
    Anywhere,
    /// Those that match any host.
    AnyHost,
    /// Those that match this one.
    Host(&'c str),
    /// Those that match all hosts of this suffix.
    Suffix(&'c str),
    /// Those that match some of the hosts of this suffix.
    Within(&'c str),
}

impl<'c> Rivals<'c> {
    /// Adds a route to a pool with this cookie. The first other pool of that cookie of which a route shares a host with it.
    pub(super) fn add(
        &mut self,
        cookie: &'c str,
        pool: &'c Name,
        hosts: &'c [HostPattern],
    ) -> Option<&'c Name> {
        let (places, meets) = spots(hosts);
        let found = meets
            .into_iter()
            .filter_map(|spot| self.pools.get(&(cookie, spot)));
        let others = found.flatten().filter(|(_, other)| *other != pool);
        let rival = others.min().map(|(_, other)| *other);
        self.routes += 1;
        for spot in places {
            let pools = self.pools.entry((cookie, spot)).or_default();
            // Of two at least one is another than any that asks.
            if pools.len() < 2 && pools.iter().all(|(_, other)| *other != pool) {
                pools.push((self.routes, pool));
            }
        }
        rival
    }
}

/// Where a route with these hosts is found, and where those are that share one with it.
fn spots(hosts: &[HostPattern]) -> (Vec<Spot<'_>>, Vec<Spot<'_>>) {
    if hosts.is_empty() {
        return (vec![Spot::Anywhere, Spot::AnyHost], vec![Spot::Anywhere]);
    }
    let (mut places, mut meets) = (vec![Spot::Anywhere], vec![Spot::AnyHost]);
    for host in hosts {
        let (own, name) = match host {
            HostPattern::Exact(name) => (Spot::Host(name), name),
            HostPattern::Wildcard(name) => {
                meets.push(Spot::Within(name));
                (Spot::Suffix(name), name)
            }
        };
        places.push(own);
        places.extend(suffixes(name).map(Spot::Within));
        meets.push(own);
        meets.extend(suffixes(name).map(Spot::Suffix));
    }
    (places, meets)
}

/// The name without its first label, without its first two, and so on.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    successors(Some(name), |name| {
        name.split_once('.').map(|(_, rest)| rest)
    })
    .skip(1)
}
