//! Writing questions and reading answers (RFC 1035 section 4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, Question, RCODE, ResourceRecord, TYPE, header_buffer,
};

use super::{Answer, Fault, Service};

/// The longest chain of CNAME records that is followed; name servers follow about as many.
const MOST_ALIASES: usize = 16;

/// The type of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services (RFC 2782).
    Srv,
}

/// The data of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// An address.
    Address(IpAddr),
    /// A target of a service.
    Service(Service),
}

/// A packet received while waiting for an answer.
#[derive(Debug)]
pub enum Reply {
    /// It is not an answer to the question.
    Foreign,
    /// The answer does not fit into a datagram; ask again over TCP.
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

/// The longest answer over UDP, as told to servers by EDNS (RFC 6891): the longest datagram that is not fragmented anywhere.
///
/// Without EDNS Consul returns no more than three targets of a service, and does not mark the answer as truncated.
const LONGEST_ANSWER: u16 = 1232;

/// The packet that asks for the records of `name`, with this `id`. Some old servers do not understand EDNS.
///
/// # Errors
/// If `name` is not a DNS name.
pub fn question(id: u16, name: &str, kind: Kind, with_edns: bool) -> Result<Vec<u8>, Fault> {
    let bad = |_| Fault::BadName(name.to_owned());
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let asked = Name::new(name).map_err(bad)?;
    let class = CLASS::IN.into();
    packet
        .questions
        .push(Question::new(asked, kind.code().into(), class, false));
    *packet.opt_mut() = with_edns.then(|| OPT {
        opt_codes: Vec::new(),
        udp_packet_size: LONGEST_ANSWER,
        version: 0,
    });
    packet.build_bytes_vec().map_err(bad)
}

/// Reads a packet that may be the answer to [`question`].
///
/// # Errors
/// If the packet is not valid, or the server refused or failed.
pub fn read(packet: &[u8], id: u16, name: &str, kind: Kind) -> Result<Reply, Fault> {
    let packet = match Packet::parse(packet) {
        Ok(packet) => packet,
        // Some servers cut in the middle of a record.
        Err(_) if is_truncated(packet, id) => return Ok(Reply::Truncated),
        Err(_) => return Err(Fault::Broken),
    };
    let answers = |question: &Question<'_>| {
        question.qtype == kind.code().into()
            && question.qname.to_string().eq_ignore_ascii_case(name)
    };
    let is_answer = match &packet.questions[..] {
        [question] => answers(question),
        // A server that does not understand EDNS need not repeat the question (RFC 6891 section 7).
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
        code => return Err(Fault::Refused(code)),
    }
    Ok(Reply::Answer(answer(&packet.answers, name, kind)))
}

/// Whether the header says that this is the beginning of an answer to the question with this id (RFC 2181 section 9).
fn is_truncated(packet: &[u8], id: u16) -> bool {
    let flags = PacketFlag::RESPONSE | PacketFlag::TRUNCATION;
    header_buffer::id(packet).is_ok_and(|of| of == id)
        && header_buffer::has_flags(packet, flags).unwrap_or(false)
}

/// The records of `name` among these, with aliases followed.
fn answer(records: &[ResourceRecord<'_>], name: &str, kind: Kind) -> Answer<Record> {
    let (name, ways) = follow_aliases(records, name);
    let of_name = records.iter().filter(|record| is_of(record, &name));
    let of_name = of_name.filter_map(|record| Some((found(&record.rdata, kind)?, record.ttl)));
    let (found, lifetimes): (Vec<_>, Vec<_>) = of_name.unzip();
    let lifetime = lifetimes.into_iter().chain(ways).min();
    let lifetime = lifetime.filter(|_| !found.is_empty());
    Answer {
        found,
        lifetime: lifetime.map(|seconds| Duration::from_secs(seconds.into())),
    }
}

/// Follows the aliases of `name` (RFC 1034 section 3.6.2). Returns the last name, and the lifetime of each alias in seconds.
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
