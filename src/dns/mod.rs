//! Asking the DNS: addresses and services of a name, with how long the answers hold. No cache is kept.
//!
//! The system's own resolver tells no lifetimes and knows no services, so this one asks the name servers
//! itself (RFC 1035, RFC 2782). What a packet looks like is in `message`, how it travels in `exchange`.

mod exchange;
pub mod message;
mod system;
#[cfg(test)]
mod tests;
mod trail;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use message::{Kind, Record};
pub use trail::{EMPTY_ANSWERS, Trail};

/// Asks name servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    /// Suffixes that are tried for a short name.
    search: Vec<String>,
    /// A name with fewer dots is short.
    dots: usize,
}

/// What is found under a name; nothing where the name, or what was asked of it, does not exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<T> {
    /// In no order.
    pub found: Vec<T>,
    /// How long it holds; none where nothing is found.
    pub lifetime: Option<Duration>,
}

impl<T> Answer<T> {
    fn nothing() -> Self {
        Self {
            found: Vec::new(),
            lifetime: None,
        }
    }
}

/// A place where a service is (RFC 2782).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// The lower, the better.
    pub priority: u16,
    /// Its share among those of the same priority; 0 is the least.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The name of its host.
    pub host: String,
}

/// Why there is no answer. That nothing is found is one.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No name server is known.
    #[error("no name server is known")]
    NoServer,
    /// The text is no name.
    #[error("{0} is no name of the DNS")]
    BadName(String),
    /// No name server answered in time.
    #[error("no name server answered in time")]
    Timeout,
    /// A name server could not be reached.
    #[error("the name server cannot be reached: {0}")]
    Unreachable(std::io::Error),
    /// A name server refused or failed; says how.
    #[error("the name server answered {0}")]
    Refused(String),
    /// An answer is no sound packet.
    #[error("the answer of the name server is not sound")]
    Broken,
}

impl Resolver {
    /// Asks `servers`, by full names only.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            search: Vec::new(),
            dots: 1,
        }
    }

    /// The addresses under the first of the names that `name` may stand for that has any: of the first of these families of
    /// which there are any. What has addresses of two families is one place, not two.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn addresses(
        &self,
        name: &str,
        families: &[Kind],
        trail: &mut Trail,
    ) -> Result<Answer<IpAddr>, Fault> {
        let Answer { found, lifetime } = self.first(name, families, trail).await?;
        Ok(Answer {
            found: found.into_iter().filter_map(address).collect(),
            lifetime,
        })
    }

    /// The places of the service `name`, such as `_ws._tcp.chat.internal`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn services(&self, name: &str, trail: &mut Trail) -> Result<Answer<Service>, Fault> {
        let Answer { found, lifetime } = self.first(name, &[Kind::Srv], trail).await?;
        let services = found.into_iter().filter_map(|record| match record {
            // A single dot says that the service is decidedly not there.
            Record::Service(service) if service.host.is_empty() => None,
            // Nothing can listen there.
            Record::Service(service) if service.port == 0 => None,
            Record::Service(service) => Some(service),
            Record::Address(_) => None,
        });
        let found: Vec<Service> = services.collect();
        Ok(Answer {
            lifetime: lifetime.filter(|_| !found.is_empty()),
            found,
        })
    }

    /// What is found under the first of the names that `name` may stand for. A zone that fails does not hide the ones after
    /// it; where none of them has anything, it is why there is no answer. So it is where the one fails to which the trail
    /// leads: what the ones after it have may be something else. For the same reason nothing is found for a while where that
    /// one has nothing any more, or nothing of the kind that it had.
    async fn first(
        &self,
        name: &str,
        kinds: &[Kind],
        trail: &mut Trail,
    ) -> Result<Answer<Record>, Fault> {
        let (mut refused, mut has_missed) = (None, false);
        for full in self.full_names(name) {
            match self.ask(&full, kinds).await {
                Ok(None) => has_missed |= trail.is_at(&full),
                Ok(Some((kind, answer))) => {
                    has_missed |= trail.is_before(&full, kind, kinds);
                    let taken = trail.turn(full, kind, has_missed).then_some(answer);
                    return Ok(taken.unwrap_or_else(Answer::nothing));
                }
                Err(fault @ Fault::Refused(_)) if !trail.is_at(&full) => {
                    refused = refused.or(Some(fault));
                }
                Err(fault) => return Err(fault),
            }
        }
        if let Some(fault) = refused {
            return Err(fault);
        }
        trail.miss();
        Ok(Answer::nothing())
    }

    /// What of the first of these kinds is found of which there is anything.
    async fn ask(
        &self,
        full: &str,
        kinds: &[Kind],
    ) -> Result<Option<(Kind, Answer<Record>)>, Fault> {
        for kind in kinds {
            let answer = exchange::ask(&self.servers, full, *kind).await?;
            if !answer.found.is_empty() {
                return Ok(Some((*kind, answer)));
            }
        }
        Ok(None)
    }

    /// As resolv.conf(5) says: a dot at the end makes a name full; a short one is tried with the suffixes first,
    /// any other without.
    fn full_names(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let mut names: Vec<String> = self
            .search
            .iter()
            .map(|suffix| format!("{name}.{suffix}"))
            .collect();
        let is_short = name.matches('.').count() < self.dots;
        let place = if is_short { names.len() } else { 0 };
        names.insert(place, name.to_owned());
        names
    }
}

fn address(record: Record) -> Option<IpAddr> {
    match record {
        Record::Address(ip) => Some(ip),
        Record::Service(_) => None,
    }
}
