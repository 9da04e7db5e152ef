//! The places of a service: its hosts are looked up side by side, and one that cannot be does not hold up the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::dns::message::Kind;
use crate::dns::{Answer, EMPTY_ANSWERS, Fault, Resolver, Service, Trail};

/// How many hosts are looked up at once.
const LOOKUPS: usize = 16;
/// The greatest weight of a backend.
const WEIGHT: u32 = 1000;

/// Where something was found. In order, so that of several at one place the best comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u32,
}

/// The hosts of a service, as they were looked up last.
#[derive(Default)]
pub(super) struct Hosts {
    /// Of the name that is asked for, be it a service or not.
    pub(super) trail: Trail,
    by_name: BTreeMap<String, Host>,
}

#[derive(Default)]
struct Host {
    addresses: Vec<IpAddr>,
    trail: Trail,
    /// How often in a row it was nowhere.
    absences: u32,
    is_failing: bool,
}

impl Hosts {
    /// The places of the service `name`, those of all priorities. A host that cannot be looked up is where it was before, and
    /// so for a while is one that is nowhere, where others are somewhere.
    ///
    /// # Errors
    /// When the service cannot be looked up, or hosts cannot and nothing is known of any.
    pub(super) async fn places(
        &mut self,
        resolver: &Resolver,
        name: &str,
        families: &'static [Kind],
    ) -> Result<Answer<Spot>, Fault> {
        let service = resolver.services(name, &mut self.trail).await?;
        let hosts = service.found.iter().map(|place| place.host.clone());
        let (lifetime, fault) = self.look_up(resolver, hosts.collect(), families).await;
        let mut found: Vec<Spot> = Vec::new();
        if service.found.iter().any(|place| !self.is_absent(place)) {
            found.extend(service.found.iter().flat_map(|place| self.spots(place)));
        }
        match fault {
            Some(fault) if found.is_empty() => Err(fault),
            _ => Ok(Answer {
                lifetime: lifetime
                    .into_iter()
                    .chain(service.lifetime)
                    .min()
                    .filter(|_| !found.is_empty()),
                found,
            }),
        }
    }

    /// Looks up `names` and forgets all others. The shortest lifetime, and why one of them could not be looked up.
    async fn look_up(
        &mut self,
        resolver: &Resolver,
        names: BTreeSet<String>,
        families: &'static [Kind],
    ) -> (Option<Duration>, Option<Fault>) {
        // One empty answer empties no pool, and what is known of its hosts is needed when they are back.
        if !names.is_empty() {
            self.by_name.retain(|name, _| names.contains(name));
        }
        let places = Arc::new(Semaphore::new(LOOKUPS));
        let mut answers = JoinSet::new();
        for name in names {
            let (resolver, places) = (resolver.clone(), Arc::clone(&places));
            let host = self.by_name.get(&name);
            let mut trail = host.map(|host| host.trail.clone()).unwrap_or_default();
            answers.spawn(async move {
                let _place = places.acquire().await;
                let full = format!("{name}.");
                let answer = resolver.addresses(&full, families, &mut trail).await;
                (name, answer, trail)
            });
        }
        let (mut lifetime, mut last) = (None, None);
        while let Some(Ok((name, answer, trail))) = answers.join_next().await {
            self.by_name.entry(name.clone()).or_default().trail = trail.clone();
            match answer {
                Ok(answer) if answer.found.is_empty() => self.note_absence(name),
                Ok(answer) => {
                    lifetime = lifetime.into_iter().chain(answer.lifetime).min();
                    let host = Host {
                        addresses: answer.found,
                        trail,
                        ..Host::default()
                    };
                    self.by_name.insert(name, host);
                }
                Err(fault) => {
                    self.note_fault(name, &fault);
                    last = Some(fault);
                }
            }
        }
        (lifetime, last)
    }

    /// Says that a host cannot be looked up, if that is new.
    fn note_fault(&mut self, name: String, fault: &Fault) {
        let host = self.by_name.entry(name.clone()).or_default();
        if !host.is_failing {
            let known = host.addresses.len();
            tracing::warn!(
                host = name,
                known,
                "a host of a service cannot be looked up: {fault}"
            );
        }
        host.is_failing = true;
    }

    /// Forgets where a host was that has been nowhere for long, and says so when that begins.
    fn note_absence(&mut self, name: String) {
        let host = self.by_name.entry(name.clone()).or_default();
        let known = host.addresses.len();
        if host.absences == 0 && known > 0 {
            tracing::warn!(
                host = name,
                known,
                "a host of a service is nowhere; where it was is kept for now"
            );
        }
        host.is_failing = false;
        host.absences += 1;
        if host.absences >= EMPTY_ANSWERS {
            host.addresses.clear();
        }
    }

    fn is_absent(&self, place: &Service) -> bool {
        let host = self.by_name.get(&place.host);
        host.is_some_and(|host| host.absences > 0)
    }

    fn spots(&self, place: &Service) -> impl Iterator<Item = Spot> {
        let host = self.by_name.get(&place.host);
        let addresses = host.map_or(&[][..], |host| &host.addresses);
        let (port, priority) = (place.port, place.priority);
        let weight = u32::from(place.weight).clamp(1, WEIGHT);
        addresses.iter().map(move |&ip| Spot {
            ip,
            port,
            priority,
            weight,
        })
    }
}
