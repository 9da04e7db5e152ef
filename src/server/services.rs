//! Resolves an SRV service to addresses. Its hosts are looked up concurrently, and one that fails does not hold up the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::turns::Turns;
use crate::dns::message::Kind;
use crate::dns::{Answer, EMPTY_ANSWERS, Fault, Resolver, Service, Trail};

/// Concurrent lookups of hosts.
const LOOKUPS: usize = 16;
/// The maximum weight of a backend.
const WEIGHT: u32 = 1000;

/// An address and port found in the DNS. By the derived order the best priority comes first of several at one
/// address and port.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u32,
}

/// What the last lookups of the hosts of a service found.
pub(super) struct Hosts {
    /// Of the name in the configuration, whether a service or a host.
    trail: Trail,
    by_name: BTreeMap<String, Host>,
    /// Each query takes one. Shared by all pools.
    turns: Arc<Turns>,
}

#[derive(Default)]
struct Host {
    addresses: Vec<IpAddr>,
    trail: Trail,
    /// Lookups in a row that found no address.
    absences: u32,
    is_failing: bool,
}

impl Hosts {
    /// Nothing is known yet; each query takes one of `turns`.
    pub(super) fn unknown(turns: &Arc<Turns>) -> Self {
        Self {
            trail: Trail::default(),
            by_name: BTreeMap::new(),
            turns: Arc::clone(turns),
        }
    }

    /// Resolves the host `name`.
    ///
    /// # Errors
    /// When the lookup fails.
    pub(super) async fn addresses(
        &mut self,
        resolver: &Resolver,
        name: &str,
        families: &[Kind],
    ) -> Result<Answer<IpAddr>, Fault> {
        addresses(&self.turns, resolver, name, families, &mut self.trail).await
    }

    /// Resolves the service `name`, with all priorities. A host whose lookup fails keeps its last addresses. So does a
    /// host without addresses until its [`EMPTY_ANSWERS`]th empty lookup, unless no host has any.
    ///
    /// # Errors
    /// When the lookup of the service fails, or that of a host does and no address is known.
    pub(super) async fn spots(
        &mut self,
        resolver: &Resolver,
        name: &str,
        families: &'static [Kind],
    ) -> Result<Answer<Spot>, Fault> {
        let trail = &mut self.trail;
        let service = match self.turns.soon(resolver.services(name, trail)).await {
            Some(service) => service?,
            None => self.turns.late(resolver.services(name, trail)).await?,
        };
        let hosts = service.found.iter().map(|place| place.host.clone());
        let (lifetime, fault) = self.look_up(resolver, hosts.collect(), families).await;
        let mut found: Vec<Spot> = Vec::new();
        if service.found.iter().any(|place| !self.is_absent(place)) {
            found.extend(service.found.iter().flat_map(|place| self.spots_of(place)));
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

    /// Looks up `names` and forgets all other hosts. Returns the shortest lifetime, and one of the faults if there was any.
    async fn look_up(
        &mut self,
        resolver: &Resolver,
        names: BTreeSet<String>,
        families: &'static [Kind],
    ) -> (Option<Duration>, Option<Fault>) {
        // A single empty answer does not empty the pool; the hosts are needed again when the next one is not empty.
        if !names.is_empty() {
            self.by_name.retain(|name, _| names.contains(name));
        }
        let places = Arc::new(Semaphore::new(LOOKUPS));
        let mut answers = JoinSet::new();
        for name in names {
            let (resolver, places) = (resolver.clone(), Arc::clone(&places));
            let turns = Arc::clone(&self.turns);
            let host = self.by_name.get(&name);
            let mut trail = host.map(|host| host.trail.clone()).unwrap_or_default();
            answers.spawn(async move {
                let _place = places.acquire().await;
                let full = format!("{name}.");
                let answer = addresses(&turns, &resolver, &full, families, &mut trail).await;
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

    /// Logs that the lookup of a host failed, if the one before did not.
    fn note_fault(&mut self, name: String, fault: &Fault) {
        let host = self.by_name.entry(name.clone()).or_default();
        if !host.is_failing {
            let known = host.addresses.len();
            tracing::warn!(
                host = name,
                known,
                "a host of the service cannot be looked up: {fault}"
            );
        }
        host.is_failing = true;
    }

    /// Counts a lookup without addresses; the first one is logged, the [`EMPTY_ANSWERS`]th drops the old addresses.
    fn note_absence(&mut self, name: String) {
        let host = self.by_name.entry(name.clone()).or_default();
        let known = host.addresses.len();
        if host.absences == 0 && known > 0 {
            tracing::warn!(
                host = name,
                known,
                "a host of the service has no address; its last ones are kept for now"
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

    fn spots_of(&self, place: &Service) -> impl Iterator<Item = Spot> {
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

/// Resolves the host `name` in its turn.
async fn addresses(
    turns: &Turns,
    resolver: &Resolver,
    name: &str,
    families: &[Kind],
    trail: &mut Trail,
) -> Result<Answer<IpAddr>, Fault> {
    match turns.soon(resolver.addresses(name, families, trail)).await {
        Some(answer) => answer,
        None => turns.late(resolver.addresses(name, families, trail)).await,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::net::UdpSocket;
    use tokio::time::timeout;

    use super::*;

    /// Expects that `ask` asks nobody while all turns are taken.
    async fn expect_turns(ask: impl AsyncFnOnce(Hosts, Resolver)) {
        let turns = Arc::new(Turns::of(1));
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolver = Resolver::new(vec![server.local_addr().unwrap()]);
        let taken = turns.first.acquire().await.unwrap();
        let mut packet = [0; 512];
        let asked = async {
            tokio::select! {
                () = ask(Hosts::unknown(&turns), resolver) => panic!("nobody has answered"),
                asked = server.recv(&mut packet) => asked.unwrap(),
            }
        };
        let mut asked = pin!(asked);
        let early = timeout(Duration::from_millis(100), asked.as_mut()).await;
        assert!(early.is_err(), "it had no turn");
        drop(taken);
        assert!(asked.await > 0);
    }

    #[tokio::test]
    async fn all_pools_take_turns() {
        expect_turns(async |mut hosts, resolver| {
            drop(hosts.addresses(&resolver, "a.test.", &[Kind::A]).await);
        })
        .await;
        expect_turns(async |mut hosts, resolver| {
            drop(hosts.spots(&resolver, "_ws._tcp.a.test.", &[Kind::A]).await);
        })
        .await;
        expect_turns(async |mut hosts, resolver| {
            let names = BTreeSet::from(["b.test".to_owned()]);
            drop(hosts.look_up(&resolver, names, &[Kind::A]).await);
        })
        .await;
    }
}
