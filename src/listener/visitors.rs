//! Counts the open connections of each client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The number of a listener's connections by client. Clients without connections have no entry.
#[derive(Debug, Default)]
pub struct Visitors {
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Visitors {
    /// Counts a connection from `address`.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Visit {
        let client = client_at(address);
        let nth = self.with(|open| {
            let count = open.entry(client).or_default();
            *count += 1;
            *count
        });
        Visit {
            visitors: Arc::clone(self),
            client,
            nth,
        }
    }

    fn leave(&self, client: IpAddr) {
        self.with(|open| match open.get_mut(&client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&client)),
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<IpAddr, usize>) -> T) -> T {
        // A panic cannot leave the map inconsistent, as each change is one step.
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection of a client; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    visitors: Arc<Visitors>,
    client: IpAddr,
    /// How many connections the client has, this one included.
    pub(super) nth: usize,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visitors.leave(self.client);
    }
}

/// What counts as one client: an IPv4 address, also behind NAT64 (RFC 6052 section 2.1), or an IPv6 /64, as one host can use all
/// of its addresses.
fn client_at(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address.to_canonical() else {
        return address.to_canonical();
    };
    match address.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ipv4 @ ..] => IpAddr::from(ipv4),
        _ => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn counts_each_client_until_it_has_left() {
        let visitors = Arc::<Visitors>::default();
        let first = visitors.enter(at("192.0.2.1"));
        let second = visitors.enter(at("::ffff:192.0.2.1"));
        assert_eq!((first.nth, second.nth), (1, 2));
        assert_eq!(visitors.enter(at("192.0.2.2")).nth, 1);
        drop(first);
        assert_eq!(visitors.enter(at("192.0.2.1")).nth, 2);
        drop(second);
        assert!(visitors.open.lock().expect("nobody panicked").is_empty());
    }

    #[test]
    fn tells_clients_behind_nat64_apart() {
        let visitors = Arc::<Visitors>::default();
        let _first = visitors.enter(at("64:ff9b::192.0.2.1"));
        assert_eq!(visitors.enter(at("64:ff9b::192.0.2.2")).nth, 1);
        assert_eq!(visitors.enter(at("192.0.2.1")).nth, 2);
    }

    #[test]
    fn takes_a_prefix_of_ipv6_for_one_client() {
        let visitors = Arc::<Visitors>::default();
        let _first = visitors.enter(at("2001:db8:1:2::1"));
        assert_eq!(visitors.enter(at("2001:db8:1:2:ffff::9")).nth, 2);
        assert_eq!(visitors.enter(at("2001:db8:1:3::1")).nth, 1);
    }
}
