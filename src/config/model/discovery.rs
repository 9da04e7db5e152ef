//! Backends that are found in the DNS.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Backends that are found in the DNS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Discovery {
    /// What is asked for.
    pub question: Question,
    /// The family of addresses that is asked for; `None` for IPv4, and IPv6 where there are none.
    pub family: Option<Family>,
    /// Whether TLS is spoken to what is found.
    pub tls: bool,
    /// The most sessions that each of them takes.
    pub max_sessions: Option<NonZeroUsize>,
    /// The longest time between two questions.
    pub refresh: Duration,
    /// The name servers that are asked; the system's where there are none.
    pub nameservers: Vec<SocketAddr>,
}

/// A family of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Addresses of 4 bytes.
    Ipv4,
    /// Addresses of 16 bytes.
    Ipv6,
}

/// What the DNS is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// The addresses of a name; each is a backend at this port.
    Addresses {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// The places of a service, such as `_ws._tcp.chat.internal` (RFC 2782).
    Services(String),
}

impl Question {
    /// The name that is asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Addresses { name, .. } | Self::Services(name) => name,
        }
    }

    /// The name without what says which service it is: what certificates bear.
    #[must_use]
    pub fn domain(&self) -> &str {
        let name = self.name().trim_end_matches('.');
        match self {
            Self::Addresses { .. } => name,
            Self::Services(_) => {
                let mut labels = name.splitn(3, '.');
                labels.nth(2).unwrap_or(name)
            }
        }
    }
}
