//! From the schema's types to the model's: defaults, inheritance, and the checks that need more than one value. Each part
//! takes its piece of the schema and notes its problems.

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

use super::model::{Config, Name};
use super::problems::{Findings, Place};
use super::reading::{Entry, Named, Placed, Setting};
use super::schema;

pub(super) use process::admin;

/// Resolves a file; `None`, or findings, where something is wrong.
pub(super) fn file(file: schema::File, findings: &mut Findings) -> Option<Config> {
    addresses::check(&file, findings);
    let listeners = required(file.listeners, "listeners", findings);
    let routes = required(file.routes, "routes", findings);
    let pools = file.pools.unless_invalid(Named::default);
    let defaults = file.defaults.or_default();
    let scope = routes::Scope {
        listeners: names(listeners.as_ref()),
        pools: names(pools.as_ref()),
        origins: origins::defaults(defaults.origins, findings),
        timeouts: defaults.timeouts.or_default(),
        websocket: defaults.websocket.or_default(),
        headers: headers::read(defaults.headers.or_default(), findings),
    };

    let listeners =
        listeners.map(|raw| each(raw, |place, raw| listeners::one(place, raw, findings)));
    let routes = routes.map(|raw| routes::all(raw, &scope, findings));
    let pools = pools.map(|raw| each(raw, |place, raw| pools::one(place, raw, findings)));
    Some(Config {
        admin: admin(file.admin.or_default()),
        log: process::log(file.log.or_default()),
        runtime: process::runtime(file.runtime.or_default()),
        drain: process::drain(file.drain.or_default(), findings),
        listeners: listeners?,
        routes: routes?,
        pools: pools?,
    })
}

/// The names that others may refer to.
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
fn required<T>(setting: Setting<Named<T>>, key: &str, findings: &mut Findings) -> Option<Named<T>> {
    let Placed { value, place } = setting.require(key, &Place::default(), findings)?;
    if value.0.is_empty() {
        findings.add(&place, "must name at least one");
    }
    Some(value)
}

/// Resolves the entries of a map; invalid ones are left out.
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
