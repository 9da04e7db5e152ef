//! Questions and answers as packets (RFC 1035 section 4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, ResourceRecord, TYPE};

use super::{Answer, Fault, Service};

/// Aliases that are followed from one name to the next; name servers follow about as many.
const MOST_ALIASES: usize = 16;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services (RFC 2782).
    Srv,
}

/// What is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// An address.
    Address(IpAddr),
    /// A place of a service.
    Service(Service),
}

/// What a packet is, to one who waits for an answer.
#[derive(Debug)]
pub enum Reply {
    /// It answers another question, or none.
    Foreign,
    /// The answer is longer than a datagram; it has to be asked for by TCP.
    Truncated,
    /// The answer.
    Answer(Answer<Record>),
}

impl Kind {
    fn code(self) -> TYPE {
        match self {
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
            Self::Srv => TYPE::SRV,
        }
    }
}

/// How long an answer may be, where the server is told (RFC 6891). As long as a datagram passes everywhere whole.
///
/// Consul tells no more than three of a service's places to one who does not say it, and not that there are more.
const ROOM: u16 = 1232;

/// The question for `name` as a packet that is known by `id`; whether it `tells_room`, which servers of old do not
/// understand.
///
/// # Errors
/// Where `name` is none.
pub fn question(id: u16, name: &str, kind: Kind, tells_room: bool) -> Result<Vec<u8>, Fault> {
    let bad = |_| Fault::BadName(name.to_owned());
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let asked = Name::new(name).map_err(bad)?;
    let class = CLASS::IN.into();
    packet
        .questions
        .push(Question::new(asked, kind.code().into(), class, false));
    *packet.opt_mut() = tells_room.then(|| OPT {
        opt_codes: Vec::new(),
        udp_packet_size: ROOM,
        version: 0,
    });
    packet.build_bytes_vec().map_err(bad)
}

/// Reads a packet that may be the answer to [`question`].
///
/// # Errors
/// Where it is no sound packet, or the server refused or failed.
pub fn read(packet: &[u8], id: u16, name: &str, kind: Kind) -> Result<Reply, Fault> {
    let packet = Packet::parse(packet).map_err(|_| Fault::Broken)?;
    let answers = |question: &Question<'_>| {
        question.qtype == kind.code().into()
            && question.qname.to_string().eq_ignore_ascii_case(name)
    };
    let is_answer = match &packet.questions[..] {
        [question] => answers(question),
        // Who does not understand a question need not repeat it (RFC 6891 section 7).
        [] => packet.rcode() == RCODE::FormatError,
        _ => false,
    };
    let is_ours = packet.has_flags(PacketFlag::RESPONSE) && packet.id() == id && is_answer;
    if !is_ours {
        return Ok(Reply::Foreign);
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Ok(Reply::Truncated);
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        code => return Err(Fault::Refused(format!("{code:?}"))),
    }
    Ok(Reply::Answer(answer(&packet.answers, name, kind)))
}

/// What the records say of `name`; those of other names say nothing.
fn answer(records: &[ResourceRecord<'_>], name: &str, kind: Kind) -> Answer<Record> {
    let (name, ways) = follow_aliases(records, name);
    let said = records.iter().filter(|record| is_of(record, &name));
    let said = said.filter_map(|record| Some((found(&record.rdata, kind)?, record.ttl)));
    let (found, lifetimes): (Vec<_>, Vec<_>) = said.unzip();
    let lifetime = lifetimes.into_iter().chain(ways).min();
    let lifetime = lifetime.filter(|_| !found.is_empty());
    Answer {
        found,
        lifetime: lifetime.map(|seconds| Duration::from_secs(seconds.into())),
    }
}

/// The name to which the aliases of `name` lead (RFC 1034 section 3.6.2), and how many seconds each of them holds.
fn follow_aliases(records: &[ResourceRecord<'_>], name: &str) -> (String, Vec<u32>) {
    let mut name = name.to_owned();
    let mut lifetimes = Vec::new();
    while lifetimes.len() < MOST_ALIASES {
        let alias = records.iter().find_map(|record| match &record.rdata {
            RData::CNAME(alias) if is_of(record, &name) => Some((alias, record.ttl)),
            _ => None,
        });
        let Some((alias, lifetime)) = alias else {
            break;
        };
        name = alias.0.to_string();
        lifetimes.push(lifetime);
    }
    (name, lifetimes)
}

fn is_of(record: &ResourceRecord<'_>, name: &str) -> bool {
    record.class == CLASS::IN && record.name.to_string().eq_ignore_ascii_case(name)
}

fn found(data: &RData<'_>, kind: Kind) -> Option<Record> {
    match (data, kind) {
        (RData::A(data), Kind::A) => {
            let ip = Ipv4Addr::from_bits(data.address);
            Some(Record::Address(ip.into()))
        }
        (RData::AAAA(data), Kind::Aaaa) => {
            let ip = Ipv6Addr::from_bits(data.address);
            Some(Record::Address(ip.into()))
        }
        (RData::SRV(data), Kind::Srv) => Some(Record::Service(Service {
            priority: data.priority,
            weight: data.weight,
            port: data.port,
            host: data.target.to_string(),
        })),
        _ => None,
    }
}
