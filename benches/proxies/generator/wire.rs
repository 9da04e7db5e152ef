//! One non-blocking stream, plain or TLS, with the bytes it has not taken yet. Edge-triggered: a
//! reader goes on until the socket is empty.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result};
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, Type};

const READ_SIZE: usize = 256 * 1024;
/// What rustls may hold back from earlier reads and give out with the next: one record.
const RECORD_SIZE: usize = 32 * 1024;

/// Room to read into, shared by all streams of a thread.
pub(crate) struct Scratch {
    raw: Vec<u8>,
    plain: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            raw: vec![0; READ_SIZE],
            plain: vec![0; READ_SIZE + RECORD_SIZE],
        }
    }
}

/// What a read brought.
pub(crate) enum Received<'a> {
    /// Bytes, and whether the socket may hold more.
    Bytes(&'a [u8], bool),
    Nothing,
    End,
}

/// A socket, its TLS where it has one, and what it is still to send.
pub(crate) struct Wire {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    outgoing: Vec<u8>,
    written: usize,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, tls: Option<ClientConnection>) -> Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            tls: tls.map(Box::new),
            outgoing: Vec::new(),
            written: 0,
        })
    }

    /// Begins to connect; the first flush that succeeds tells that it did.
    pub(crate) fn connect(address: SocketAddr, tls: Option<ClientConnection>) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(error)
                if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
            {
                Err(error).context("connecting to the proxy")
            }
            _ => Self::new(socket.into(), tls),
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Where to append what is to be sent; `flush` sends it.
    pub(crate) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Sends what the socket takes; true when nothing is left.
    pub(crate) fn flush(&mut self) -> Result<bool> {
        match &mut self.tls {
            None => self.flush_plain(),
            Some(tls) => {
                if !self.outgoing.is_empty() {
                    tls.writer().write_all(&self.outgoing)?;
                    self.outgoing.clear();
                }
                flush_records(tls, &self.socket)
            }
        }
    }

    fn flush_plain(&mut self) -> Result<bool> {
        while self.written < self.outgoing.len() {
            match (&self.socket).write(&self.outgoing[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if is_not_ready(&error) => return Ok(false),
                Err(error) => return Err(error).context("writing"),
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Ok(true)
    }

    /// Reads once.
    pub(crate) fn receive<'a>(&mut self, scratch: &'a mut Scratch) -> Result<Received<'a>> {
        let count = match (&self.socket).read(&mut scratch.raw) {
            Ok(0) => return Ok(Received::End),
            Ok(count) => count,
            Err(error) if is_not_ready(&error) => return Ok(Received::Nothing),
            Err(error) => return Err(error).context("reading"),
        };
        let more = count == scratch.raw.len();
        let Some(tls) = &mut self.tls else {
            return Ok(Received::Bytes(&scratch.raw[..count], more));
        };
        let filled = decrypt(tls, &scratch.raw[..count], &mut scratch.plain)?;
        if tls.wants_write() {
            flush_records(tls, &self.socket)?;
        }
        Ok(Received::Bytes(&scratch.plain[..filled], more))
    }
}

/// Feeds `records` to rustls; returns how many bytes of `plain` it filled.
fn decrypt(tls: &mut ClientConnection, mut records: &[u8], plain: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while !records.is_empty() {
        tls.read_tls(&mut records)?;
        let state = tls.process_new_packets().context("TLS with the proxy")?;
        let count = state.plaintext_bytes_to_read();
        tls.reader()
            .read_exact(&mut plain[filled..filled + count])?;
        filled += count;
    }
    Ok(filled)
}

fn flush_records(tls: &mut ClientConnection, mut socket: &TcpStream) -> Result<bool> {
    while tls.wants_write() {
        match tls.write_tls(&mut socket) {
            Ok(_) => {}
            Err(error) if is_not_ready(&error) => return Ok(false),
            Err(error) => return Err(error).context("writing"),
        }
    }
    Ok(true)
}

/// Before a connection stands, Linux says EAGAIN or ENOTCONN.
fn is_not_ready(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
