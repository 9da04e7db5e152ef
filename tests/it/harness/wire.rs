//! A client that writes bytes and reads heads: for everything that a well-behaved one cannot say.

use std::net::SocketAddr;
use std::ops::Deref;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::patience::soon;

/// So much is written at once: what many scenarios send is one piece.
const PIECE: usize = 1 << 20;

/// A connection, and what was read of it but not yet asked for.
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    received: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await;
        Self::new(stream.expect("the address takes connections"))
    }

    /// Connects from another address of this machine, as another client.
    pub(crate) async fn connect_from(from: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let from = SocketAddr::new(from.parse().expect("an address"), 0);
        socket.bind(from).expect("an address of this machine");
        let stream = soon("a connection", socket.connect(address)).await;
        Self::new(stream.expect("the address takes connections"))
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        let reset = self.stream.set_zero_linger();
        reset.expect("the socket takes the option");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Speaks over `stream`.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Writes all of it; each piece has to be taken soon.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        for piece in bytes.as_ref().chunks(PIECE) {
            let sent = soon("bytes taken", self.stream.write_all(piece)).await;
            sent.expect("the other side takes bytes");
        }
        let flushed = soon("bytes flushed", self.stream.flush()).await;
        flushed.expect("the other side takes bytes");
    }

    /// Writes all of it, for as long as that takes; whether the other side is still there.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends every byte back until the other side ends.
    pub(crate) async fn mirror(&mut self) {
        loop {
            let bytes = std::mem::take(&mut self.received);
            if !self.try_send(bytes).await {
                return;
            }
            if matches!(
                self.stream.read_buf(&mut self.received).await,
                Ok(0) | Err(_)
            ) {
                return;
            }
        }
    }

    /// Ends the sending half.
    pub(crate) async fn end(&mut self) {
        let ended = soon("an end", self.stream.shutdown()).await;
        ended.expect("the sending half can be ended");
    }

    /// The next head; what follows it stays.
    pub(crate) async fn head(&mut self) -> Head {
        let end = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
            let so_far = String::from_utf8_lossy(&self.received).into_owned();
            assert!(self.read().await > 0, "ended within a head: {so_far:?}");
        };
        Head::read(&self.received.drain(..end).collect::<Vec<_>>())
    }

    /// The next answer with its body, whatever bounds it.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let length = head.value("content-length").map(|length| {
            let length = length.parse::<usize>();
            length.expect("Content-Length is a number")
        });
        let body = match length {
            _ if matches!(head.status(), 101 | 204 | 304) => Vec::new(),
            Some(length) => self.take(length).await,
            None if head.value("transfer-encoding").is_some() => self.chunks().await,
            None => self.rest().await,
        };
        let body = String::from_utf8(body).expect("bodies are text here");
        Answer { head, body }
    }

    /// So many bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            let missing = count - self.received.len();
            assert!(self.read().await > 0, "ended with {missing} bytes missing");
        }
        let later = self.received.split_off(count);
        std::mem::replace(&mut self.received, later)
    }

    /// Everything until the other side ends. Fails where it resets instead.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.read().await > 0 {}
        std::mem::take(&mut self.received)
    }

    /// Everything until the other side ends or resets.
    pub(crate) async fn sent(&mut self) -> Vec<u8> {
        let mut read = Ok(1);
        while read.is_ok_and(|count| count > 0) {
            read = soon("bytes", self.stream.read_buf(&mut self.received)).await;
        }
        std::mem::take(&mut self.received)
    }

    /// Waits until the other side has ended or reset, and drops what it sends until then.
    pub(crate) async fn gone(&mut self) {
        let mut dropped = vec![0; 16 * 1024];
        let gone =
            async { while !matches!(self.stream.read(&mut dropped).await, Ok(0) | Err(_)) {} };
        soon("the end of the connection", gone).await;
    }

    /// Waits until the other side has ended (false) or reset (true), and drops what it sends until then.
    pub(crate) async fn is_reset(&mut self) -> bool {
        let mut dropped = vec![0; 16 * 1024];
        loop {
            match soon("an end or a reset", self.stream.read(&mut dropped)).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(_) => return true,
            }
        }
    }

    /// The stream itself, for what is not said in heads.
    pub(crate) fn into_stream(self) -> S {
        assert!(self.received.is_empty(), "bytes were read already");
        self.stream
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let length = usize::from_str_radix(&line, 16).expect("a chunk has a size");
            body.extend(self.take(length).await);
            assert_eq!(self.line().await, "", "a chunk ends with its size");
            if length == 0 {
                return body;
            }
        }
    }

    async fn line(&mut self) -> String {
        let end = loop {
            if let Some(end) = find(&self.received, b"\r\n") {
                break end + 2;
            }
            assert!(self.read().await > 0, "ended within a line");
        };
        let line: Vec<u8> = self.received.drain(..end).collect();
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    async fn read(&mut self) -> usize {
        let read = soon("bytes", self.stream.read_buf(&mut self.received)).await;
        read.expect("the connection is not reset")
    }
}

/// The head of a request or an answer, to the letter.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) line: String,
    /// The fields as they were spelt.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            (name.to_owned(), value.to_owned())
        };
        Self {
            line,
            fields: lines.map(field).collect(),
        }
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        let status = self
            .line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer: {}", self.line))
    }

    /// The value of a field, in whatever case its name is spelt.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }

    /// Every value of a field, in whatever case its name is spelt.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter();
        let fitting = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        fitting.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a field is there under a name spelt exactly so.
    pub(crate) fn spells(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// What is before the body.
    pub(crate) head: Head,
    /// The body, with its coding undone.
    pub(crate) body: String,
}

impl Deref for Answer {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// Sends one request over a connection of its own and reads the answer.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut wire = Wire::connect(address).await;
    wire.send(request).await;
    wire.answer().await
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
