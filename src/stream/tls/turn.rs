//! One turn of rustls: it processes received records, and its new state is handled.

use std::io;

use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, ReadTraffic, UnbufferedStatus, WriteTraffic,
};
use tokio::io::ReadBuf;

use crate::stream::Backlog;

/// The rustls half of a connection.
pub(super) enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// The output of turns that could not be passed on yet.
#[derive(Default)]
pub(super) struct Kept {
    /// Content that did not fit into the reader's buffer: of one record, or, if something was encoded meanwhile, of all that
    /// were received and not read yet.
    pub(super) content: Backlog,
    /// Records that wait for the socket.
    pub(super) outgoing: Backlog,
    /// Whether the peer sent close_notify.
    pub(super) has_ended: bool,
}

/// What rustls is to encode, and into which buffer.
pub(super) enum Encode<'a> {
    Nothing,
    /// Records with these bytes.
    Records(&'a [u8], &'a mut [u8]),
    /// A close_notify.
    CloseNotify(&'a mut [u8]),
}

/// The outcome of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Another turn is needed.
    Again,
    /// Content was delivered.
    Content,
    /// More records have to be received first.
    Waiting,
    /// The length in bytes of what was encoded.
    Encoded(usize),
}

/// What a turn reads from and writes to, apart from the records.
pub(super) struct TurnContext<'a, 'b, 'c> {
    /// The reader's buffer.
    pub(super) content: &'a mut ReadBuf<'b>,
    pub(super) kept: &'a mut Kept,
    pub(super) encode: &'a mut Encode<'c>,
}

impl Connection {
    /// What the handshake negotiated.
    pub(super) fn agreed(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client(connection) => connection,
        }
    }

    /// Processes `records`. Returns how many of their bytes are done with, and the outcome.
    pub(super) fn turn(
        &mut self,
        records: &mut [u8],
        mut turn: TurnContext<'_, '_, '_>,
    ) -> (usize, io::Result<Turn>) {
        match self {
            Self::Server(connection) => turn.handle(connection.process_tls_records(records)),
            Self::Client(connection) => turn.handle(connection.process_tls_records(records)),
        }
    }
}

impl TurnContext<'_, '_, '_> {
    fn handle<Data>(
        &mut self,
        status: UnbufferedStatus<'_, '_, Data>,
    ) -> (usize, io::Result<Turn>) {
        let UnbufferedStatus { mut discard, state } = status;
        let turn = match state {
            Ok(ConnectionState::ReadTraffic(traffic)) => self.deliver_all(traffic).map(|more| {
                discard += more;
                Turn::Content
            }),
            Ok(ConnectionState::EncodeTlsData(data)) => self.queue(data).map(|()| Turn::Again),
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It was queued in `kept.outgoing`, which the caller sends.
                data.done();
                Ok(Turn::Again)
            }
            Ok(ConnectionState::PeerClosed) => {
                self.kept.has_ended = true;
                Ok(Turn::Again)
            }
            Ok(ConnectionState::WriteTraffic(traffic)) => self.write(traffic),
            Ok(_) => Ok(Turn::Waiting),
            Err(error) => Err(broken(error)),
        };
        (discard, turn)
    }

    /// Delivers all decrypted content. Returns how many more bytes of the records are done with.
    fn deliver_all<Data>(&mut self, mut traffic: ReadTraffic<'_, '_, Data>) -> io::Result<usize> {
        let mut discard = 0;
        while let Some(record) = traffic.next_record() {
            let record = record.map_err(broken)?;
            discard += record.discard;
            self.deliver(record.payload);
        }
        Ok(discard)
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let (now, later) = bytes.split_at(bytes.len().min(self.content.remaining()));
        self.content.put_slice(now);
        self.kept.content.append(later);
    }

    fn queue<Data>(&mut self, mut data: EncodeTlsData<'_, Data>) -> io::Result<()> {
        // A buffer that is too small yields the required size.
        let mut record = match data.encode(&mut []) {
            Err(EncodeError::InsufficientSize(size)) => vec![0; size.required_size],
            Err(error @ EncodeError::AlreadyEncoded) => return Err(io::Error::other(error)),
            Ok(_) => return Ok(()),
        };
        data.encode(&mut record).map_err(io::Error::other)?;
        self.kept.outgoing.append(&record);
        Ok(())
    }

    fn write<Data>(&mut self, mut traffic: WriteTraffic<'_, Data>) -> io::Result<Turn> {
        let encoded = match self.encode {
            Encode::Nothing => return Ok(Turn::Waiting),
            Encode::Records(bytes, room) => traffic.encrypt(bytes, room),
            Encode::CloseNotify(room) => traffic.queue_close_notify(room),
        };
        encoded.map(Turn::Encoded).map_err(io::Error::other)
    }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
