//! The state of one reception: what was received and not read yet.

use std::io;
use std::os::fd::RawFd;
use std::task::{Poll, Waker};

use rustix::io::Errno;
use tokio::io::ReadBuf;

use super::Received;
use super::buffers::{Buffers, Filled};
use crate::stream::Backlog;

/// The state of one reception.
#[derive(Debug)]
pub(super) struct State {
    pub(super) socket: RawFd,
    /// The oldest unread bytes, still in the kernel's buffer.
    pub(super) first: Option<Filled>,
    /// What came behind those. Not a [`Backlog`], as it grows by many small pieces.
    rest: Vec<u8>,
    /// How many bytes at the front of `rest` were read; never all of them.
    read: u32,
    /// Why the kernel receives no more; `None` while it does.
    pub(super) end: Option<End>,
    pub(super) waker: Option<Waker>,
    /// Whether the kernel was asked to stop.
    pub(super) is_cancelled: bool,
    /// Whether its [`Reception`](super::Reception) was dropped. It stays until the kernel is done with it.
    pub(super) is_orphan: bool,
}

/// Why nothing more is received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The peer ended its sending half.
    Finished,
    /// The socket broke.
    Broken(Errno),
    /// Receiving was stopped; the socket is fine.
    Stopped,
    /// There was no buffer; receiving resumes when there is one.
    Starved,
}

impl State {
    pub(super) fn new(socket: RawFd) -> Self {
        Self {
            socket,
            first: None,
            rest: Vec::new(),
            read: 0,
            end: None,
            waker: None,
            is_cancelled: false,
            is_orphan: false,
        }
    }

    /// Keeps what was received, unless this is an orphan.
    pub(super) fn keep(&mut self, buffers: &mut Buffers, filled: Filled) {
        if self.is_orphan {
            buffers.give_back(filled);
        } else if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(filled);
        } else {
            if self.read as usize > self.unread().len() {
                self.rest.drain(..self.read as usize);
                self.read = 0;
            }
            self.rest.extend_from_slice(buffers.bytes(&filled));
            buffers.give_back(filled);
        }
    }

    /// The unread bytes that were copied.
    pub(super) fn unread(&self) -> &[u8] {
        &self.rest[self.read as usize..]
    }

    /// Copies unread bytes out of the kernel's buffer, and gives that back.
    pub(super) fn free_buffer(&mut self, buffers: &mut Buffers) {
        if let Some(filled) = self.first.take() {
            self.rest = [buffers.bytes(&filled), self.unread()].concat();
            self.read = 0;
            buffers.give_back(filled);
        }
    }

    /// Takes the unread bytes out, apart from those in the kernel's buffer.
    pub(super) fn take_rest(&mut self) -> Backlog {
        let mut rest = std::mem::take(&mut self.rest);
        rest.drain(..std::mem::take(&mut self.read) as usize);
        rest.into()
    }

    /// Reads into `room` what was received.
    pub(super) fn poll_read(
        &mut self,
        buffers: &mut Buffers,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        let before = room.filled().len();
        if let Some(mut filled) = self.first.take() {
            let count = filled.len().min(room.remaining());
            room.put_slice(&buffers.bytes(&filled)[..count]);
            if filled.take(count) {
                buffers.give_back(filled);
            } else {
                self.first = Some(filled);
            }
        }
        if self.first.is_none() && !self.rest.is_empty() {
            let count = self.unread().len().min(room.remaining());
            room.put_slice(&self.unread()[..count]);
            self.read += u32::try_from(count).expect("it is bounded by the largest backlog");
            if self.unread().is_empty() {
                // Frees the memory.
                let _empty = self.take_rest();
            }
        }
        if room.filled().len() > before {
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

    /// Has `waker` woken when something comes. Returns the previous waker, if it is another one.
    pub(super) fn set_waker(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => self.waker.replace(waker.clone()),
        }
    }
}
