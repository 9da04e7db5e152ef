//! A name server on loopback whose zone scenarios change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simple_dns::rdata::{A, AAAA, RData, SRV};
use simple_dns::{CLASS, Name, Packet, RCODE, ResourceRecord, TYPE};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A running name server; it ends when this is dropped.
pub(crate) struct NameServer {
    address: SocketAddr,
    zone: Arc<Zone>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Zone {
    records: Mutex<Records>,
    questions: AtomicUsize,
}

#[derive(Default)]
struct Records {
    by_name: BTreeMap<String, Vec<Place>>,
    failing: BTreeSet<String>,
    conduct: Conduct,
}

/// What stands under a name.
#[derive(Clone)]
pub(crate) enum Place {
    /// An address.
    Address(IpAddr),
    /// A service: priority, weight, port, host.
    Service(u16, u16, u16, &'static str),
}

/// How questions are treated.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Conduct {
    /// They are answered.
    #[default]
    Sound,
    /// They are answered with a failure.
    Failing,
    /// They are not answered.
    Silent,
}

impl NameServer {
    /// One that knows nothing yet.
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.expect("a port");
        let zone = Arc::new(Zone::default());
        Self {
            address: socket.local_addr().expect("a bound socket"),
            zone: Arc::clone(&zone),
            serving: tokio::spawn(serve(socket, zone)),
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has `name` lead to these places, and to no others.
    pub(crate) fn set(&self, name: &str, places: &[Place]) {
        let mut records = self.zone.records();
        records.by_name.insert(name.to_owned(), places.to_vec());
    }

    /// Has `name` lead to these addresses, and to no others.
    pub(crate) fn set_addresses(&self, name: &str, addresses: &[&str]) {
        let parse = |address: &&str| Place::Address(address.parse().expect("an address"));
        self.set(name, &addresses.iter().map(parse).collect::<Vec<_>>());
    }

    /// Treats questions so from now on.
    pub(crate) fn conduct(&self, conduct: Conduct) {
        self.zone.records().conduct = conduct;
    }

    /// Answers with a failure what it is asked of `name` from now on.
    pub(crate) fn fail(&self, name: &str) {
        self.zone.records().failing.insert(name.to_owned());
    }

    /// How many questions it was asked.
    pub(crate) fn questions(&self) -> usize {
        self.zone.questions.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Zone {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let question = Packet::parse(question).expect("a sound question");
        let mut reply = Packet::new_reply(question.id());
        reply.questions.clone_from(&question.questions);
        let asked = &question.questions[0];
        let (records, name) = (self.records(), asked.qname.to_string());
        let conduct = match records.failing.contains(&name) {
            true => Conduct::Failing,
            false => records.conduct,
        };
        match (conduct, records.by_name.get(&name)) {
            (Conduct::Silent, _) => return None,
            (Conduct::Failing, _) => *reply.rcode_mut() = RCODE::ServerFailure,
            (Conduct::Sound, None) => *reply.rcode_mut() = RCODE::NameError,
            (Conduct::Sound, Some(places)) => {
                let data = places.iter().map(data);
                let fitting = data.filter(|(kind, _)| asked.qtype == (*kind).into());
                let record =
                    |(_, data)| ResourceRecord::new(asked.qname.clone(), CLASS::IN, 0, data);
                reply.answers.extend(fitting.map(record));
            }
        }
        Some(reply.build_bytes_vec().expect("a sound reply"))
    }
}

fn data(place: &Place) -> (TYPE, RData<'static>) {
    match *place {
        Place::Address(IpAddr::V4(ip)) => (
            TYPE::A,
            RData::A(A {
                address: ip.to_bits(),
            }),
        ),
        Place::Address(IpAddr::V6(ip)) => {
            let address = ip.to_bits();
            (TYPE::AAAA, RData::AAAA(AAAA { address }))
        }
        Place::Service(priority, weight, port, host) => {
            let target = Name::new(host).expect("a name");
            let service = SRV {
                priority,
                weight,
                port,
                target,
            };
            (TYPE::SRV, RData::SRV(service))
        }
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Zone>) {
    let mut packet = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut packet).await {
        if let Some(reply) = zone.answer(&packet[..length]) {
            let sent = socket.send_to(&reply, client).await;
            sent.expect("loopback takes datagrams");
        }
    }
}
