//! What changed from one configuration to the next, for the reload and for those who asked for it.

use std::collections::BTreeMap;

use super::model::{Backend, BackendAddress, Config, Name, Pool};

/// What changed from one configuration to another.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Diff {
    /// Top-level keys with other settings: `admin`, `log`, `runtime`, `drain`.
    pub settings: Vec<&'static str>,
    /// Listeners; a changed address counts as a change.
    pub listeners: Changes,
    /// Routes.
    pub routes: Changes,
    /// Pools.
    pub pools: Changes,
    /// Backends of the changed pools, by pool; a pool without an entry changed in other ways only.
    pub backends: BTreeMap<Name, Changes>,
}

/// Names that came, went, and now stand for something else.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// Only in the new configuration.
    pub added: Vec<Name>,
    /// Only in the old configuration.
    pub removed: Vec<Name>,
    /// In both, but not equal.
    pub changed: Vec<Name>,
    /// The same under another name, whatever else changed: the old one and the new one. Only of backends, which are
    /// the same while their address is.
    pub renamed: Vec<(Name, Name)>,
}

impl Diff {
    /// Compares two configurations.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        let pools = Changes::between(&old.pools, &new.pools);
        let backends = pools.changed.iter().filter_map(|name| {
            let (old, new) = (old.pools.get(name)?, new.pools.get(name)?);
            if old.discovery != new.discovery {
                // Which backends come and go is for the DNS to say.
                return None;
            }
            let changes = backends(old, new);
            (!changes.is_empty()).then(|| (Name::clone(name), changes))
        });
        Self {
            settings: settings(old, new),
            listeners: Changes::between(&old.listeners, &new.listeners),
            routes: Changes::between(&old.routes, &new.routes),
            backends: backends.collect(),
            pools,
        }
    }

    /// Whether the two are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The changes, each in a few words: `added route chat`, `changed pool chat: removed backend b`.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let settings = self.settings.iter().map(|key| format!("changed {key}"));
        let mut words: Vec<String> = settings.collect();
        words.extend(self.listeners.words("listener"));
        words.extend(self.routes.words("route"));
        for pool in self.pools.words("pool") {
            let backends = pool
                .strip_prefix("changed pool ")
                .and_then(|name| self.backends.get(name));
            match backends {
                Some(changes) => {
                    words.push(format!("{pool}: {}", changes.words("backend").join(", ")))
                }
                None => words.push(pool),
            }
        }
        words
    }
}

impl Changes {
    fn between<T: PartialEq>(old: &BTreeMap<Name, T>, new: &BTreeMap<Name, T>) -> Self {
        let only_in = |one: &BTreeMap<Name, T>, other: &BTreeMap<Name, T>| {
            one.keys()
                .filter(|name| !other.contains_key(*name))
                .cloned()
                .collect()
        };
        let changed = old
            .iter()
            .filter(|(name, value)| new.get(*name).is_some_and(|new| new != *value));
        Self {
            added: only_in(new, old),
            removed: only_in(old, new),
            changed: changed.map(|(name, _)| Name::clone(name)).collect(),
            renamed: Vec::new(),
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn words(&self, what: &str) -> Vec<String> {
        let kinds = [
            ("added", &self.added),
            ("removed", &self.removed),
            ("changed", &self.changed),
        ];
        let words = kinds.into_iter().flat_map(|(verb, names)| {
            names
                .iter()
                .map(move |name| format!("{verb} {what} {name}"))
        });
        let renamed = self.renamed.iter();
        let renamed = renamed.map(|(old, new)| format!("renamed {what} {old} to {new}"));
        words.chain(renamed).collect()
    }
}

/// A backend is the same while its address is.
fn backends(old: &Pool, new: &Pool) -> Changes {
    let (before, after) = (by_address(old), by_address(new));
    let mut changes = Changes::default();
    for (address, was) in &before {
        let name = || Name::clone(&was.name);
        match after.get(address) {
            None => changes.removed.push(name()),
            Some(is) if is.name != was.name => {
                changes.renamed.push((name(), Name::clone(&is.name)));
            }
            Some(is) if is != was => changes.changed.push(name()),
            Some(_) => {}
        }
    }
    let joined = after.iter().filter(|(it, _)| !before.contains_key(*it));
    changes.added = joined.map(|(_, it)| Name::clone(&it.name)).collect();
    changes
}

fn by_address(pool: &Pool) -> BTreeMap<&BackendAddress, &Backend> {
    let backends = pool.backends.iter();
    backends.map(|it| (&it.address, it)).collect()
}

fn settings(old: &Config, new: &Config) -> Vec<&'static str> {
    // Named one by one, so that a new field of Config is not forgotten here.
    let Config {
        admin,
        log,
        runtime,
        listeners: _,
        routes: _,
        pools: _,
        drain,
    } = old;
    let differs = [
        ("admin", *admin != new.admin),
        ("log", *log != new.log),
        ("runtime", *runtime != new.runtime),
        ("drain", *drain != new.drain),
    ];
    differs
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| key)
        .collect()
}
