//! How servers are asked: over UDP or TCP, with EDNS or without, and in which order.

use std::net::SocketAddr;

use simple_dns::rdata::{A, RData};
use simple_dns::{Packet, RCODE};
use tokio::net::UdpSocket;

use super::super::{Fault, Resolver, Trail};
use super::{FAMILIES, is_v4, record, reply, serve_streams, server, sockets};

#[tokio::test]
async fn asks_by_tcp_for_what_is_too_long() {
    let server = server(|asked, reply| {
        let many = |address| record("many.internal", 1, RData::A(A { address }));
        if is_v4(asked) {
            reply.answers.extend((1..=100).map(many));
        }
    });
    let answer = Resolver::new(vec![server.await])
        .addresses("many.internal", FAMILIES, &mut Trail::default())
        .await
        .unwrap();
    assert_eq!(answer.found.len(), 100);
}

/// Nothing else comes from this server: what cannot be read is told, and not silence.
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_told() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut packet).await {
            packet[2] |= 0x80;
            socket.send_to(&packet[..length - 1], client).await.unwrap();
        }
    });
    let outcome = Resolver::new(vec![server])
        .addresses("chat.internal", FAMILIES, &mut Trail::default())
        .await;
    assert!(matches!(outcome, Err(Fault::Broken)), "{outcome:?}");
}

/// Answers as Consul does.
fn few_without_edns(asked: &Packet<'_>, reply: &mut Packet<'_>) {
    let one = |address| record("many.internal", 1, RData::A(A { address }));
    let count = if asked.opt().is_some() { 9 } else { 3 };
    if is_v4(asked) {
        reply.answers.extend((1..=count).map(one));
    }
}

/// All that [`few_without_edns`] has is found.
async fn expect_all(resolver: &Resolver) {
    let answer = resolver
        .addresses("many.internal", FAMILIES, &mut Trail::default())
        .await
        .unwrap();
    assert_eq!(answer.found.len(), 9);
}

/// Names with few dots are asked for under two others first.
fn with_search_list(servers: Vec<SocketAddr>) -> Resolver {
    Resolver {
        servers,
        search: vec!["one.test".to_owned(), "two.test".to_owned()],
        dots: 5,
    }
}

/// How many datagrams wait in a socket that nobody reads.
fn datagrams(socket: &UdpSocket) -> usize {
    let mut packet = [0; 512];
    std::iter::from_fn(|| socket.try_recv(&mut packet).ok()).count()
}

/// A lost datagram says nothing of what the server understands.
#[tokio::test(start_paused = true)]
async fn a_question_that_was_lost_is_asked_again_as_it_was() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 512];
        socket.recv_from(&mut packet).await.unwrap();
        while let Ok((length, client)) = socket.recv_from(&mut packet).await {
            let reply = reply(&packet[..length], few_without_edns);
            socket.send_to(&reply, client).await.unwrap();
        }
    });
    expect_all(&Resolver::new(vec![server])).await;
}

/// As behind a firewall that drops questions with EDNS, or long answers.
#[tokio::test(start_paused = true)]
async fn a_server_whose_datagrams_are_lost_is_asked_over_tcp() {
    let (stream, _silent) = sockets().await;
    let server = stream.local_addr().unwrap();
    tokio::spawn(serve_streams(stream, few_without_edns));
    expect_all(&Resolver::new(vec![server])).await;
}

/// Whoever has a search list would wait again for each name of it, and each family.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_silent_is_asked_over_tcp_for_the_other_names_too() {
    let (stream, silent) = sockets().await;
    let server = stream.local_addr().unwrap();
    tokio::spawn(serve_streams(stream, few_without_edns));
    let resolver = with_search_list(vec![server]);
    expect_all(&resolver).await;
    assert_eq!(datagrams(&silent), 2, "those for the first name");
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_over_tcp_is_told() {
    let (stream, _silent) = sockets().await;
    let server = stream.local_addr().unwrap();
    let refuse = |_: &Packet<'_>, reply: &mut Packet<'_>| *reply.rcode_mut() = RCODE::Refused;
    tokio::spawn(serve_streams(stream, refuse));
    let outcome = Resolver::new(vec![server])
        .addresses("chat.internal", FAMILIES, &mut Trail::default())
        .await;
    assert!(matches!(outcome, Err(Fault::Refused(_))), "{outcome:?}");
}

/// A dead one costs each name its time otherwise.
#[tokio::test(start_paused = true)]
async fn a_server_that_has_answered_is_asked_first() {
    let (silent, dead) = sockets().await;
    drop(silent);
    let servers = vec![dead.local_addr().unwrap(), server(few_without_edns).await];
    let resolver = with_search_list(servers);
    expect_all(&resolver).await;
    assert_eq!(datagrams(&dead), 1);
}

#[tokio::test]
async fn a_server_that_tells_few_to_who_names_no_room_tells_all() {
    let resolver = Resolver::new(vec![server(few_without_edns).await]);
    expect_all(&resolver).await;
}

#[tokio::test]
async fn a_server_that_does_not_understand_room_is_asked_without() {
    let server = server(|asked, reply| {
        if asked.opt().is_some() {
            *reply.rcode_mut() = RCODE::FormatError;
            reply.questions.clear();
        } else if is_v4(asked) {
            let data = RData::A(A { address: 1 });
            reply.answers.push(record("old.internal", 1, data));
        }
    });
    let resolver = Resolver::new(vec![server.await]);
    let answer = resolver
        .addresses("old.internal", FAMILIES, &mut Trail::default())
        .await
        .unwrap();
    assert_eq!(answer.found.len(), 1);
}
