//! Writes to one side: at once if possible, else when the side is writable again; flushes and ends its stream.
//!
//! Nothing else writes to that side. Where a frame of the gateway may be inserted is known to the
//! [relay](super::relay).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::stream::{Backlog, Spliced, Stream, poll_splice};
use crate::websocket::ControlFrame;

/// More than a Close and the end of the stream take, also with TLS. The kernel of a peer acknowledges them even if the peer
/// reads nothing.
const A_CLOSE: usize = 256;

/// The only writer of a sink.
#[derive(Default, Debug)]
pub(super) struct Writer {
    backlog: Backlog,
    end: SinkEnd,
    /// Whether a Close of the gateway was queued; nothing follows it.
    has_queued_close: bool,
    /// Whether the sink may hold bytes that have to be flushed (TLS keeps ciphertext).
    unflushed: bool,
    /// Whether the sink took bytes since the last [`Writer::take_has_progress`], for the stall check.
    has_progress: bool,
    /// How often the sink took bytes.
    writes: u32,
    /// The [`Writer::mark`] of the last [`Writer::take_has_peer_taken`], for the waits at the end of a session.
    mark: u64,
}

/// Whether the stream to the sink is ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum SinkEnd {
    #[default]
    Open,
    Asked,
    Done,
}

/// The error of a sink that will take no more bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

impl Writer {
    /// Adds `bytes` to what is kept.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.backlog.append(bytes);
    }

    /// Writes `bytes`. Pending if the sink is full: what it did not take is kept.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Stream,
        bytes: &[u8],
    ) -> Poll<Result<(), Broken>> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match poll_some(context, sink, rest) {
                Poll::Ready(Ok(count)) => rest = &rest[count..],
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken)),
                Poll::Pending => {
                    self.backlog.append(rest);
                    return Poll::Pending;
                }
            }
            self.note_progress();
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Splices up to `most` bytes from `source` to the sink. What the sink does not take is kept.
    pub(super) fn poll_splice(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
        most: usize,
    ) -> Poll<io::Result<Spliced>> {
        let spliced = ready!(poll_splice(context, source, sink, most, &mut self.backlog))?;
        if self.backlog.rest().len() < spliced.taken {
            self.note_progress();
        }
        Poll::Ready(Ok(spliced))
    }

    /// Writes what is kept and flushes the sink, then ends its stream if that was asked for.
    pub(super) fn poll_out(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        while !self.backlog.is_empty() {
            let Ok(count) = ready!(poll_some(context, sink, self.backlog.rest())) else {
                return Poll::Ready(Err(Broken));
            };
            self.backlog.advance(count);
            self.note_progress();
            self.unflushed = true;
        }
        if self.unflushed {
            if ready!(Pin::new(&mut *sink).poll_flush(context)).is_err() {
                return Poll::Ready(Err(Broken));
            }
            self.unflushed = false;
            self.note_progress();
        }
        if self.end == SinkEnd::Asked {
            if ready!(Pin::new(sink).poll_shutdown(context)).is_err() {
                return Poll::Ready(Err(Broken));
            }
            self.end = SinkEnd::Done;
        }
        Poll::Ready(Ok(()))
    }

    /// Queues `frame` behind what was written. False if the sink gets nothing more.
    pub(super) fn insert(&mut self, frame: &ControlFrame) -> bool {
        let can = !self.is_ending();
        if can {
            self.backlog.append(frame.as_bytes());
        }
        can
    }

    /// As [`Writer::insert`], for a Close, after which the sink gets nothing more.
    pub(super) fn tell(&mut self, close: &ControlFrame) -> bool {
        let can = self.insert(close);
        self.has_queued_close |= can;
        can
    }

    /// The sink is broken: drops what is kept. A Close that was not written does not count as sent.
    pub(super) fn give_up(&mut self) {
        self.has_queued_close = self.has_sent_close();
        self.backlog = Backlog::default();
        self.unflushed = false;
        self.end = SinkEnd::Done;
    }

    /// Whether a Close of the gateway was written to the sink.
    pub(super) fn has_sent_close(&self) -> bool {
        self.has_queued_close && self.is_clear()
    }

    /// Whether the sink got a Close of the gateway, but not the end of its stream.
    pub(super) fn may_be_answered(&self) -> bool {
        self.has_queued_close && self.end == SinkEnd::Open
    }

    /// Ends the stream to the sink once all that is kept is written.
    pub(super) fn end_sink(&mut self) {
        if self.end == SinkEnd::Open {
            self.end = SinkEnd::Asked;
        }
    }

    /// Whether the last thing that the sink gets is queued or written: a Close of the gateway, or the end of its stream.
    pub(super) fn is_ending(&self) -> bool {
        self.has_queued_close || self.end != SinkEnd::Open
    }

    /// Whether the stream to the sink is ended behind all that was kept, or it broke.
    pub(super) fn has_ended(&self) -> bool {
        self.end == SinkEnd::Done
    }

    /// Whether nothing waits for the sink, neither here nor in its TLS.
    pub(super) fn is_clear(&self) -> bool {
        self.backlog.is_empty() && !self.unflushed
    }

    /// Whether the peer behind `sink` took some of what waits for it, here or in the kernel, since the last call. At the first
    /// call, whether something waits. A Close alone does not count. Costs system calls.
    pub(super) fn take_has_peer_taken(&mut self, sink: &Stream) -> bool {
        let mark = self.mark(sink);
        std::mem::replace(&mut self.mark, mark) != mark
    }

    /// A number that changes only if the peer takes some of what waits for it: how much it has acknowledged in all. Where that
    /// is not known, how often the sink took bytes, and how many of them TLS holds. 0 if nothing waits.
    fn mark(&self, sink: &Stream) -> u64 {
        let written = sink.unacknowledged();
        if self.is_clear() && written <= A_CLOSE {
            return 0;
        }
        let taken = || u64::from(self.writes) << 32 | written as u64;
        sink.acknowledged().unwrap_or_else(taken)
    }

    fn note_progress(&mut self) {
        self.has_progress = true;
        self.writes = self.writes.wrapping_add(1);
    }

    /// Whether the sink took bytes since the last call.
    pub(super) fn take_has_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_progress)
    }
}

/// A write that takes nothing is an error, so that no loop can spin on it.
fn poll_some(
    context: &mut Context<'_>,
    sink: &mut Stream,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match Pin::new(sink).poll_write(context, bytes) {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        other => other,
    }
}
