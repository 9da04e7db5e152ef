//! What changed from one configuration to the next, in words: for the log and for callers that ask for a reload.

use std::collections::BTreeMap;

use super::model::{Admin, Backend, BackendAddress, Config, Listener, Log, Name, Pool, Runtime};

impl Config {
    /// What changed since `old`, each change in a few words: `added route chat`, `changed pool chat: removed backend b`.
    /// Empty when the two are equal, or differ only in what takes effect after a restart.
    #[must_use]
    pub fn changes_since(&self, old: &Self) -> Vec<String> {
        // Named one by one, so that a new field of Config is not forgotten here.
        let Self {
            // What takes effect after a restart has not changed anything yet; `server/reload` tells of it.
            admin: Admin { address: _ },
            runtime:
                Runtime {
                    workers: _,
                    io_uring: _,
                },
            log:
                Log {
                    format: _,
                    level,
                    access,
                },
            listeners,
            routes,
            pools,
            drain,
        } = self;
        let is_log_same = *level == old.log.level && *access == old.log.access;
        let settings = [("log", !is_log_same), ("drain", *drain != old.drain)];
        let differing = settings.iter().filter(|(_, differs)| *differs);
        let mut changes: Vec<String> = differing.map(|(key, _)| format!("changed {key}")).collect();
        changes.extend(named("listener", &old.listeners, listeners, moved));
        changes.extend(named("route", &old.routes, routes, |_, _| String::new()));
        changes.extend(named("pool", &old.pools, pools, backends));
        changes
    }
}

/// What was added, removed and changed among things that have a name; `details` follow the name of what changed.
fn named<T: PartialEq>(
    what: &str,
    old: &BTreeMap<Name, T>,
    new: &BTreeMap<Name, T>,
    details: impl Fn(&T, &T) -> String,
) -> Vec<String> {
    let added = new.keys().filter(|name| !old.contains_key(*name));
    let added = added.map(|name| format!("added {what} {name}"));
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    let removed = removed.map(|name| format!("removed {what} {name}"));
    let changed = old.iter().filter_map(|(name, old)| {
        let new = new.get(name).filter(|new| *new != old)?;
        Some(format!("changed {what} {name}{}", details(old, new)))
    });
    added.chain(removed).chain(changed).collect()
}

/// Where a listener is if it has moved, which drains its connections.
fn moved(old: &Listener, new: &Listener) -> String {
    match old.address == new.address {
        true => String::new(),
        false => format!(": now at {}", new.address),
    }
}

/// What changed among the backends of a pool, behind a colon. A backend is the same while its address is.
fn backends(old: &Pool, new: &Pool) -> String {
    if old.discovery != new.discovery {
        // Which backends come and go depends on the DNS.
        return String::new();
    }
    let (before, after) = (by_address(old), by_address(new));
    let added = after.iter().filter(|(it, _)| !before.contains_key(*it));
    let added = added.map(|(_, it)| format!("added backend {}", it.name));
    let removed = before.iter().filter(|(it, _)| !after.contains_key(*it));
    let removed = removed.map(|(_, it)| format!("removed backend {}", it.name));
    let both = before.iter();
    let both = both.filter_map(|(address, was)| Some((*was, *after.get(address)?)));
    let renamed = both.clone().filter(|(was, is)| was.name != is.name);
    let renamed = renamed.map(|(was, is)| format!("renamed backend {} to {}", was.name, is.name));
    let changed = both.filter(|(was, is)| differ_beside_the_name(was, is));
    let changed = changed.map(|(_, is)| format!("changed backend {}", is.name));
    let changes: Vec<String> = added.chain(removed).chain(renamed).chain(changed).collect();
    match &*changes {
        [] => String::new(),
        changes => format!(": {}", changes.join(", ")),
    }
}

fn differ_beside_the_name(was: &Backend, is: &Backend) -> bool {
    let renamed = Backend {
        name: Name::clone(&is.name),
        ..was.clone()
    };
    renamed != *is
}

fn by_address(pool: &Pool) -> BTreeMap<&BackendAddress, &Backend> {
    let backends = pool.backends.iter();
    backends.map(|it| (&it.address, it)).collect()
}
