//! Counts the open connections of each client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use crate::mutex::lock;

/// The number of a listener's connections by client. Clients without connections have no entry.
#[derive(Debug, Default)]
pub struct Visitors {
    open: Mutex<HashMap<IpAddr, Count>>,
}

/// The connections of one client.
#[derive(Clone, Copy, Default, Debug)]
struct Count {
    /// Those that count towards its limit.
    admitted: usize,
    /// Those beyond it, which are only to be refused. If they counted as well, they would lock the client out after its
    /// others have ended.
    surplus: usize,
}

impl Visitors {
    /// Counts a connection from `address`.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, limit: Option<NonZeroUsize>) -> Visit {
        let client = client_at(address);
        let surplus = self.with(|open| {
            let count = open.entry(client).or_default();
            if limit.is_some_and(|limit| count.admitted >= limit.get()) {
                count.surplus += 1;
                count.surplus
            } else {
                count.admitted += 1;
                0
            }
        });
        Visit {
            visitors: Arc::clone(self),
            client,
            surplus,
        }
    }

    fn leave(&self, client: IpAddr, is_surplus: bool) {
        self.with(|open| {
            let Some(count) = open.get_mut(&client) else {
                return;
            };
            match is_surplus {
                true => count.surplus -= 1,
                false => count.admitted -= 1,
            }
            if count.admitted + count.surplus == 0 {
                open.remove(&client);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<IpAddr, Count>) -> T) -> T {
        act(&mut lock(&self.open))
    }
}

/// A connection of a client; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    visitors: Arc<Visitors>,
    client: IpAddr,
    /// See [`Visit::surplus`].
    surplus: usize,
}

impl Visit {
    /// How many connections beyond its limit the client had, this one included; 0 if this one is within.
    pub(super) fn surplus(&self) -> usize {
        self.surplus
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visitors.leave(self.client, self.surplus > 0);
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

    /// A connection from there, with a limit of one.
    fn enter(visitors: &Arc<Visitors>, text: &str) -> Visit {
        visitors.enter(at(text), NonZeroUsize::new(1))
    }

    #[test]
    fn counts_each_client_until_it_has_left() {
        let visitors = Arc::<Visitors>::default();
        let first = enter(&visitors, "192.0.2.1");
        let second = enter(&visitors, "::ffff:192.0.2.1");
        assert_eq!((first.surplus(), second.surplus()), (0, 1));
        assert_eq!(enter(&visitors, "192.0.2.2").surplus(), 0);
        let third = enter(&visitors, "192.0.2.1");
        assert_eq!(third.surplus(), 2);
        drop(third);
        assert_eq!(visitors.enter(at("192.0.2.1"), None).surplus(), 0);
        drop((first, second));
        assert!(visitors.open.lock().expect("nobody panicked").is_empty());
    }

    #[test]
    fn what_is_to_be_refused_takes_no_place() {
        let visitors = Arc::<Visitors>::default();
        let first = enter(&visitors, "192.0.2.1");
        let _refused = [enter(&visitors, "192.0.2.1"), enter(&visitors, "192.0.2.1")];
        drop(first);
        let next = enter(&visitors, "192.0.2.1");
        assert_eq!(next.surplus(), 0);
        assert_eq!(enter(&visitors, "192.0.2.1").surplus(), 3);
    }

    #[test]
    fn tells_clients_behind_nat64_apart() {
        let visitors = Arc::<Visitors>::default();
        let _first = enter(&visitors, "64:ff9b::192.0.2.1");
        assert_eq!(enter(&visitors, "64:ff9b::192.0.2.2").surplus(), 0);
        assert_eq!(enter(&visitors, "192.0.2.1").surplus(), 1);
    }

    #[test]
    fn takes_a_prefix_of_ipv6_for_one_client() {
        let visitors = Arc::<Visitors>::default();
        let _first = enter(&visitors, "2001:db8:1:2::1");
        assert_eq!(enter(&visitors, "2001:db8:1:2:ffff::9").surplus(), 1);
        assert_eq!(enter(&visitors, "2001:db8:1:3::1").surplus(), 0);
    }
}
