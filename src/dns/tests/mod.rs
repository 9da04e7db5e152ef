//! Questions to a server that answers by a table.

mod transport;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use simple_dns::rdata::{A, AAAA, CNAME, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::message::{Kind, Reply, question, read};
use super::{Fault, Resolver, Trail};

const FAMILIES: &[Kind] = &[Kind::A, Kind::Aaaa];

/// Makes a server of `answer`, which is given the question and completes the reply.
async fn server(answer: fn(&Packet<'_>, &mut Packet<'_>)) -> SocketAddr {
    let (stream, socket) = sockets().await;
    let address = stream.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut packet).await {
            let mut reply = reply(&packet[..length], answer);
            if reply.len() > 512 {
                // In the middle of a record, with the flag of a truncated answer.
                reply.truncate(510);
                reply[2] |= 2;
            }
            socket.send_to(&reply, client).await.unwrap();
        }
    });
    tokio::spawn(serve_streams(stream, answer));
    address
}

async fn serve_streams(listener: TcpListener, answer: fn(&Packet<'_>, &mut Packet<'_>)) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut packet = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut packet).await.unwrap();
        let reply = reply(&packet, answer);
        let length = u16::try_from(reply.len()).unwrap();
        stream.write_u16(length).await.unwrap();
        stream.write_all(&reply).await.unwrap();
    }
}

/// For both transports at one address. TCP first: its ports are the scarce ones. The same port of UDP may be that of a
/// question of another test.
async fn sockets() -> (TcpListener, UdpSocket) {
    loop {
        let stream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        match UdpSocket::bind(stream.local_addr().unwrap()).await {
            Ok(socket) => return (stream, socket),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
        }
    }
}

fn reply(packet: &[u8], answer: fn(&Packet<'_>, &mut Packet<'_>)) -> Vec<u8> {
    let asked = Packet::parse(packet).unwrap();
    let mut reply = Packet::new_reply(asked.id());
    reply.questions.clone_from(&asked.questions);
    answer(&asked, &mut reply);
    reply.build_bytes_vec().unwrap()
}

fn record(name: &'static str, ttl: u32, data: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, ttl, data)
}

/// Whether the question is for IPv4 addresses.
fn is_v4(asked: &Packet<'_>) -> bool {
    asked.questions[0].qtype == simple_dns::TYPE::A.into()
}

#[tokio::test]
async fn finds_addresses_of_the_first_family_that_has_any_and_the_shorter_lifetime() {
    let server = server(|asked, reply| {
        let name = "chat.internal";
        if is_v4(asked) {
            let alias = CNAME(Name::new_unchecked("pods.internal"));
            reply.answers.push(record(name, 7, RData::CNAME(alias)));
            reply.answers.push(record(
                "pods.internal",
                30,
                RData::A(A {
                    address: 0x7f00_0001,
                }),
            ));
        } else {
            reply
                .answers
                .push(record(name, 60, RData::AAAA(AAAA { address: 1 })));
        }
    });
    let resolver = Resolver::new(vec![server.await]);
    for (families, address, lifetime) in [
        (FAMILIES, "127.0.0.1", 7),
        (&[Kind::A], "127.0.0.1", 7),
        (&[Kind::Aaaa], "::1", 60),
    ] {
        let answer = resolver
            .addresses("chat.internal", families, &mut Trail::default())
            .await
            .unwrap();
        let found: Vec<String> = answer.found.iter().map(ToString::to_string).collect();
        assert_eq!(found, [address]);
        assert_eq!(answer.lifetime, Some(Duration::from_secs(lifetime)));
    }
}

/// Both families are asked for under one name: what another suffix leads to is something else, and its fault as well.
#[tokio::test]
async fn the_families_of_a_short_name_are_those_of_one_name() {
    let server = server(|asked, reply| {
        let is_own = asked.questions[0].qname.to_string() == "chat.one.test";
        match (is_own, is_v4(asked)) {
            (true, true) => reply.answers.push(record(
                "chat.one.test",
                7,
                RData::A(A {
                    address: 0x7f00_0001,
                }),
            )),
            (true, false) => {}
            (false, _) => *reply.rcode_mut() = RCODE::ServerFailure,
        }
    });
    let resolver = Resolver {
        servers: vec![server.await],
        search: vec!["one.test".to_owned(), "two.test".to_owned()],
        dots: 1,
    };
    let answer = resolver
        .addresses("chat", FAMILIES, &mut Trail::default())
        .await
        .unwrap();
    assert_eq!(answer.found, [IpAddr::from([127, 0, 0, 1])]);
    let outcome = resolver
        .addresses("other", FAMILIES, &mut Trail::default())
        .await;
    assert!(matches!(outcome, Err(Fault::Refused(_))), "{outcome:?}");
    let search = vec!["broken.test".to_owned(), "one.test".to_owned()];
    let resolver = Resolver { search, ..resolver };
    let trail = &mut Trail::default();
    for _ in 0..2 {
        let answer = resolver.addresses("chat", FAMILIES, trail).await;
        assert!(answer.is_ok(), "the next zone is asked: {answer:?}");
    }
    let mut trail = Trail::default();
    trail.turn("chat.broken.test".to_owned(), Kind::A, false);
    let outcome = resolver.addresses("chat", FAMILIES, &mut trail).await;
    let is_kept = matches!(outcome, Err(Fault::Refused(_)));
    assert!(is_kept, "the next zone is another's: {outcome:?}");
}

/// Nobody has written what a suffix makes of it.
#[tokio::test]
async fn a_name_that_a_suffix_makes_too_long_is_asked_for_as_it_is() {
    let server = server(|asked, reply| {
        if is_v4(asked) {
            let name = asked.questions[0].qname.clone().into_owned();
            let data = RData::A(A { address: 1 });
            reply.answers = vec![ResourceRecord::new(name, CLASS::IN, 1, data)];
        }
    });
    let resolver = Resolver {
        servers: vec![server.await],
        search: vec!["chat.svc.cluster.local".to_owned(), "x".repeat(64)],
        dots: 5,
    };
    let long = [const { "x" }; 4].map(|part| part.repeat(60)).join(".");
    let trail = &mut Trail::default();
    let answer = resolver.addresses(&long, FAMILIES, trail).await.unwrap();
    assert_eq!(answer.found.len(), 1);
    let bad = "x".repeat(64);
    let outcome = resolver.addresses(&bad, FAMILIES, trail).await;
    let told = matches!(&outcome, Err(Fault::BadName(name)) if *name == bad);
    assert!(told, "{outcome:?}");
}

/// What is known is given up when it was missing five times in a row, be it a full name or a family.
#[tokio::test]
async fn what_takes_the_place_of_something_known_is_found_after_a_while() {
    let server = server(|asked, reply| {
        let is_later = asked.questions[0].qname.to_string() == "chat.two.test";
        if is_later && !is_v4(asked) {
            let data = RData::AAAA(AAAA { address: 1 });
            reply.answers.push(record("chat.two.test", 7, data));
        }
    });
    let resolver = Resolver {
        servers: vec![server.await],
        search: vec!["one.test".to_owned(), "two.test".to_owned()],
        dots: 1,
    };
    for (full, kind, families, expected) in [
        ("chat.one.test", Kind::Aaaa, FAMILIES, [0, 0, 0, 0, 1, 1]),
        ("chat.two.test", Kind::A, FAMILIES, [0, 0, 0, 0, 1, 1]),
        // They are not asked for any more, or not before.
        ("chat.two.test", Kind::A, &[Kind::Aaaa], [1; 6]),
        ("chat", Kind::A, FAMILIES, [1; 6]),
    ] {
        let mut trail = Trail::default();
        trail.turn(full.to_owned(), kind, false);
        for count in expected {
            let answer = resolver.addresses("chat", families, &mut trail).await;
            assert_eq!(answer.unwrap().found.len(), count, "{full} {kind:?}");
        }
    }
}

#[tokio::test]
async fn records_of_another_name_are_not_taken() {
    let server = server(|asked, reply| {
        let alias = |to| RData::CNAME(CNAME(Name::new_unchecked(to)));
        let address = |address| RData::A(A { address });
        if is_v4(asked) {
            reply.answers = vec![
                record("b.internal", 60, alias("c.internal")),
                record("chat.internal", 60, address(0x7f00_0001)),
                record("other.internal", 1, address(0x7f00_0002)),
                record("C.internal", 60, address(0x7f00_0003)),
                record("a.internal", 60, alias("B.internal")),
            ];
        }
    });
    let resolver = Resolver::new(vec![server.await]);
    for (name, found) in [("chat.internal", "127.0.0.1"), ("a.internal", "127.0.0.3")] {
        let answer = resolver
            .addresses(name, FAMILIES, &mut Trail::default())
            .await
            .unwrap();
        assert_eq!(answer.found, [found.parse::<IpAddr>().unwrap()], "{name}");
        assert_eq!(answer.lifetime, Some(Duration::from_secs(60)));
    }
}

#[tokio::test]
async fn aliases_that_go_in_a_circle_lead_nowhere() {
    let server = server(|_, reply| {
        let alias = |to| RData::CNAME(CNAME(Name::new_unchecked(to)));
        let answers = [("a.internal", "b.internal"), ("b.internal", "a.internal")];
        let answers = answers.map(|(of, to)| record(of, 60, alias(to)));
        reply.answers = answers.to_vec();
    });
    let resolver = Resolver::new(vec![server.await]);
    let answer = resolver
        .addresses("a.internal", FAMILIES, &mut Trail::default())
        .await
        .unwrap();
    assert!(answer.found.is_empty() && answer.lifetime.is_none());
}

#[tokio::test]
async fn finds_services() {
    let server = server(|_, reply| {
        // Nothing can listen at port 0.
        for port in [0, 3] {
            let target = Name::new_unchecked("a.internal");
            let data = SRV {
                priority: 1,
                weight: 2,
                port,
                target,
            };
            reply
                .answers
                .push(record("_ws._tcp.chat.internal", 5, RData::SRV(data)));
        }
    });
    let resolver = Resolver::new(vec![server.await]);
    let answer = resolver
        .services("_ws._tcp.chat.internal", &mut Trail::default())
        .await
        .unwrap();
    let [service] = &answer.found[..] else {
        panic!("{answer:?}");
    };
    assert_eq!((service.priority, service.weight, service.port), (1, 2, 3));
    assert_eq!(service.host, "a.internal");
}

#[tokio::test]
async fn a_name_that_is_not_there_is_an_answer_and_a_failure_is_none() {
    let nowhere = server(|_, reply| *reply.rcode_mut() = RCODE::NameError).await;
    let answer = Resolver::new(vec![nowhere])
        .addresses("nowhere.internal", FAMILIES, &mut Trail::default())
        .await
        .unwrap();
    assert!(answer.found.is_empty() && answer.lifetime.is_none());
    let failing = server(|_, reply| *reply.rcode_mut() = RCODE::ServerFailure).await;
    let outcome = Resolver::new(vec![failing])
        .addresses("chat.internal", FAMILIES, &mut Trail::default())
        .await;
    assert!(matches!(outcome, Err(Fault::Refused(_))), "{outcome:?}");
    // The second server is asked where the first fails.
    let outcome = Resolver::new(vec![failing, nowhere])
        .addresses("chat.internal", FAMILIES, &mut Trail::default())
        .await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let outcome = Resolver::new(Vec::new())
        .addresses("chat.internal", FAMILIES, &mut Trail::default())
        .await;
    assert!(matches!(outcome, Err(Fault::NoServer)), "{outcome:?}");
}

#[test]
fn only_the_answer_to_the_question_is_taken() {
    let asked = question(7, "chat.internal", Kind::A, true).unwrap();
    let is_foreign =
        |packet: &[u8], id, name| matches!(read(packet, id, name, Kind::A), Ok(Reply::Foreign));
    // The question itself comes back.
    assert!(is_foreign(&asked, 7, "chat.internal"));
    let mut reply = Packet::parse(&asked).unwrap();
    reply.set_flags(PacketFlag::RESPONSE);
    let reply = reply.build_bytes_vec().unwrap();
    assert!(matches!(
        read(&reply, 7, "Chat.internal", Kind::A),
        Ok(Reply::Answer(_))
    ));
    assert!(is_foreign(&reply, 8, "chat.internal"));
    assert!(is_foreign(&reply, 7, "other.internal"));
    assert!(matches!(
        read(&reply, 7, "chat.internal", Kind::Srv),
        Ok(Reply::Foreign)
    ));
    assert!(matches!(
        read(b"garbage", 7, "chat.internal", Kind::A),
        Err(Fault::Broken)
    ));
    assert!(matches!(
        question(7, &"x".repeat(64), Kind::A, true),
        Err(Fault::BadName(_))
    ));
}

proptest! {
    #[test]
    fn no_packet_breaks_the_reader(packet in vec(any::<u8>(), 0..600)) {
        // Whatever it says, it says it.
        let _ = read(&packet, 7, "chat.internal", Kind::Srv);
    }

    /// As it is, hardly any packet is an answer; with the head of one it is read to its records.
    #[test]
    fn no_answer_holds_more_than_there_is_room_for(
        counts in prop::array::uniform6(0..9_u8),
        records in vec(any_piece(), 0..9),
    ) {
        for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
            let mut packet = question(7, "chat.internal", kind, true).unwrap();
            packet[2] |= 0x80;
            packet[6..12].copy_from_slice(&counts);
            packet.extend(records.concat());
            if let Ok(Reply::Answer(answer)) = read(&packet, 7, "chat.internal", kind) {
                prop_assert!(answer.found.len() * 11 <= packet.len());
            }
        }
    }
}

/// Bytes of a record, or any: a pointer to the question's name, a type, a class, a lifetime, and what is announced and there.
fn any_piece() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![Just(1_u8), Just(28), Just(33), Just(5)];
    let data = vec(any::<u8>(), 0..20);
    let record = (kind, data, 0..20_u8).prop_map(|(kind, data, length)| {
        let head = [0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, length];
        [&head[..], &data].concat()
    });
    prop_oneof![record, vec(any::<u8>(), 0..20)]
}
