//! Any bytes as the answer of a name server: no panic, and no more is found than there is room for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsgate::dns::message::{Kind, Record, Reply, question, read};

const ID: u16 = 7;
const NAME: &str = "_ws._tcp.chat.internal";
/// The shortest record: a pointer or a root for a name, type, class, lifetime, length.
const RECORD_BYTES: usize = 11;
/// The longest name, with every byte of it escaped.
const NAME_BYTES: usize = 4 * 255;

fuzz_target!(|bytes: &[u8]| {
    for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
        look(bytes, kind);
        // Hardly any bytes are an answer to a question of ours by chance.
        if let Some(answer) = as_answer(bytes, kind) {
            look(&answer, kind);
        }
    }
});

fn look(packet: &[u8], kind: Kind) {
    let Ok(Reply::Answer(answer)) = read(packet, ID, NAME, kind) else {
        return;
    };
    assert!(answer.found.len() * RECORD_BYTES <= packet.len());
    assert!(answer.lifetime.is_none() || !answer.found.is_empty());
    for record in answer.found {
        match record {
            Record::Address(ip) => assert_eq!(ip.is_ipv4(), kind == Kind::A),
            Record::Service(service) => assert!(service.host.len() <= NAME_BYTES),
        }
    }
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
