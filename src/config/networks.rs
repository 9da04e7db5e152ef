//! Networks, and whether an address is in one of them.

use std::net::IpAddr;

use ipnet::IpNet;

/// A list of networks.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// These networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The networks in order.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them has the address. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Proxies that are believed when they name the client.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TrustedProxies {
    /// Peers at these addresses.
    pub networks: Networks,
    /// Peers on the listener's unix socket, which have no address.
    pub unix: bool,
}

impl TrustedProxies {
    /// Whether no peer is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether a peer is one of them; a peer on a unix socket has no address.
    #[must_use]
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        address.map_or(self.unix, |address| self.networks.contains(address))
    }
}

/// Which addresses may connect.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Access {
    /// Addresses that may; all if empty.
    pub allow: Networks,
    /// Addresses that may not, whatever `allow` says.
    pub deny: Networks,
}

impl Access {
    /// Whether a client at this address may connect.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        !self.deny.contains(address) && (self.allow.is_empty() || self.allow.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        let networks = texts.iter().map(|text| text.parse().expect("a network"));
        Networks::new(networks.collect())
    }

    #[test]
    fn contains_what_is_in_one_of_them() {
        let networks = networks(&["10.0.0.0/8", "2001:db8::/32"]);
        let cases = [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("11.0.0.1", false),
            ("::1", false),
        ];
        for (address, is_in) in cases {
            let address = address.parse().expect("an address");
            assert_eq!(networks.contains(address), is_in, "{address}");
        }
    }

    #[test]
    fn deny_wins_and_no_allow_is_all() {
        let cases: [(&[&str], &[&str], bool); 6] = [
            (&[], &[], true),
            (&["10.0.0.0/8"], &[], true),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], false),
            (&["10.1.2.3/32"], &["10.0.0.0/8"], false),
            (&["192.0.2.0/24"], &[], false),
            (&[], &["192.0.2.0/24"], true),
        ];
        for (allow, deny, admitted) in cases {
            let access = Access {
                allow: networks(allow),
                deny: networks(deny),
            };
            let address = "10.1.2.3".parse().expect("an address");
            assert_eq!(access.admits(address), admitted, "{allow:?} {deny:?}");
        }
    }
}
