//! What came for one connection and has not been taken.

use std::io;
use std::os::fd::RawFd;
use std::task::{Poll, Waker};

use rustix::io::Errno;
use tokio::io::ReadBuf;

use super::Received;
use super::buffers::{Buffers, Filled};
use crate::stream::Backlog;

/// What came for a connection.
#[derive(Debug)]
pub(super) struct State {
    pub(super) socket: RawFd,
    /// What came first and has not been taken.
    pub(super) first: Option<Filled>,
    /// What came behind it.
    pub(super) rest: Backlog,
    /// Why nothing more comes.
    pub(super) end: Option<End>,
    pub(super) waker: Option<Waker>,
    /// Whether the system has been told to stop.
    pub(super) is_cancelled: bool,
    /// Whether nobody wants it any more; it lasts until the system has let go of it.
    pub(super) is_orphan: bool,
}

/// Why nothing more is received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The peer ended its sending half.
    Finished,
    /// The socket broke.
    Broken(Errno),
    /// The ring stopped, the socket did not.
    Stopped,
    /// There was no buffer; it goes on when there is.
    Starved,
}

impl State {
    pub(super) fn new(socket: RawFd) -> Self {
        Self {
            socket,
            first: None,
            rest: Backlog::default(),
            end: None,
            waker: None,
            is_cancelled: false,
            is_orphan: false,
        }
    }

    /// Keeps what came, unless nobody wants it.
    pub(super) fn keep(&mut self, buffers: &mut Buffers, filled: Filled) {
        if self.is_orphan {
            buffers.give_back(filled);
        } else if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(filled);
        } else {
            self.rest.append(buffers.bytes(&filled));
            buffers.give_back(filled);
        }
    }

    /// Moves what is in a buffer to memory of its own, and gives the buffer back.
    pub(super) fn free_buffer(&mut self, buffers: &mut Buffers) {
        if let Some(filled) = self.first.take() {
            let behind = std::mem::take(&mut self.rest);
            self.rest.append(buffers.bytes(&filled));
            self.rest.append(behind.rest());
            buffers.give_back(filled);
        }
    }

    /// Takes what came, as far as there is room.
    pub(super) fn poll_read(
        &mut self,
        buffers: &mut Buffers,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        if let Some(mut filled) = self.first.take() {
            let count = filled.len().min(room.remaining());
            room.put_slice(&buffers.bytes(&filled)[..count]);
            if filled.take(count) {
                buffers.give_back(filled);
            } else {
                self.first = Some(filled);
            }
            return Poll::Ready(Ok(Received::Bytes));
        }
        if !self.rest.is_empty() {
            self.rest.read(room);
            return Poll::Ready(Ok(Received::Bytes));
        }
        match self.end {
            Some(End::Finished) => Poll::Ready(Ok(Received::Bytes)),
            Some(End::Broken(error)) => Poll::Ready(Err(error.into())),
            Some(End::Stopped) => Poll::Ready(Ok(Received::Stopped)),
            Some(End::Starved) | None => Poll::Pending,
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.end, Some(End::Broken(_)))
    }

    /// Has `waker` told when something comes; returns the one that was told before, if it is another.
    pub(super) fn set_waker(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => self.waker.replace(waker.clone()),
        }
    }
}
