//! The slow, obvious reading of RFC 1035 section 4.1 that answers are held against.

use wsgate::dns::message::Kind;

/// A packet, as far as it matters here.
pub(crate) struct Packet {
    pub(crate) answers: Vec<Record>,
}

pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) is_internet: bool,
    pub(crate) lifetime: u32,
    pub(crate) data: Data,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Data {
    A([u8; 4]),
    Aaaa([u8; 16]),
    /// Priority, weight, port; and the host.
    Srv([u16; 3], String),
    Cname(String),
    Other,
}

impl Data {
    pub(crate) fn is_of(&self, kind: Kind) -> bool {
        let of = match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Srv(..) => Kind::Srv,
            Self::Cname(_) | Self::Other => return false,
        };
        of == kind
    }
}

/// `None` if the answers cannot be read.
pub(crate) fn read(packet: &[u8]) -> Option<Packet> {
    let counts = [number(packet, 4)?, number(packet, 6)?];
    let mut at = 12;
    for _ in 0..counts[0] {
        (_, at) = name(packet, at)?;
        at += 4;
    }
    let mut answers = Vec::new();
    for _ in 0..counts[1] {
        let record;
        (record, at) = self::record(packet, at)?;
        answers.push(record);
    }
    Some(Packet { answers })
}

/// The record at a place, and the place behind it.
fn record(packet: &[u8], at: usize) -> Option<(Record, usize)> {
    let (name, at) = self::name(packet, at)?;
    let kind = number(packet, at)?;
    let lifetime = u32::from(number(packet, at + 4)?) << 16 | u32::from(number(packet, at + 6)?);
    let begin = at + 10;
    let end = begin + usize::from(number(packet, at + 8)?);
    let bytes = packet.get(begin..end)?;
    let data = match kind {
        // What is behind the data of a record is passed over.
        _ if bytes.is_empty() => Data::Other,
        1 => Data::A(*bytes.first_chunk()?),
        28 => Data::Aaaa(*bytes.first_chunk()?),
        5 => Data::Cname(self::name(packet, begin)?.0),
        33 => {
            let numbers =
                [0, 2, 4].map(|offset| number(packet, begin + offset).unwrap_or_default());
            Data::Srv(numbers, self::name(packet, begin + 6)?.0)
        }
        _ => Data::Other,
    };
    let record = Record {
        name,
        // Without the highest bit, which mDNS has a use for.
        is_internet: number(packet, at + 2)? & 0x7fff == 1,
        lifetime,
        data,
    };
    Some((record, end))
}

/// The name at a place with dots between its labels, and the place behind it.
fn name(packet: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut end = None;
    // A name has at most 127 labels, and a pointer may be in front of each.
    for _ in 0..255 {
        let length = usize::from(*packet.get(at)?);
        match length {
            0 => return Some((labels.join("."), end.unwrap_or(at + 1))),
            1..64 => {
                let label = packet.get(at + 1..at + 1 + length)?;
                let label = String::from_utf8_lossy(label);
                // A dot within a label (section 5.1).
                labels.push(label.replace('\\', r"\\").replace('.', r"\."));
                at += 1 + length;
            }
            192.. => {
                end = end.or(Some(at + 2));
                at = usize::from(number(packet, at)? & 0x3fff);
            }
            _ => return None,
        }
    }
    None
}

fn number(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]))
}
