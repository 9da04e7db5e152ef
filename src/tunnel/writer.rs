//! What goes out to one side: written at once, kept where that is full, flushed, ended.
//!
//! Nobody else writes to that side, and only a [relay](super::relay) knows where a frame of the gateway's own may stand.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::stream::{Backlog, Spliced, Stream, poll_splice};
use crate::websocket::ControlFrame;

/// The only writer of a sink.
#[derive(Default, Debug)]
pub(super) struct Writer {
    backlog: Backlog,
    end: SinkEnd,
    /// Whether the gateway said Close to the sink; nothing follows that.
    has_queued_close: bool,
    /// Whether bytes may still sit in the sink (under TLS, ciphertext does) and have to be flushed.
    unflushed: bool,
    /// Whether the sink took bytes since this was last asked, by who looks for a stall.
    has_progress: bool,
    /// The same for who waits for the end.
    has_progress_at_end: bool,
}

/// How far the sink's sending half is ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum SinkEnd {
    #[default]
    Open,
    Asked,
    Done,
}

/// A sink that takes no more bytes, ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

impl Writer {
    /// Keeps `bytes` behind what is kept already.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.backlog.append(bytes);
    }

    /// Writes `bytes`. Pending when the sink is full: what it did not take is kept.
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

    /// Moves up to `most` bytes of `source` to the sink inside the system. What the sink does not take is kept.
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

    /// Brings out what is kept, and what may still sit in the sink.
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

    /// Puts `frame` behind what has been written. False where the sink gets nothing more.
    pub(super) fn insert(&mut self, frame: &ControlFrame) -> bool {
        let can = !self.is_ending();
        if can {
            self.backlog.append(frame.as_bytes());
        }
        can
    }

    /// As [`Writer::insert`], for the Close that is the last that the sink gets.
    pub(super) fn tell(&mut self, close: &ControlFrame) -> bool {
        let can = self.insert(close);
        self.has_queued_close |= can;
        can
    }

    /// The sink takes no more. A Close that did not get out was not said.
    pub(super) fn give_up(&mut self) {
        self.has_queued_close = self.has_sent_close();
        self.backlog = Backlog::default();
        self.unflushed = false;
        self.end = SinkEnd::Done;
    }

    /// Whether a Close of the gateway's own has gone out to the sink.
    pub(super) fn has_sent_close(&self) -> bool {
        self.has_queued_close && self.is_clear()
    }

    /// Whether the sink was told a Close of the gateway's own, and not its end yet.
    pub(super) fn may_be_answered(&self) -> bool {
        self.has_queued_close && self.end == SinkEnd::Open
    }

    /// Ends the sink's sending half once all that is kept is out.
    pub(super) fn end_sink(&mut self) {
        if self.end == SinkEnd::Open {
            self.end = SinkEnd::Asked;
        }
    }

    /// Whether the sink has got, or is getting, its last: a Close of the gateway's own, or its end.
    pub(super) fn is_ending(&self) -> bool {
        self.has_queued_close || self.end != SinkEnd::Open
    }

    /// Whether the sink got all there is and its sending half is ended, or it broke.
    pub(super) fn has_ended(&self) -> bool {
        self.end == SinkEnd::Done
    }

    /// Whether nothing waits for the sink, here or in its TLS.
    pub(super) fn is_clear(&self) -> bool {
        self.backlog.is_empty() && !self.unflushed
    }

    fn note_progress(&mut self) {
        self.has_progress = true;
        self.has_progress_at_end = true;
    }

    /// Whether the sink took bytes since the last call.
    pub(super) fn take_has_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_progress)
    }

    /// Whether the sink took bytes since the last call and has yet to take more, or the end.
    pub(super) fn take_is_progressing(&mut self) -> bool {
        let has_progress_at_end = std::mem::take(&mut self.has_progress_at_end);
        has_progress_at_end && (!self.is_clear() || self.end == SinkEnd::Asked)
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
