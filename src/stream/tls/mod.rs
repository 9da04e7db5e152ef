//! TLS over a socket. A connection holds no buffer while nothing waits.
//!
//! The usual connections of rustls keep a buffer each and read 4 KiB at a time. Here a buffer of the thread is used to
//! read and to encode; only what could not be passed on is kept, in an allocation of its size.

mod turn;

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, CommonState, ProtocolVersion, ServerConfig, SupportedCipherSuite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Socket, gather};
use turn::{Connection, Encode, Kept, Turn, TurnContext};

/// The most bytes of records processed at a time. A handshake message has to fit: the usual connections of rustls have
/// the same limit.
const RECORDS: usize = 64 * 1024;
/// The most bytes that are encrypted at a time: three full records (RFC 8446 section 5.1). This also bounds what is
/// kept for a slow peer.
const LARGEST_WRITE: usize = 48 * 1024;
/// The most bytes of several slices that are copied together before they are encrypted: a head and a full record
/// behind it go out in one call.
const LARGEST_GATHERING: usize = 24 * 1024;
/// The most bytes of content that a record carries (RFC 8446 section 5.1).
const RECORD_CONTENT: usize = 16 * 1024;
/// How many records before its last one a key counts as used up: more than a connection sends in the seconds until it is asked
/// about next.
pub const SPARE_RECORDS: u64 = 1 << 20;
/// How much more is read than the reader has room for: what records add to the content.
const RECORD_OVERHEAD: usize = 4 * 1024;

thread_local! {
    /// One buffer for all connections of a worker.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; RECORDS].into_boxed_slice());
}

/// Runs `work` with the thread's buffer.
fn with_records<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|records| work(records))
}

/// A handshake that failed.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: io::Error,
    /// The socket; the alert has been written to it, if it took it.
    pub socket: Socket,
}

/// A TLS connection after its handshake.
///
/// If the socket ends without a close_notify (RFC 8446 section 6.1), that is an error: the stream may be truncated.
pub struct TlsStream {
    socket: Socket,
    connection: Connection,
    /// Received records that are incomplete, or whose content did not fit into the reader's buffer. rustls may have seen
    /// the beginning of a message in them, and expects the same bytes at its next turn.
    incoming: Vec<u8>,
    /// Whether rustls has failed. It must not run again: it would process the same bytes once more.
    is_broken: bool,
    kept: Kept,
    /// Whether the socket is full: nothing more is encrypted until it takes what waits.
    is_full: bool,
    has_sent_close_notify: bool,
    records_sent: u64,
}

impl TlsStream {
    /// Shakes hands with a client.
    ///
    /// # Errors
    /// `InvalidData` if the handshake failed; others are those of the socket.
    pub async fn accept(socket: Socket, config: Arc<ServerConfig>) -> Result<Self, Refused> {
        match UnbufferedServerConnection::new(config) {
            Ok(connection) => Self::shake_hands(socket, Connection::Server(connection)).await,
            Err(error) => Err(Refused {
                error: io::Error::other(error),
                socket,
            }),
        }
    }

    /// Shakes hands with the server `name`.
    ///
    /// # Errors
    /// As [`TlsStream::accept`].
    pub async fn connect(
        socket: Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
        let shaken = Self::shake_hands(socket, Connection::Client(connection)).await;
        shaken.map_err(|refused| refused.error)
    }

    async fn shake_hands(socket: Socket, connection: Connection) -> Result<Self, Refused> {
        let mut stream = Self {
            socket,
            connection,
            incoming: Vec::new(),
            is_broken: false,
            kept: Kept::default(),
            is_full: false,
            has_sent_close_notify: false,
            records_sent: 0,
        };
        match poll_fn(|context| stream.poll_handshake(context)).await {
            Ok(()) => Ok(stream),
            Err(error) => Err(Refused {
                error,
                socket: stream.socket,
            }),
        }
    }

    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// How many bytes of records wait for the socket.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.kept.outgoing.rest().len()
    }

    /// What the handshake negotiated.
    #[must_use]
    pub fn agreed(&self) -> &CommonState {
        self.connection.agreed()
    }

    /// Whether the key for sending is nearly used up. TLS 1.3 replaces it in time (RFC 8446 section 5.5). TLS 1.2 cannot:
    /// rustls ends such a connection after 2^24 records with AES-GCM.
    #[must_use]
    pub fn is_key_used_up(&self) -> bool {
        let Some(SupportedCipherSuite::Tls12(suite)) = self.agreed().negotiated_cipher_suite()
        else {
            return false;
        };
        self.records_sent + SPARE_RECORDS >= suite.common.confidentiality_limit
    }

    /// Counts `count` records as sent.
    #[cfg(test)]
    pub(crate) fn skip_records(&mut self, count: u64) {
        self.records_sent += count;
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut nothing = ReadBuf::new(&mut []);
        let is_done = |stream: &Self, _: &ReadBuf<'_>| !stream.agreed().is_handshaking();
        ready!(with_records(|records| {
            self.poll_records(context, records, &mut nothing, is_done)
        }))?;
        match self.agreed().protocol_version() {
            // What a server has left to send are session tickets, and a client its last message. They go out with the first answer
            // and request.
            Some(ProtocolVersion::TLSv1_3) => Poll::Ready(Ok(())),
            _ => self.poll_send(context),
        }
    }

    /// Reads and processes records until `is_done`.
    fn poll_records(
        &mut self,
        context: &mut Context<'_>,
        records: &mut [u8],
        content: &mut ReadBuf<'_>,
        is_done: impl Fn(&Self, &ReadBuf<'_>) -> bool,
    ) -> Poll<io::Result<()>> {
        let mut filled = self.incoming.len();
        records[..filled].copy_from_slice(&self.incoming);
        self.incoming = Vec::new();
        let outcome = self.poll_more(context, (records, &mut filled), content, is_done);
        self.incoming = records[..filled].to_vec();
        outcome
    }

    /// As [`Self::poll_records`]; the first `filled` bytes of `records` are those received before.
    fn poll_more(
        &mut self,
        context: &mut Context<'_>,
        (records, filled): (&mut [u8], &mut usize),
        content: &mut ReadBuf<'_>,
        is_done: impl Fn(&Self, &ReadBuf<'_>) -> bool,
    ) -> Poll<io::Result<()>> {
        loop {
            let (used, outcome) = self.take_records(&mut records[..*filled], content);
            records.copy_within(used..*filled, 0);
            *filled -= used;
            if let Err(error) = outcome {
                // Sends the alert, if the socket takes it at once.
                let _ = self.poll_send(context);
                // Content that came before the error is delivered first; the next call returns an error.
                let is_enough = is_done(self, content);
                return Poll::Ready(is_enough.then_some(()).ok_or(error));
            }
            if is_done(self, content) {
                return Poll::Ready(Ok(()));
            }
            if self.agreed().is_handshaking() {
                // A full socket does not keep the handshake from reading.
                let _: Poll<()> = self.poll_send(context)?;
            }
            let most = records
                .len()
                .min(*filled + content.remaining() + RECORD_OVERHEAD);
            let mut room = ReadBuf::new(&mut records[*filled..most]);
            if room.remaining() == 0 {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a message of the TLS handshake is too large",
                )));
            }
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut room))?;
            if room.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            *filled += room.filled().len();
        }
    }

    /// Processes `records` while there is room for their content. Returns how many of their bytes are done with.
    fn take_records(
        &mut self,
        records: &mut [u8],
        content: &mut ReadBuf<'_>,
    ) -> (usize, io::Result<()>) {
        let mut used = 0;
        if self.is_broken {
            return (used, Err(io::ErrorKind::InvalidData.into()));
        }
        if records.is_empty() && !self.agreed().is_handshaking() {
            return (used, Ok(()));
        }
        loop {
            let (done, turn) = self.turn(&mut records[used..], content, &mut Encode::Nothing);
            used += done;
            let has_room = self.kept.content.is_empty() && content.remaining() > 0;
            match turn {
                Ok(Turn::Again) => {}
                Ok(Turn::Content) if has_room && used < records.len() => {}
                Ok(Turn::Content | Turn::Waiting | Turn::Encoded(_)) => return (used, Ok(())),
                Err(error) => {
                    self.is_broken = true;
                    used += self.take_alert(&mut records[used..], content);
                    return (used, Err(error));
                }
            }
        }
    }

    /// Queues the alert of an error, if there is one: it comes in the next turns, behind what else is to be sent.
    fn take_alert(&mut self, records: &mut [u8], content: &mut ReadBuf<'_>) -> usize {
        let mut used = 0;
        while self.agreed().wants_write() {
            let (done, turn) = self.turn(&mut records[used..], content, &mut Encode::Nothing);
            used += done;
            if !matches!(turn, Ok(Turn::Again)) {
                break;
            }
        }
        used
    }

    /// Has rustls encode something. Returns its length in bytes.
    fn encode(&mut self, mut encode: Encode<'_>) -> io::Result<usize> {
        if let Encode::Records(content, _) = &encode {
            self.records_sent += content.len().div_ceil(RECORD_CONTENT) as u64;
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut used = 0;
        let outcome = loop {
            if self.is_broken {
                break Err(io::ErrorKind::BrokenPipe.into());
            }
            let mut nothing = ReadBuf::new(&mut []);
            let (done, turn) = self.turn(&mut incoming[used..], &mut nothing, &mut encode);
            used += done;
            match turn {
                Ok(Turn::Again | Turn::Content) => {}
                Ok(Turn::Waiting) => break Err(io::ErrorKind::BrokenPipe.into()),
                Ok(Turn::Encoded(length)) => break Ok(length),
                Err(error) => {
                    self.is_broken = true;
                    break Err(error);
                }
            }
        };
        incoming.drain(..used);
        self.incoming = incoming;
        outcome
    }

    /// One turn over `records`. Returns how many of their bytes are done with, and the outcome.
    fn turn(
        &mut self,
        records: &mut [u8],
        content: &mut ReadBuf<'_>,
        encode: &mut Encode<'_>,
    ) -> (usize, io::Result<Turn>) {
        let kept = &mut self.kept;
        let turn = TurnContext {
            content,
            kept,
            encode,
        };
        self.connection.turn(records, turn)
    }

    /// Sends the records that wait.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.outgoing.is_empty() {
            let sent = Pin::new(&mut self.socket).poll_write(context, self.kept.outgoing.rest());
            self.is_full = sent.is_pending();
            match ready!(sent)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.kept.outgoing.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends `records` behind those that wait; what the socket does not take is kept.
    fn send(&mut self, context: &mut Context<'_>, records: &[u8]) -> io::Result<()> {
        let sent = if self.kept.outgoing.is_empty() {
            match Pin::new(&mut self.socket).poll_write(context, records)? {
                Poll::Ready(count) => count,
                Poll::Pending => 0,
            }
        } else {
            0
        };
        self.kept.outgoing.append(&records[sent..]);
        // If the socket is full, this registers the task for when it is not.
        let _: Poll<()> = self.poll_send(context)?;
        Ok(())
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !stream.kept.content.is_empty() {
            stream.kept.content.read(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let is_done = |stream: &Self, buffer: &ReadBuf<'_>| {
            stream.kept.has_ended || buffer.filled().len() > before || buffer.remaining() == 0
        };
        if is_done(stream, buffer) {
            return Poll::Ready(Ok(()));
        }
        with_records(|records| stream.poll_records(context, records, buffer, is_done))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        if stream.is_full {
            ready!(stream.poll_send(context))?;
        }
        let bytes = &bytes[..bytes.len().min(LARGEST_WRITE)];
        with_records(|records| {
            let encoded = stream.encode(Encode::Records(bytes, records))?;
            stream.send(context, &records[..encoded])
        })?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        if let Some(large) = first.filter(|it| slices.len() == 1 || it.len() >= LARGEST_GATHERING) {
            return self.poll_write(context, large);
        }
        let stream = self.get_mut();
        if stream.is_full {
            ready!(stream.poll_send(context))?;
        }
        let gathered = with_records(|scratch| {
            let (content, records) = scratch.split_at_mut(LARGEST_GATHERING);
            let gathered = gather(slices, content);
            let encoded = stream.encode(Encode::Records(&content[..gathered], records))?;
            stream.send(context, &records[..encoded])?;
            io::Result::Ok(gathered)
        });
        Poll::Ready(gathered)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !stream.has_sent_close_notify {
            stream.has_sent_close_notify = true;
            with_records(|records| {
                let encoded = stream.encode(Encode::CloseNotify(records))?;
                stream.send(context, &records[..encoded])
            })?;
        }
        ready!(stream.poll_send(context))?;
        match ready!(Pin::new(&mut stream.socket).poll_shutdown(context)) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TlsStream")
    }
}
