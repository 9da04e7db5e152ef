//! Backends and how sessions are spread over them.

use std::fmt;

use super::{Health, Name};

/// Backends and how sessions are spread over them.
#[derive(Clone, PartialEq, Debug)]
pub struct Pool {
    /// How the order of candidates is found.
    pub strategy: Strategy,
    /// Backends tried before the client is refused; at least 1.
    pub attempts: usize,
    /// The backends in the order of the file; names and addresses are each unique. Where there are none,
    /// sessions are refused.
    pub backends: Vec<Backend>,
    /// Which of them get sessions.
    pub health: Health,
    /// How they are reached.
    pub transport: Transport,
}

/// How the backends of a pool are reached.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Transport {
    /// What a connection begins with.
    pub proxy_protocol: ProxyProtocol,
}

/// Whether a PROXY header tells a backend where the client is, and which one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ProxyProtocol {
    /// No header.
    #[default]
    None,
    /// One line of text.
    V1,
    /// A binary header.
    V2,
}

/// How the order of candidates is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// In turn, smooth by weight.
    RoundRobin,
}

/// One backend of a pool.
#[derive(Clone, PartialEq, Debug)]
pub struct Backend {
    /// Its name; the address as written where the file gives none.
    pub name: Name,
    /// Where it is.
    pub address: BackendAddress,
    /// Its share of the sessions; at least 1.
    pub weight: u32,
}

/// Where a backend is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendAddress {
    /// A name or an address (an IPv6 address without brackets).
    pub host: String,
    /// The port; 80 where the file gives none.
    pub port: u16,
}

impl BackendAddress {
    /// What Host says to this backend, where it is to name it.
    #[must_use]
    pub fn authority(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}
