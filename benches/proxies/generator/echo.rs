//! The backend behind the proxies: unmasks what comes and sends it back, as it comes.

use std::net::{Shutdown, TcpStream};

use anyhow::{Context, Result, ensure};

use super::frames::{self, FrameReader, Header, Piece};
use super::handshake;
use super::wire::{Received, Scratch, Wire};

/// One connection of a proxy to the backend.
pub(crate) struct Echo {
    wire: Wire,
    /// The request, until it is answered.
    head: Option<Vec<u8>>,
    reader: FrameReader,
    /// The client's Close was answered; then, that nothing more follows was said too.
    closing: bool,
    ended: bool,
}

impl Echo {
    pub(crate) fn new(socket: TcpStream) -> Result<Self> {
        let wire = Wire::new(socket, None)?;
        let reader = FrameReader::default();
        Ok(Self {
            wire,
            head: Some(Vec::new()),
            reader,
            closing: false,
            ended: false,
        })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.wire.socket()
    }

    /// Does what the socket allows; false when the connection has ended.
    pub(crate) fn ready(&mut self, scratch: &mut Scratch, hung_up: bool) -> Result<bool> {
        let mut drained = false;
        // What the proxy does not take is not read from it either.
        while self.wire.flush()? {
            self.end_after_close()?;
            if drained {
                break;
            }
            match self.wire.receive(scratch)? {
                Received::Bytes(bytes, more) => {
                    drained = !more && !hung_up;
                    self.take(bytes)?;
                }
                Received::Nothing => break,
                Received::End => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The server ends TCP first (RFC 6455 section 7.1.1).
    fn end_after_close(&mut self) -> Result<()> {
        if self.closing && !self.ended {
            self.ended = true;
            self.wire
                .socket()
                .shutdown(Shutdown::Write)
                .context("ending the backend's half")?;
        }
        Ok(())
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        if let Some(mut head) = self.head.take() {
            let before = head.len();
            head.extend_from_slice(bytes);
            let Some(size) = handshake::answer(&head, self.wire.outgoing())? else {
                self.head = Some(head);
                return Ok(());
            };
            bytes = &bytes[size - before..];
        }
        while let Some(piece) = self.reader.next(&mut bytes) {
            self.echo(&piece)?;
        }
        Ok(())
    }

    fn echo(&mut self, piece: &Piece<'_>) -> Result<()> {
        let header = piece.header;
        let key = header
            .mask
            .context("an unmasked frame reached the backend")?;
        ensure!(!self.closing, "a frame after Close reached the backend");
        let opcode = match header.opcode {
            frames::PONG => return Ok(()),
            frames::PING => frames::PONG,
            other => other,
        };
        let output = self.wire.outgoing();
        if piece.at == 0 {
            Header {
                opcode,
                length: header.length,
                mask: None,
            }
            .write(output);
        }
        let start = output.len();
        output.extend_from_slice(piece.bytes);
        frames::mask(&mut output[start..], key, piece.at);
        self.closing = opcode == frames::CLOSE && piece.is_last();
        Ok(())
    }
}
