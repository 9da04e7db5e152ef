//! From what a file says to what is true: defaults, inheritance, and the checks that need more than
//! one value. Split by nature; each part takes its piece of the schema and notes what is wrong.

mod addresses;
mod balancing;
mod discovery;
mod headers;
mod health;
mod http;
mod listeners;
mod matches;
mod origins;
mod pools;
mod process;
mod routes;
mod transport;
mod websocket;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::model::{Config, Name, NamedFile};
use super::problems::{Findings, Place};
use super::reading::{Entry, Named, Placed, Setting};
use super::schema;

pub(super) use process::admin;

/// What resolving needs to know and what it has found.
pub(super) struct Context<'c> {
    /// Where relative paths begin.
    pub(super) directory: &'c Path,
    pub(super) findings: Findings,
}

impl Context<'_> {
    fn absolute(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// The path of a file that must be given.
    fn file(&mut self, path: Setting<String>, key: &str, holder: &Place) -> Option<NamedFile> {
        let place = path.place().cloned().unwrap_or_default();
        let value = path.require(key, holder, &mut self.findings)?;
        Some(self.named(Placed { value, place }))
    }

    fn named(&self, path: Placed<String>) -> NamedFile {
        NamedFile::new(self.absolute(&path.value), path.place)
    }
}

/// Resolves a file; `None`, or findings in the context, where something is wrong.
pub(super) fn file(file: schema::File, context: &mut Context<'_>) -> Option<Config> {
    addresses::check(&file, context);
    let listeners = required(file.listeners, "listeners", context);
    let routes = required(file.routes, "routes", context);
    let pools = file.pools.sound(Named::default);
    let defaults = file.defaults.or_default();
    let scope = routes::Scope {
        listeners: names(listeners.as_ref()),
        pools: names(pools.as_ref()),
        origins: origins::defaults(defaults.origins, context),
        timeouts: defaults.timeouts.or_default(),
        websocket: defaults.websocket.or_default(),
        headers: headers::read(defaults.headers.or_default(), context),
    };

    let listeners =
        listeners.map(|raw| each(raw, |place, raw| listeners::one(place, raw, context)));
    let routes = routes.map(|raw| routes::all(raw, &scope, context));
    let pools = pools.map(|raw| each(raw, |place, raw| pools::one(place, raw, context)));
    Some(Config {
        admin: admin(file.admin.or_default(), context),
        log: process::log(file.log.or_default()),
        runtime: process::runtime(file.runtime.or_default()),
        drain: process::drain(file.drain.or_default(), context),
        listeners: listeners?,
        routes: routes?,
        pools: pools?,
    })
}

/// The names that others may mention.
fn names<T>(named: Option<&Named<T>>) -> Option<BTreeSet<Name>> {
    named.map(|named| {
        named
            .0
            .iter()
            .map(|entry| Name::clone(&entry.name))
            .collect()
    })
}

/// A map of names that must be given and must not be empty.
fn required<T>(
    setting: Setting<Named<T>>,
    key: &str,
    context: &mut Context<'_>,
) -> Option<Named<T>> {
    let place = setting
        .given()
        .map(|placed| placed.place.clone())
        .unwrap_or_default();
    let named = setting.require(key, &place, &mut context.findings)?;
    if named.0.is_empty() {
        context.findings.add(&place, "must name at least one");
    }
    Some(named)
}

/// Resolves everything that has a name; what is wrong is left out.
fn each<T, R>(
    named: Named<T>,
    mut resolve: impl FnMut(&Place, T) -> Option<R>,
) -> BTreeMap<Name, R> {
    let resolved = named
        .0
        .into_iter()
        .filter_map(|Entry { name, place, value }| {
            let resolved = resolve(&place, value?)?;
            Some((name, resolved))
        });
    resolved.collect()
}
