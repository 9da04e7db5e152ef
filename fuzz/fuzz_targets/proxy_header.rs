//! Any bytes as a PROXY header: what a slow, obvious reader reads, in any pieces; and what is read is written and read back.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use wsgate::proxy_protocol::{Decoded, Ends, LONGEST, Version, decode, encode};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fuzz_target!(|bytes: &[u8]| {
    let decoded = decode(bytes);
    assert_eq!(decoded, read(bytes));
    for end in 0..bytes.len().min(LONGEST) {
        let so_far = decode(&bytes[..end]);
        assert!(so_far == Decoded::Incomplete || so_far == decoded);
    }
    let Decoded::Header { ends, length } = decoded else {
        return;
    };
    for more in [&b""[..], b"GET / HTTP/1.1", SIGNATURE] {
        assert_eq!(decode(&[&bytes[..length], more].concat()), decoded);
    }
    for version in [Version::V1, Version::V2] {
        let written = encode(version, ends);
        let length = written.len();
        assert_eq!(decode(&written), Decoded::Header { ends, length });
    }
});

/// The specification of HAProxy (proxy-protocol.txt, section 2), with all that it leaves to the receiver refused.
fn read(bytes: &[u8]) -> Decoded {
    let is_start = |start: &[u8]| start.starts_with(bytes) || bytes.starts_with(start);
    match bytes {
        _ if is_start(b"PROXY ") => read_line(bytes),
        _ if is_start(SIGNATURE) => read_binary(bytes),
        _ => Decoded::Absent,
    }
}

/// Section 2.1: a line of at most 107 bytes.
fn read_line(bytes: &[u8]) -> Decoded {
    let (line, length) = match bytes.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) if end + 2 <= 107 => (&bytes[..end], end + 2),
        None if bytes.len() < 107 => return Decoded::Incomplete,
        _ => return Decoded::Malformed,
    };
    let Ok(line) = str::from_utf8(line) else {
        return Decoded::Malformed;
    };
    let words: Vec<&str> = line.split(' ').collect();
    let ends = match words[..] {
        [_, "UNKNOWN", ..] => Ok(None),
        [_, "TCP4", source, destination, from, to] => {
            let address = |text: &str| text.parse::<Ipv4Addr>().map(IpAddr::from).ok();
            both(address(source), address(destination), from, to)
        }
        [_, "TCP6", source, destination, from, to] => {
            let address = |text: &str| text.parse::<Ipv6Addr>().map(IpAddr::from).ok();
            both(address(source), address(destination), from, to)
        }
        _ => Err(()),
    };
    ends.map_or(Decoded::Malformed, |ends| Decoded::Header { ends, length })
}

fn both(
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    from: &str,
    to: &str,
) -> Result<Option<Ends>, ()> {
    let port = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|port| port.to_string() == text)
    };
    let end = |address: Option<IpAddr>, text| Some(SocketAddr::new(address?, port(text)?));
    let ends = end(source, from).zip(end(destination, to));
    ends.map(|(source, destination)| Some(Ends::new(source, destination)))
        .ok_or(())
}

/// Section 2.2.
fn read_binary(bytes: &[u8]) -> Decoded {
    let [command, transport, high, low, rest @ ..] = bytes.get(12..).unwrap_or_default() else {
        return Decoded::Incomplete;
    };
    let length = usize::from(*high) * 256 + usize::from(*low);
    let is_known =
        |transport: u8| [0x00, 0x01, 0x02].contains(&(transport & 0xf)) && transport < 0x40;
    let is_sound = match command {
        0x20 => true,
        0x21 => is_known(*transport),
        _ => false,
    };
    if !is_sound || 16 + length > LONGEST {
        return Decoded::Malformed;
    }
    let Some(rest) = rest.get(..length) else {
        return Decoded::Incomplete;
    };
    let number = |at: usize| u16::from(rest[at]) * 256 + u16::from(rest[at + 1]);
    let ends = match (command, transport) {
        (0x21, 0x11) if length < 12 => return Decoded::Malformed,
        (0x21, 0x21) if length < 36 => return Decoded::Malformed,
        (0x21, 0x11) => {
            let address = |at| Ipv4Addr::new(rest[at], rest[at + 1], rest[at + 2], rest[at + 3]);
            let source = SocketAddr::from((address(0), number(8)));
            Some(Ends::new(
                source,
                SocketAddr::from((address(4), number(10))),
            ))
        }
        (0x21, 0x21) => {
            let address = |at| {
                let words: [u16; 8] = std::array::from_fn(|index| number(at + 2 * index));
                Ipv6Addr::from(words)
            };
            let source = SocketAddr::from((address(0), number(32)));
            Some(Ends::new(
                source,
                SocketAddr::from((address(16), number(34))),
            ))
        }
        _ => None,
    };
    Decoded::Header {
        ends,
        length: 16 + length,
    }
}
