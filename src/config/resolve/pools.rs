//! Pools and their backends.

use std::collections::HashMap;
use std::time::Duration;

use super::{balancing, discovery, health, transport};
use crate::config::model::{Backend, BackendAddress, Discovery, Name, Pool, Rebalance};
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Items, Placed, ScalarOrMap, Setting};
use crate::config::schema;
use crate::config::tree::quote;
use crate::config::values::BackendUrl;

pub(super) fn one(place: &Place, raw: schema::Pool, findings: &mut Findings) -> Option<Pool> {
    let members = members(place, raw.backends, raw.discovery, findings);
    // If the backends are invalid, `tls` may be meant for one of them.
    let is_secure = members.as_ref().is_none_or(Members::is_secure);
    let transport = transport::resolve(
        raw.proxy_protocol,
        raw.source_addresses,
        raw.tls,
        is_secure,
        findings,
    );
    let strategy = balancing::strategy(raw.strategy, raw.hash, findings);
    let may_be_full = members.as_ref().is_none_or(Members::may_be_full);
    let queue = balancing::queue(raw.queue, may_be_full, findings);
    let health = match raw.health {
        Setting::Invalid => None,
        setting => health::resolve(setting.or_default(), findings),
    };
    let Members { named, discovery } = members?;
    Some(Pool {
        strategy: strategy?,
        sticky: raw.sticky.value().map(balancing::sticky),
        slow_start: raw.slow_start.or(Duration::ZERO),
        queue,
        attempts: raw.attempts.or(3),
        backends: named,
        transport: transport?.for_discovery(discovery.as_ref()),
        discovery,
        health: health?,
        rebalance: raw.rebalance.value().map(rebalance),
    })
}

fn rebalance(raw: schema::Rebalance) -> Rebalance {
    Rebalance {
        threshold: raw.threshold.or(1.2),
        rate: raw.rate.or(0.01),
    }
}

/// The backends of a pool: named, or found.
struct Members {
    named: Vec<Backend>,
    discovery: Option<Discovery>,
}

impl Members {
    fn is_secure(&self) -> bool {
        let mut named = self.named.iter();
        named.any(|backend| backend.address.is_tls())
            || self.discovery.as_ref().is_some_and(|found| found.tls)
    }

    /// Whether all backends may be full. Of a pool without backends nothing is known.
    fn may_be_full(&self) -> bool {
        match &self.discovery {
            Some(discovery) => discovery.max_sessions.is_some(),
            None => {
                let mut named = self.named.iter();
                self.named.is_empty() || named.any(|backend| backend.max_sessions.is_some())
            }
        }
    }
}

fn members(
    place: &Place,
    backends: Setting<Items<schema::Backend>>,
    discovery: Setting<schema::Discovery>,
    findings: &mut Findings,
) -> Option<Members> {
    if matches!(discovery, Setting::Absent) {
        return Some(Members {
            named: named(place, backends, findings)?,
            discovery: None,
        });
    }
    if let Some(place) = backends.place() {
        let message = "only one of `backends` and `discovery` is allowed";
        findings.add(place, message);
    }
    let Placed { value, place } = discovery.placed()?;
    Some(Members {
        named: Vec::new(),
        discovery: Some(discovery::resolve(value, &place, findings)?),
    })
}

/// `None` if one is invalid.
fn named(
    place: &Place,
    setting: Setting<Items<schema::Backend>>,
    findings: &mut Findings,
) -> Option<Vec<Backend>> {
    let list = setting.require("backends", place, findings)?.value;
    let mut seen = Seen::default();
    let backends = list.into_iter().map(|item| {
        let Placed { value, place } = item?;
        let backend = backend(&place, value, findings)?;
        seen.check(&backend, &place, findings);
        Some(backend)
    });
    // Not collected at once: the problems of all of them are noted.
    let backends: Vec<Option<Backend>> = backends.collect();
    backends.into_iter().collect()
}

fn backend(place: &Place, raw: schema::Backend, findings: &mut Findings) -> Option<Backend> {
    let raw = match raw {
        ScalarOrMap::Scalar(url) => return Some(named_by_address(url)),
        ScalarOrMap::Map(raw) => *raw,
    };
    let name = raw.name.value().map(Name::from);
    let url = raw.url.require("url", place, findings)?;
    let backend = named_by_address(url.value);
    Some(Backend {
        name: name.unwrap_or(backend.name),
        weight: raw.weight.or(1),
        max_sessions: raw.max_sessions.or(None),
        priority: raw.priority.or(0),
        ..backend
    })
}

fn named_by_address(url: BackendUrl) -> Backend {
    Backend {
        name: url.written.into(),
        address: url.address,
        weight: 1,
        max_sessions: None,
        priority: 0,
    }
}

/// Names and addresses of a pool's backends so far, with the path of the backend.
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
