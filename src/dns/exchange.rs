//! Asking name servers one after the other: over UDP, and over TCP if the answer is truncated or does not come.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use simple_dns::RCODE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{self, Kind, Record, Reply};
use super::{Answer, Fault};

/// How long to wait for the answer of a server.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often all servers are asked: a datagram may get lost.
const ROUNDS: usize = 2;
/// The longest datagram that is read; servers should send none that is longer than the question allows.
const DATAGRAM: usize = 4096;

/// A name server, and how it is asked, as far as that was found out.
pub(super) struct Server {
    address: SocketAddr,
    with_edns: bool,
    /// Its datagrams get lost, and it answers over TCP.
    by_stream: bool,
}

impl Server {
    /// One of which nothing is known.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            with_edns: true,
            by_stream: false,
        }
    }

    /// Asks it once, and takes note of how it wants to be asked.
    async fn ask(&mut self, name: &str, kind: Kind) -> Result<Answer<Record>, Fault> {
        let id = rand::random();
        let question = message::question(id, name, kind, self.with_edns)?;
        let read = |packet: &[u8]| message::read(packet, id, name, kind);
        let outcome = match self.by_stream {
            true => timeout(PATIENCE, ask_by_stream(self.address, &question, read))
                .await
                .unwrap_or(Err(Fault::Timeout)),
            false => ask_one(self.address, &question, read).await,
        };
        if let Err(fault) = &outcome {
            self.with_edns &= !is_confused(fault);
            self.by_stream &= matches!(fault, Fault::Refused(_));
        }
        outcome
    }
}

/// Asks the servers in turn until one answers, which is the first to be asked from then on; otherwise returns the fault of the
/// last one. A server that does not understand EDNS is asked again without. Those that were silent are asked over TCP at last
/// (RFC 7766 section 5): some firewalls drop datagrams with EDNS, or long ones.
pub(super) async fn ask(
    servers: &mut [Server],
    name: &str,
    kind: Kind,
) -> Result<Answer<Record>, Fault> {
    let (index, answer) = ask_in_turn(servers, name, kind).await?;
    servers[..=index].rotate_right(1);
    Ok(answer)
}

/// The answer, and which server it is from.
async fn ask_in_turn(
    servers: &mut [Server],
    name: &str,
    kind: Kind,
) -> Result<(usize, Answer<Record>), Fault> {
    let mut last = Fault::NoServer;
    let mut silent = Vec::new();
    for _ in 0..ROUNDS {
        silent.clear();
        for (index, server) in servers.iter_mut().enumerate() {
            match server.ask(name, kind).await {
                Ok(answer) => return Ok((index, answer)),
                Err(fault @ Fault::BadName(_)) => return Err(fault),
                Err(fault) => {
                    let is_silent = matches!(fault, Fault::Timeout);
                    silent.extend(is_silent.then_some(index));
                    last = fault;
                }
            }
        }
    }
    for index in silent {
        servers[index].by_stream = true;
        match servers[index].ask(name, kind).await {
            Ok(answer) => return Ok((index, answer)),
            Err(fault @ Fault::Refused(_)) => last = fault,
            // It is as silent as before.
            Err(_) => {}
        }
    }
    Err(last)
}

/// Whether a server that answers so may not understand EDNS (RFC 6891 section 7). A lost datagram does not say that, and without
/// EDNS Consul leaves out most of an answer.
fn is_confused(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Broken | Fault::Refused(RCODE::FormatError | RCODE::NotImplemented)
    )
}

/// Asks one server. A random ID and a socket with a random port of its own make it hard to forge an answer.
async fn ask_one(
    server: SocketAddr,
    question: &[u8],
    read: impl Fn(&[u8]) -> Result<Reply, Fault>,
) -> Result<Answer<Record>, Fault> {
    // An invalid packet may come from anybody, so the server still has its time. Then that packet was all there is.
    let mut on_timeout = Fault::Timeout;
    let asking = async {
        match ask_by_datagram(server, question, &read, &mut on_timeout).await? {
            Some(answer) => Ok(answer),
            None => ask_by_stream(server, question, &read).await,
        }
    };
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(on_timeout),
    }
}

/// The answer, or `None` if it does not fit into a datagram. An invalid packet is put into `on_timeout`.
async fn ask_by_datagram(
    server: SocketAddr,
    question: &[u8],
    read: impl Fn(&[u8]) -> Result<Reply, Fault>,
    on_timeout: &mut Fault,
) -> Result<Option<Answer<Record>>, Fault> {
    let socket = datagrams(server).await.map_err(Fault::Unreachable)?;
    socket.send(question).await.map_err(Fault::Unreachable)?;
    let mut packet = [0; DATAGRAM];
    loop {
        let length = socket.recv(&mut packet).await.map_err(Fault::Unreachable)?;
        match read(&packet[..length]) {
            Ok(Reply::Answer(answer)) => return Ok(Some(answer)),
            Ok(Reply::Truncated) => return Ok(None),
            Ok(Reply::Foreign) => {}
            Err(Fault::Broken) => *on_timeout = Fault::Broken,
            Err(fault) => return Err(fault),
        }
    }
}

async fn ask_by_stream(
    server: SocketAddr,
    question: &[u8],
    read: impl Fn(&[u8]) -> Result<Reply, Fault>,
) -> Result<Answer<Record>, Fault> {
    let packet = ask_over_tcp(server, question)
        .await
        .map_err(Fault::Unreachable)?;
    match read(&packet)? {
        Reply::Answer(answer) => Ok(answer),
        Reply::Truncated | Reply::Foreign => Err(Fault::Broken),
    }
}

async fn datagrams(server: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// Asks over TCP, where each message is preceded by its length (RFC 1035 section 4.2.2), in one packet (RFC 7766 section 8).
async fn ask_over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let message = [&length.to_be_bytes(), question].concat();
    stream.write_all(&message).await?;
    let length = stream.read_u16().await?;
    let mut packet = vec![0; length.into()];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}
