//! Any bytes as the answer of a name server: what a slow, obvious reader of RFC 1035 finds in it, or a fault.

#![no_main]

use std::net::IpAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use wsgate::dns::message::{Kind, Record, Reply, question, read};

mod reference;

use reference::{Data, Packet};

const ID: u16 = 7;
const NAME: &str = "_ws._tcp.chat.internal";
const HEADER_BYTES: usize = 12;
/// The shortest record: a pointer or a root for a name, type, class, lifetime, length.
const RECORD_BYTES: usize = 11;
/// As many aliases are followed.
const MOST_ALIASES: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
        look(bytes, kind);
        // Hardly any bytes are an answer to a question of ours by chance.
        if let Some(answer) = as_answer(bytes, kind) {
            look(&answer, kind);
            look_at_cut(&answer, kind);
        }
    }
});

/// An answer that is cut anywhere, and says so, is asked for again.
fn look_at_cut(answer: &[u8], kind: Kind) {
    // A byte of the counts says where.
    let end = HEADER_BYTES + usize::from(answer[HEADER_BYTES - 1]) % (answer.len() - HEADER_BYTES);
    let mut cut = answer[..end].to_vec();
    cut[2] |= 0x02;
    assert!(matches!(read(&cut, ID, NAME, kind), Ok(Reply::Truncated)));
}

fn look(packet: &[u8], kind: Kind) {
    let expected = reference::read(packet);
    let reply = read(packet, ID, NAME, kind);
    let Ok(Reply::Answer(answer)) = reply else {
        return;
    };
    assert!(answer.found.len() * RECORD_BYTES <= packet.len());
    assert!(answer.lifetime.is_none() || !answer.found.is_empty());
    let expected = expected.expect("what is no packet is no answer");
    let (found, lifetime) = find(&expected, kind);
    assert_eq!(answer.found.iter().map(told).collect::<Vec<_>>(), found);
    assert_eq!(answer.lifetime, lifetime);
}

/// A record as it is compared.
fn told(record: &Record) -> Data {
    match record {
        Record::Address(IpAddr::V4(address)) => Data::A(address.octets()),
        Record::Address(IpAddr::V6(address)) => Data::Aaaa(address.octets()),
        Record::Service(service) => Data::Srv(
            [service.priority, service.weight, service.port],
            service.host.clone(),
        ),
    }
}

/// The records of the name, aliases followed, and the shortest lifetime on the way.
fn find(packet: &Packet, kind: Kind) -> (Vec<Data>, Option<Duration>) {
    let mut name = NAME.to_owned();
    let mut lifetimes = Vec::new();
    let of = |name: &str| {
        let name = name.to_ascii_lowercase();
        packet
            .answers
            .iter()
            .filter(move |it| it.is_internet && it.name.to_ascii_lowercase() == name)
    };
    for _ in 0..MOST_ALIASES {
        let alias = of(&name).find_map(|record| match &record.data {
            Data::Cname(alias) => Some((alias.clone(), record.lifetime)),
            _ => None,
        });
        let Some((alias, lifetime)) = alias else {
            break;
        };
        name = alias;
        lifetimes.push(lifetime);
    }
    let found: Vec<_> = of(&name).filter(|record| record.data.is_of(kind)).collect();
    lifetimes.extend(found.iter().map(|record| record.lifetime));
    let lifetime = lifetimes.into_iter().min().filter(|_| !found.is_empty());
    let found = found.into_iter().map(|record| record.data.clone());
    (
        found.collect(),
        lifetime.map(|seconds| Duration::from_secs(seconds.into())),
    )
}

/// The question, made an answer that has as many records as the first bytes say, and then the other bytes.
fn as_answer(bytes: &[u8], kind: Kind) -> Option<Vec<u8>> {
    let (counts, records) = bytes.split_at_checked(6)?;
    let mut packet = question(ID, NAME, kind, true).ok()?;
    packet[2] |= 0x80;
    packet[6..12].copy_from_slice(counts);
    packet.extend_from_slice(records);
    Some(packet)
}
