//! Writing a header.

use std::net::{IpAddr, Ipv6Addr};

use super::{Ends, LOCAL, PROXY, SIGNATURE, TCP4, TCP6, UNSPECIFIED, Version};

/// The header of a connection for a client, or for the sender itself (`None`).
///
/// Without `ends` it is UNKNOWN in version 1 and LOCAL in version 2. If the two addresses are of different families, the IPv4
/// address is written as an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2).
#[must_use]
pub fn encode(version: Version, ends: Option<Ends>) -> Vec<u8> {
    match version {
        Version::V1 => text(ends).into_bytes(),
        Version::V2 => binary(ends),
    }
}

/// Both addresses, in one family.
enum Pair {
    V4([[u8; 4]; 2]),
    V6([Ipv6Addr; 2]),
}

impl Pair {
    fn of(ends: Ends) -> Self {
        let mapped = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        match (ends.source.ip(), ends.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::V4([source.octets(), destination.octets()])
            }
            (source, destination) => Self::V6([mapped(source), mapped(destination)]),
        }
    }
}

fn text(ends: Option<Ends>) -> String {
    let Some(ends) = ends else {
        return "PROXY UNKNOWN\r\n".to_owned();
    };
    let (family, [source, destination]) = match Pair::of(ends) {
        Pair::V4(pair) => ("TCP4", pair.map(IpAddr::from)),
        Pair::V6(pair) => ("TCP6", pair.map(IpAddr::from)),
    };
    let (from, to) = (ends.source.port(), ends.destination.port());
    format!("PROXY {family} {source} {destination} {from} {to}\r\n")
}

fn binary(ends: Option<Ends>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(ends) = ends else {
        header.extend([LOCAL, UNSPECIFIED, 0, 0]);
        return header;
    };
    match Pair::of(ends) {
        Pair::V4(pair) => {
            header.extend([PROXY, TCP4.0, 0, TCP4.1]);
            header.extend(pair.as_flattened());
        }
        Pair::V6(pair) => {
            header.extend([PROXY, TCP6.0, 0, TCP6.1]);
            header.extend(pair.map(|ip| ip.octets()).as_flattened());
        }
    }
    header.extend(ends.source.port().to_be_bytes());
    header.extend(ends.destination.port().to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Option<Ends> {
        Some(Ends::new(
            source.parse().unwrap(),
            destination.parse().unwrap(),
        ))
    }

    fn line(ends: Option<Ends>) -> String {
        String::from_utf8(encode(Version::V1, ends)).unwrap()
    }

    #[test]
    fn writes_a_line_for_each_family() {
        let v4 = ends("192.0.2.1:4711", "198.51.100.2:443");
        assert_eq!(line(v4), "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n");
        let v6 = ends("[2001:db8::1]:4711", "[2001:db8::2]:443");
        assert_eq!(line(v6), "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n");
        assert_eq!(line(None), "PROXY UNKNOWN\r\n");
    }

    #[test]
    fn writes_mapped_addresses_as_ipv4_unless_the_families_differ() {
        let both = ends("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2");
        assert_eq!(line(both), "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
        let mixed = ends("192.0.2.1:1", "[2001:db8::2]:2");
        assert_eq!(
            line(mixed),
            "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"
        );
    }

    #[test]
    fn writes_binary_headers_whose_lengths_are_true() {
        let v4 = encode(Version::V2, ends("192.0.2.1:4711", "198.51.100.2:443"));
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
        expected.extend([192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0x01, 0xbb]);
        assert_eq!(v4, expected);

        let v6 = encode(Version::V2, ends("[2001:db8::1]:4711", "[::2]:443"));
        assert_eq!(v6[12..16], [0x21, 0x21, 0x00, 0x24]);
        assert_eq!(v6.len(), 16 + 36);
        assert_eq!(v6[16..20], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(v6[47..], [2, 0x12, 0x67, 0x01, 0xbb]);

        let own = encode(Version::V2, None);
        assert_eq!(own, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    }
}
