//! One direction of a tunnel: read, write at once, keep what is not taken, pass the end on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffer::{Backlog, LARGEST_READ, SMALLEST_READ, with_scratch};
use crate::stream::Stream;

/// One direction of a tunnel.
#[derive(Debug)]
pub(super) struct Relay {
    backlog: Backlog,
    phase: Phase,
    /// Whether bytes may still sit in the sink (under TLS, ciphertext does) and have to be flushed.
    unflushed: bool,
    /// What the next read takes at most; follows what the sink accepts.
    read_size: usize,
    /// Bytes read since the last report.
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Bytes pass.
    Open,
    /// The source ended; what is kept goes out, then the sink's sending half is ended.
    Ending,
    /// Nothing passes any more.
    Ended,
}

/// Which end of a direction broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Where the bytes come from.
    Source,
    /// Where the bytes go to.
    Sink,
}

impl Relay {
    /// A direction whose first bytes are `early`: those that arrived together with a head.
    pub(super) fn new(early: &[u8]) -> Self {
        let mut backlog = Backlog::default();
        backlog.keep(early);
        Self {
            backlog,
            phase: Phase::Open,
            unflushed: false,
            read_size: SMALLEST_READ,
            bytes: early.len() as u64,
        }
    }

    /// Whether the source ended and the sink was told.
    pub(super) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Bytes that passed since the last call.
    pub(super) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }

    /// Whether bytes passed since they were last taken.
    pub(super) fn has_bytes(&self) -> bool {
        self.bytes > 0
    }

    /// Reads no more. What is kept still goes out, then the sink's sending half is ended.
    pub(super) fn end(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Ending;
        }
    }

    /// After [`Relay::end`]: ready when the sink has everything and its sending half is ended.
    pub(super) fn poll_end(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<Result<(), Fault>> {
        if self.phase == Phase::Ending {
            ready!(self.poll_backlog(context, sink))?;
            ready!(fault(Fault::Sink, Pin::new(sink).poll_shutdown(context)))?;
            self.phase = Phase::Ended;
        }
        Poll::Ready(Ok(()))
    }

    /// Moves bytes until one side has no more to give or to take. Ready when the end has been passed on, or
    /// when one side broke; a direction whose sink broke has ended.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), Fault>> {
        let result = self.poll_open(context, source, sink);
        if let Poll::Ready(Err(Fault::Sink)) = result {
            self.abandon();
        }
        result
    }

    fn poll_open(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), Fault>> {
        if self.phase == Phase::Open {
            ready!(self.poll_backlog(context, sink))?;
            ready!(self.poll_pass(context, source, sink))?;
        }
        self.poll_end(context, sink)
    }

    /// Stops the direction where it is: the sink takes nothing more.
    fn abandon(&mut self) {
        self.backlog = Backlog::default();
        self.phase = Phase::Ended;
    }

    /// Ready when the source has ended; until then bytes pass through the thread's buffer.
    fn poll_pass(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), Fault>> {
        with_scratch(|scratch| {
            loop {
                let mut buffer = ReadBuf::new(&mut scratch[..self.read_size]);
                match Pin::new(&mut *source).poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Source)),
                    Poll::Pending => {
                        ready!(self.poll_flush(context, sink))?;
                        return Poll::Pending;
                    }
                }
                if buffer.filled().is_empty() {
                    self.phase = Phase::Ending;
                    return Poll::Ready(Ok(()));
                }
                self.bytes += buffer.filled().len() as u64;
                ready!(self.poll_forward(context, sink, buffer.filled()))?;
            }
        })
    }

    /// Writes `bytes`. Pending when the sink is full: what it did not take is kept, and reading stops.
    fn poll_forward(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Stream,
        bytes: &[u8],
    ) -> Poll<Result<(), Fault>> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match fault(Fault::Sink, poll_write(context, sink, rest))? {
                Poll::Ready(count) => rest = &rest[count..],
                Poll::Pending => {
                    self.backlog.keep(rest);
                    self.read_size = (self.read_size / 2).max(SMALLEST_READ);
                    return Poll::Pending;
                }
            }
            self.unflushed = true;
        }
        if bytes.len() == self.read_size {
            self.read_size = (self.read_size * 2).min(LARGEST_READ);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_backlog(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<Result<(), Fault>> {
        while !self.backlog.is_empty() {
            let write = poll_write(context, sink, self.backlog.rest());
            let count = ready!(fault(Fault::Sink, write))?;
            self.backlog.advance(count);
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<Result<(), Fault>> {
        if self.unflushed {
            ready!(fault(Fault::Sink, Pin::new(sink).poll_flush(context)))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// A write that takes nothing is an error, so that no loop can spin on it.
fn poll_write(
    context: &mut Context<'_>,
    sink: &mut Stream,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match Pin::new(sink).poll_write(context, bytes) {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        other => other,
    }
}

/// What exactly broke is of no use to anybody; which side did is.
fn fault<T>(side: Fault, result: Poll<io::Result<T>>) -> Poll<Result<T, Fault>> {
    result.map_err(|_| side)
}
