//! Reading a header.
//!
//! The extensions (TLVs) of version 2 are skipped, including the checksum and TLS information: trust is decided by the
//! address of the sender.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Ends, LOCAL, PROXY, SIGNATURE, TCP4, TCP6};

/// The longest header that is accepted, in bytes; leaves room for the TLVs of version 2.
pub const LONGEST: usize = 2048;

/// The first bytes of a header of version 1.
const WORD: &[u8] = b"PROXY ";
/// The longest header of version 1, line end included, in bytes.
const LONGEST_LINE: usize = 107;
/// The length of a header of version 2 before its addresses, in bytes.
const FIXED: usize = SIGNATURE.len() + 4;

/// What a connection begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// More bytes are needed.
    Incomplete,
    /// No header.
    Absent,
    /// A whole header.
    Header {
        /// `None` if the connection is the sender's own, or the addresses are of another family.
        ends: Option<Ends>,
        /// Its length with extensions, in bytes.
        length: usize,
    },
    /// An invalid header, or one that is longer than [`LONGEST`].
    Malformed,
}

/// Decodes the header at the start of `bytes`. More bytes behind a whole header do not change the result.
#[must_use]
pub fn decode(bytes: &[u8]) -> Decoded {
    if begins(bytes, WORD) {
        text(bytes)
    } else if begins(bytes, &SIGNATURE) {
        binary(bytes).unwrap_or(Decoded::Malformed)
    } else {
        Decoded::Absent
    }
}

/// Whether bytes that an HTTP server could not read begin with a header. Such a server has skipped empty lines by then, with
/// which one of version 2 begins.
#[must_use]
pub fn is_header(bytes: &[u8]) -> bool {
    let is_binary = |bytes: &[u8]| bytes.starts_with(SIGNATURE.trim_ascii_start());
    matches!(decode(bytes), Decoded::Header { .. }) || is_binary(bytes.trim_ascii_start())
}

/// Whether `bytes` begin with `start`, or are a prefix of it.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let length = bytes.len().min(start.len());
    bytes[..length] == start[..length]
}

fn text(bytes: &[u8]) -> Decoded {
    let line = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return match line.len() {
            LONGEST_LINE => Decoded::Malformed,
            _ => Decoded::Incomplete,
        };
    };
    let words = str::from_utf8(&line[WORD.len()..end]).ok();
    match words.and_then(addresses) {
        Some(ends) => Decoded::Header {
            ends,
            length: end + 2,
        },
        None => Decoded::Malformed,
    }
}

/// The addresses of a line; `None` if it is invalid, `Some(None)` for UNKNOWN.
fn addresses(words: &str) -> Option<Option<Ends>> {
    let mut words = words.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let [source, destination] = [words.next()?, words.next()?];
    let ports = [port(words.next()?)?, port(words.next()?)?];
    if words.next().is_some() {
        return None;
    }
    let addresses: [IpAddr; 2] = match family {
        "TCP4" => [
            source.parse::<Ipv4Addr>().ok()?.into(),
            destination.parse::<Ipv4Addr>().ok()?.into(),
        ],
        "TCP6" => [
            source.parse::<Ipv6Addr>().ok()?.into(),
            destination.parse::<Ipv6Addr>().ok()?.into(),
        ],
        _ => return None,
    };
    Some(Some(between(addresses, ports)))
}

/// A port without sign and leading zeros.
fn port(digits: &str) -> Option<u16> {
    let port = digits.parse::<u16>().ok()?;
    (port.to_string() == digits).then_some(port)
}

/// `None` if it is invalid.
fn binary(bytes: &[u8]) -> Option<Decoded> {
    let Some(fixed) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Some(Decoded::Incomplete);
    };
    let (command, transport) = (fixed[0], fixed[1]);
    let length = FIXED + usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    // LOCAL may name any family; it is ignored.
    let is_sound = match command {
        LOCAL => true,
        PROXY => is_known(transport),
        _ => false,
    };
    if !is_sound || length > LONGEST {
        return None;
    }
    let Some(addresses) = bytes.get(FIXED..length) else {
        return Some(Decoded::Incomplete);
    };
    let ends = match (command, transport) {
        (PROXY, transport) if transport == TCP4.0 => Some(ends_of::<4>(addresses)?),
        (PROXY, transport) if transport == TCP6.0 => Some(ends_of::<16>(addresses)?),
        _ => None,
    };
    Some(Decoded::Header { ends, length })
}

/// Whether the byte is a known family (unspecified, IPv4, IPv6, unix) and transport (unspecified, stream, datagram).
fn is_known(transport: u8) -> bool {
    transport >> 4 <= 3 && transport & 0x0f <= 2
}

/// Two addresses of `N` bytes and two ports; extensions may follow.
fn ends_of<const N: usize>(bytes: &[u8]) -> Option<Ends>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (ports, _extensions) = rest.split_first_chunk::<4>()?;
    let ports = [[ports[0], ports[1]], [ports[2], ports[3]]].map(u16::from_be_bytes);
    Some(between([(*source).into(), (*destination).into()], ports))
}

fn between(addresses: [IpAddr; 2], ports: [u16; 2]) -> Ends {
    Ends::new(
        SocketAddr::new(addresses[0], ports[0]),
        SocketAddr::new(addresses[1], ports[1]),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Version, encode};
    use super::*;

    fn header(source: &str, destination: &str, length: usize) -> Decoded {
        let ends = Ends::new(source.parse().unwrap(), destination.parse().unwrap());
        Decoded::Header {
            ends: Some(ends),
            length,
        }
    }

    fn own(length: usize) -> Decoded {
        Decoded::Header { ends: None, length }
    }

    #[test]
    fn lines() {
        let v6 = "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        let cases = [
            ("", Decoded::Incomplete),
            ("PRO", Decoded::Incomplete),
            ("PROXY TCP4 192.0.2.1", Decoded::Incomplete),
            ("PROXY UNKNOWN\r", Decoded::Incomplete),
            ("GET / HTTP/1.1\r\n", Decoded::Absent),
            ("PROPFIND / HTTP/1.1\r\n", Decoded::Absent),
            ("PRI * HTTP/2.0\r\n", Decoded::Absent),
            ("\x16\x03\x01", Decoded::Absent),
            ("proxy TCP4", Decoded::Absent),
            ("PROXY UNKNOWN\r\nGET", own(15)),
            ("PROXY UNKNOWN ffff::1 what ever\r\n", own(33)),
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\nGET",
                header("192.0.2.1:4711", "198.51.100.2:443", 44),
            ),
            (v6, header("[2001:db8::1]:1", "[::1]:65535", 36)),
            (
                "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n",
                header("192.0.2.1:1", "[::1]:2", 37),
            ),
            ("PROXY / HTTP/1.1\r\n", Decoded::Malformed),
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
                Decoded::Malformed,
            ),
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
                Decoded::Malformed,
            ),
            (
                "PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
                Decoded::Malformed,
            ),
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
                Decoded::Malformed,
            ),
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
                Decoded::Malformed,
            ),
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
                Decoded::Malformed,
            ),
            (
                "PROXY TCP4 192.0.02.1 198.51.100.2 1 2\r\n",
                Decoded::Malformed,
            ),
            ("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Decoded::Malformed),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Decoded::Malformed),
            ("PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n", Decoded::Malformed),
            ("PROXY UDP4 192.0.2.1 192.0.2.1 1 2\r\n", Decoded::Malformed),
            ("PROXY \u{e9}\r\n", Decoded::Malformed),
        ];
        for (bytes, decoded) in cases {
            assert_eq!(decode(bytes.as_bytes()), decoded, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_has_its_end_within_107_bytes() {
        let line =
            |length: usize| format!("{:x<length$}\r\n", "PROXY UNKNOWN ", length = length - 2);
        assert_eq!(decode(line(107).as_bytes()), own(107));
        assert_eq!(decode(line(108).as_bytes()), Decoded::Malformed);
    }

    /// A header of version 2 with these bytes behind the signature.
    fn v2(rest: &[u8]) -> Decoded {
        decode(&[&SIGNATURE[..], rest].concat())
    }

    #[test]
    fn binary_headers() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187];
        let ends = header("192.0.2.1:80", "198.51.100.2:443", 28);
        let with = |fixed: [u8; 4], more: &[u8]| v2(&[&fixed[..], more].concat());
        assert_eq!(with([0x21, 0x11, 0, 12], &v4), ends);
        assert_eq!(with([0x21, 0x11, 0, 12], &v4[..11]), Decoded::Incomplete);
        assert_eq!(v2(&[0x21, 0x11, 0]), Decoded::Incomplete);
        assert_eq!(decode(&SIGNATURE[..5]), Decoded::Incomplete);
        assert_eq!(decode(b"\r\n\r\nGET"), Decoded::Absent);
        // The sender's own, a family that is not known here, datagrams.
        assert_eq!(with([0x20, 0x11, 0, 12], &v4), own(28));
        assert_eq!(with([0x20, 0x41, 0, 12], &v4), own(28));
        assert_eq!(with([0x21, 0x00, 0, 0], &[]), own(16));
        assert_eq!(with([0x21, 0x31, 0, 4], &[0; 4]), own(20));
        assert_eq!(with([0x21, 0x12, 0, 12], &v4), own(28));
        // Too short for its addresses; versions, commands, families that there are not.
        assert_eq!(with([0x21, 0x11, 0, 11], &v4[..11]), Decoded::Malformed);
        assert_eq!(with([0x21, 0x21, 0, 12], &v4), Decoded::Malformed);
        for fixed in [[0x11, 0x11], [0x22, 0x11], [0x21, 0x41], [0x21, 0x13]] {
            let fixed = [fixed[0], fixed[1], 0, 12];
            assert_eq!(with(fixed, &v4), Decoded::Malformed, "{fixed:?}");
        }
    }

    #[test]
    fn extensions_are_passed_over_up_to_the_most_bytes() {
        let with = |length: u16| {
            let mut bytes = vec![0; usize::from(length)];
            bytes[..12].copy_from_slice(&[192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187]);
            let [high, low] = length.to_be_bytes();
            v2(&[&[0x21, 0x11, high, low], &bytes[..]].concat())
        };
        let ends = |length| header("192.0.2.1:80", "198.51.100.2:443", length);
        assert_eq!(with(20), ends(36));
        assert_eq!(with(2032), ends(2048));
        assert_eq!(with(2033), Decoded::Malformed);
        assert_eq!(v2(&[0x21, 0x11, 0xff, 0xff]), Decoded::Malformed);
    }

    fn versions() -> impl Strategy<Value = Version> {
        prop_oneof![Just(Version::V1), Just(Version::V2)]
    }

    proptest! {
        #[test]
        fn reads_what_is_written(
            version in versions(),
            ends in any::<Option<(SocketAddr, SocketAddr)>>(),
            more in any::<Vec<u8>>(),
        ) {
            let ends = ends.map(|(source, destination)| Ends::new(source, destination));
            let written = encode(version, ends);
            let length = written.len();
            for end in 0..length {
                prop_assert_eq!(decode(&written[..end]), Decoded::Incomplete);
            }
            let decoded = decode(&[written, more].concat());
            prop_assert_eq!(decoded, Decoded::Header { ends, length });
        }

        #[test]
        fn takes_anything_in_any_pieces(start in prop_oneof![Just(WORD), Just(&SIGNATURE[..])], bytes in any::<Vec<u8>>()) {
            let bytes = [start, &bytes].concat();
            let decoded = decode(&bytes);
            if let Decoded::Header { length, .. } = decoded {
                prop_assert!(length <= bytes.len());
            }
            // However it comes in pieces: what shows early is what shows at the end.
            for end in 0..bytes.len() {
                let so_far = decode(&bytes[..end]);
                prop_assert!(so_far == Decoded::Incomplete || so_far == decoded);
            }
        }
    }
}
