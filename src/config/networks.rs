//! Networks, and whether an address is in one of them.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// A set of networks, which may be many: lists of whole countries are in use.
///
/// They are sorted, and none is within another one. As two networks cannot overlap in any other way, an address can only be
/// in the last one that does not begin after it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Networks(Arc<[IpNet]>);

impl Networks {
    /// These networks.
    #[must_use]
    pub fn new(mut networks: Vec<IpNet>) -> Self {
        // A network comes directly behind one that contains it, or behind others within that one.
        networks.sort_unstable_by_key(|network| (network.network(), network.prefix_len()));
        networks.dedup_by(|network, before| before.contains(&*network));
        Self(networks.into())
    }

    /// The networks in order, without those within others.
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
        let behind = self.0.partition_point(|it| it.network() <= address);
        let last = behind.checked_sub(1).map(|index| &self.0[index]);
        last.is_some_and(|network| network.contains(&address))
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
    use proptest::collection::vec;
    use proptest::prelude::*;

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
    fn one_within_another_is_left_out() {
        let nested = [
            "10.1.0.0/16",
            "2001:db8::/32",
            "10.0.0.0/8",
            "::/1",
            "10.0.0.0/16",
            "10.0.0.0/8",
            "9.255.255.255/32",
        ];
        let wide = ["9.255.255.255/32", "10.0.0.0/8", "::/1"];
        assert_eq!(networks(&nested), networks(&wide));
        assert_eq!(networks(&nested).iter().count(), wide.len());
        assert!(!networks(&["::/0"]).contains(IpAddr::from([10, 1, 2, 3])));
    }

    proptest! {
        #[test]
        fn many_contain_what_one_of_them_does(
            list in vec((any::<[u8; 2]>(), 0..=32_u8, any::<bool>()), 0..40),
            [high, low] in any::<[u8; 2]>(),
        ) {
            // Few of all addresses, so that networks meet.
            let v4 = |[high, low]: [u8; 2]| IpAddr::from([high & 3, low & 7, 0, 0]);
            let v6 = |[high, low]: [u8; 2]| IpAddr::from([0x2001, u16::from(high & 3), u16::from(low), 0, 0, 0, 0, 0]);
            let list = list.into_iter().map(|(bytes, length, is_v4)| {
                let address = if is_v4 { v4(bytes) } else { v6(bytes) };
                IpNet::new(address, length).expect("a network").trunc()
            });
            let list: Vec<IpNet> = list.collect();
            for address in [v4([high, low]), v6([high, low])] {
                let is_in = list.iter().any(|network| network.contains(&address));
                prop_assert_eq!(Networks::new(list.clone()).contains(address), is_in);
            }
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
