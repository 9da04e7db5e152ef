//! A question to name servers: by UDP, by TCP where the answer is too long, one server after the other.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{self, Kind, Record, Reply};
use super::{Answer, Fault};

/// How long a server has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often all servers are asked; a datagram may get lost, and some servers take no question that tells how long its
/// answer may be.
const ROUNDS: usize = 2;
/// The longest datagram that is read; none should be longer than was asked for.
const DATAGRAM: usize = 4096;

/// Asks the servers in turn until one answers; what the last one came to where none does.
pub(super) async fn ask(
    servers: &[SocketAddr],
    name: &str,
    kind: Kind,
) -> Result<Answer<Record>, Fault> {
    let mut last = Fault::NoServer;
    let turns = servers.iter().cycle().take(servers.len() * ROUNDS);
    for (turn, server) in turns.enumerate() {
        let id = rand::random();
        let question = message::question(id, name, kind, turn < servers.len())?;
        let read = |packet: &[u8]| message::read(packet, id, name, kind);
        let answer = timeout(PATIENCE, ask_one(*server, &question, read)).await;
        match answer.unwrap_or(Err(Fault::Timeout)) {
            Ok(answer) => return Ok(answer),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// A random identity and the random port of a socket of its own keep others from answering in its place.
async fn ask_one(
    server: SocketAddr,
    question: &[u8],
    read: impl Fn(&[u8]) -> Result<Reply, Fault>,
) -> Result<Answer<Record>, Fault> {
    let socket = datagrams(server).await.map_err(Fault::Unreachable)?;
    socket.send(question).await.map_err(Fault::Unreachable)?;
    let mut packet = [0; DATAGRAM];
    loop {
        let length = socket.recv(&mut packet).await.map_err(Fault::Unreachable)?;
        match read(&packet[..length]) {
            Ok(Reply::Answer(answer)) => return Ok(answer),
            Ok(Reply::Truncated) => break,
            // What is no sound packet may be anybody's.
            Ok(Reply::Foreign) | Err(Fault::Broken) => {}
            Err(fault) => return Err(fault),
        }
    }
    let packet = by_stream(server, question)
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

/// Each message has its length before it (RFC 1035 section 4.2.2).
async fn by_stream(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(question).await?;
    let length = stream.read_u16().await?;
    let mut packet = vec![0; length.into()];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}
