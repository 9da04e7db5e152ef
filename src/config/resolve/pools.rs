//! Pools and their backends.

use std::collections::HashMap;

use super::{Context, health};
use crate::config::model::{
    Backend, BackendAddress, Name, Pool, ProxyProtocol, Strategy, Transport,
};
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::tree::quote;
use crate::config::values::{BackendUrl, OneOf, Text, name};

pub(super) fn one(place: &Place, raw: schema::Pool, context: &mut Context<'_>) -> Option<Pool> {
    let backends = backends(place, raw.backends, &mut context.findings);
    let health = match raw.health {
        Setting::Invalid => None,
        setting => health::resolve(setting.or_default(), &mut context.findings),
    };
    Some(Pool {
        strategy: raw.strategy.or(OneOf(Strategy::RoundRobin)).0,
        attempts: raw.attempts.value().map_or(3, |attempts| attempts.count()),
        backends: backends?,
        transport: Transport {
            proxy_protocol: raw.proxy_protocol.or(OneOf(ProxyProtocol::None)).0,
        },
        health: health?,
    })
}

fn backends(
    place: &Place,
    setting: Setting<Vec<Placed<schema::Backend>>>,
    findings: &mut Findings,
) -> Option<Vec<Backend>> {
    let list = setting.require("backends", place, findings)?;
    let mut seen = Seen::default();
    let mut backends = Vec::with_capacity(list.len());
    for Placed { value, place } in list {
        if let Some(backend) = backend(&place, value, findings) {
            seen.check(&backend, &place, findings);
            backends.push(backend);
        }
    }
    Some(backends)
}

fn backend(place: &Place, raw: schema::Backend, findings: &mut Findings) -> Option<Backend> {
    let raw = match raw {
        schema::Backend::Url(url) => return Some(named_by_address(url)),
        schema::Backend::Keys(raw) => raw,
    };
    let name = raw
        .name
        .placed()
        .map(|placed| checked_name(placed, findings));
    let url = raw.url.require("url", place, findings)?;
    let backend = named_by_address(url);
    Some(Backend {
        name: name.unwrap_or(backend.name),
        weight: raw.weight.value().map_or(1, |weight| weight.number()),
        ..backend
    })
}

fn named_by_address(url: BackendUrl) -> Backend {
    Backend {
        name: url.written.into(),
        address: url.address,
        weight: 1,
    }
}

fn checked_name(placed: Placed<Text>, findings: &mut Findings) -> Name {
    let Text(text) = placed.value;
    if let Err(complaint) = name::check(&text) {
        findings.add(&placed.place, complaint);
    }
    text.into()
}

/// Names and addresses of a pool's backends so far, with the path of their owner.
#[derive(Default)]
struct Seen {
    names: HashMap<Name, String>,
    addresses: HashMap<BackendAddress, String>,
}

impl Seen {
    fn check(&mut self, backend: &Backend, place: &Place, findings: &mut Findings) {
        let path = || place.path.clone();
        if let Some(first) = self.addresses.insert(backend.address.clone(), path()) {
            findings.add(place, format!("{first} has the same address"));
        } else if let Some(first) = self.names.insert(Name::clone(&backend.name), path()) {
            findings.add(
                place,
                format!("{first} has the same name {}", quote(&backend.name)),
            );
        }
    }
}
