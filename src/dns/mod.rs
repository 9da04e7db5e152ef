//! A DNS client: the addresses and services of a name, with their lifetimes. It has no cache.
//!
//! The system's resolver returns neither lifetimes nor SRV records, so this one asks the name servers itself (RFC 1035,
//! RFC 2782). `message` has the format of packets, `exchange` sends and receives them.

mod exchange;
pub mod message;
mod system;
#[cfg(test)]
mod tests;
mod trail;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use exchange::Server;
use message::{Kind, Record};
use simple_dns::RCODE;
pub use trail::{EMPTY_ANSWERS, Trail};

/// Asks name servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    /// The suffixes of the search list.
    search: Vec<String>,
    /// A name with fewer dots is tried with the suffixes first (`ndots`).
    dots: usize,
}

/// What is found under a name; empty if the name or the records asked for do not exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<T> {
    /// In no order.
    pub found: Vec<T>,
    /// How long it is valid; none if nothing is found.
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

/// A target of a service (RFC 2782).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// The lower, the better.
    pub priority: u16,
    /// Its share among targets of the same priority; 0 is the least.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The name of its host.
    pub host: String,
}

/// Why there is no answer. An empty answer is not a fault.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No name server is known.
    #[error("no name server is known")]
    NoServer,
    /// The text is not a DNS name.
    #[error("{0} is not a DNS name")]
    BadName(String),
    /// No name server answered in time.
    #[error("no name server answered in time")]
    Timeout,
    /// A name server could not be reached.
    #[error("the name server cannot be reached: {0}")]
    Unreachable(std::io::Error),
    /// A name server refused or failed; says how.
    #[error("the name server answered {0:?}")]
    Refused(RCODE),
    /// An answer is not a valid packet.
    #[error("the name server's answer is not valid")]
    Broken,
}

impl Resolver {
    /// A resolver that asks `servers`, without a search list.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            search: Vec::new(),
            dots: 1,
        }
    }

    /// The addresses of `name`, by the search list: those of the first full name that has any, and of the first of `families`
    /// that it has. Only one family is returned because a host with addresses of both is one backend, not two.
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

    /// The targets of the service `name`, such as `_ws._tcp.chat.internal`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn services(&self, name: &str, trail: &mut Trail) -> Result<Answer<Service>, Fault> {
        let Answer { found, lifetime } = self.first(name, &[Kind::Srv], trail).await?;
        let services = found.into_iter().filter_map(|record| match record {
            // A target of "." means that there is no such service (RFC 2782).
            Record::Service(service) if service.host.is_empty() => None,
            // Nothing can listen at port 0.
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

    /// The records of the first full name of the search list that has any.
    ///
    /// If one name is refused, as its zone fails, the next is tried; the refusal is returned only if none has records. The
    /// exception is the name at which, by the `trail`, records were found before: if it is refused that is returned, and if it has
    /// no such records any more the answer is empty for a while, as records of a later name may be those of another service.
    async fn first(
        &self,
        name: &str,
        kinds: &[Kind],
        trail: &mut Trail,
    ) -> Result<Answer<Record>, Fault> {
        let (mut refused, mut has_missed) = (None, false);
        let mut servers: Vec<Server> = self.servers.iter().copied().map(Server::at).collect();
        for full in self.full_names(name) {
            match ask(&mut servers, &full, kinds).await {
                Ok(None) => has_missed |= trail.is_at(&full),
                Ok(Some((kind, answer))) => {
                    has_missed |= trail.is_before(&full, kind, kinds);
                    let taken = trail.turn(full, kind, has_missed).then_some(answer);
                    return Ok(taken.unwrap_or_else(Answer::nothing));
                }
                Err(fault @ Fault::Refused(_)) if !trail.is_at(&full) => {
                    refused = refused.or(Some(fault));
                }
                // A suffix makes it too long, or is not a name itself; the name may be one all the same.
                Err(Fault::BadName(_)) if full.len() > name.len() => {}
                Err(fault) => return Err(fault),
            }
        }
        if let Some(fault) = refused {
            return Err(fault);
        }
        trail.miss();
        Ok(Answer::nothing())
    }

    /// The names to try, as in resolv.conf(5): a name that ends with a dot as it is; one with few dots with the suffixes first;
    /// any other without them first.
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

/// The records of the first of these kinds that has any.
async fn ask(
    servers: &mut [Server],
    full: &str,
    kinds: &[Kind],
) -> Result<Option<(Kind, Answer<Record>)>, Fault> {
    for kind in kinds {
        let answer = exchange::ask(servers, full, *kind).await?;
        if !answer.found.is_empty() {
            return Ok(Some((*kind, answer)));
        }
    }
    Ok(None)
}

fn address(record: Record) -> Option<IpAddr> {
    match record {
        Record::Address(ip) => Some(ip),
        Record::Service(_) => None,
    }
}
