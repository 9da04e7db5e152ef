//! The two queues that a ring is: what the system is asked for, and what it has done.
//!
//! Entries name descriptors and buffers by numbers, which is why the library's calls are `unsafe`.

#![expect(unsafe_code, reason = "entries of io_uring")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{Ordering, fence};

use io_uring::squeue::Entry;
use io_uring::types::{CancelBuilder, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::buffers::{self, Buffers, Filled};
use super::state::End;

/// Room for what is asked for between two calls; more makes another call.
const SUBMISSIONS: u32 = 128;
/// Room for what has been done. What does not fit the system keeps.
const COMPLETIONS: u32 = 2048;
/// The group of buffers, the only one of a ring.
const GROUP: u16 = 0;
/// What completions of cancellations are called; receptions have small numbers.
const CANCELLATION: u64 = u64::MAX;

/// Whether the event may be silent while the driver looks anyway. Linux orders its note that there is work before its
/// look whether the event is wanted by an atomic instruction that only here is a barrier.
const CAN_DISABLE_EVENTS: bool = cfg!(target_arch = "x86_64");

/// The queues of a ring, and the buffers that it fills.
pub(super) struct Queue {
    // Before the buffers, so that it is closed before they are freed.
    uring: IoUring,
    buffers: Buffers,
}

/// What the system says of a reception.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) reception: usize,
    /// What came.
    pub(super) filled: Option<Filled>,
    /// Why nothing more comes.
    pub(super) end: Option<End>,
}

impl Queue {
    /// # Errors
    /// Where the system has no io_uring of Linux 6.1 or later, or forbids it.
    pub(super) fn new() -> io::Result<Self> {
        // The thread that makes a ring is the only one to use it, and does the work of its completions when it
        // asks for them, not when they happen.
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        let buffers = Buffers::new();
        // SAFETY: the table and the buffers live longer than the ring.
        unsafe {
            uring.submitter().register_buf_ring_with_flags(
                buffers.table(),
                buffers::COUNT,
                GROUP,
                0,
            )?;
        }
        // A filter of system calls may let a ring be made and not be asked.
        uring.submit()?;
        Ok(Self { uring, buffers })
    }

    /// What shows when there is something to take.
    pub(super) fn event(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        self.uring.submitter().register_eventfd(event.as_raw_fd())?;
        // SAFETY: an `OwnedFd` names the same open descriptor for as long as it lives.
        Ok(unsafe { AsyncFd::register_with_interest(event, Interest::READABLE)? })
    }

    /// No event until [`Queue::enable_events`]: whoever looks finds what comes by himself, and is not told of it again.
    pub(super) fn disable_events(&mut self) {
        if CAN_DISABLE_EVENTS {
            self.uring.completion().disable_eventfd();
        }
    }

    /// Events from now on. Whether something came before, of which none tells.
    pub(super) fn enable_events(&mut self) -> bool {
        if !CAN_DISABLE_EVENTS {
            return false;
        }
        self.uring.completion().enable_eventfd();
        fence(Ordering::SeqCst);
        self.uring.submission().taskrun()
    }

    pub(super) fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// Asks to receive on `socket` until told otherwise.
    pub(super) fn receive(&mut self, reception: usize, socket: RawFd) {
        let receive = opcode::RecvMulti::new(Fd(socket), GROUP).build();
        self.push(&receive.user_data(reception as u64));
    }

    /// Asks to receive no more.
    pub(super) fn cancel(&mut self, reception: usize) {
        let which = CancelBuilder::user_data(reception as u64);
        let cancel = opcode::AsyncCancel2::new(which).build();
        let cancel = cancel.flags(squeue::Flags::SKIP_SUCCESS);
        self.push(&cancel.user_data(CANCELLATION));
    }

    fn push(&mut self, entry: &Entry) {
        loop {
            // SAFETY: an entry here refers to no memory but the registered buffers.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return;
            }
            // There is no room. The next call makes some; that it is busy ends too.
            let _ = self.submit();
        }
    }

    /// Hands over what is asked for, and lets the system do what is due. A call only where there is either.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        let asked = self.uring.submission();
        if asked.is_empty() && !asked.taskrun() && !asked.cq_overflow() {
            return Ok(());
        }
        drop(asked);
        ignore_transient(self.uring.submit())
    }

    /// As [`Queue::submit`], and waits until something is done.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        ignore_transient(self.uring.submit_and_wait(1))
    }

    /// Whether the system has not seen all that it is asked for.
    pub(super) fn has_unsubmitted(&mut self) -> bool {
        !self.uring.submission().is_empty()
    }

    /// The next thing done.
    pub(super) fn next(&mut self) -> Option<Completion> {
        loop {
            let entry = self.uring.completion().next()?;
            if entry.user_data() != CANCELLATION {
                return Some(completion(&entry, &mut self.buffers));
            }
        }
    }
}

fn completion(entry: &cqueue::Entry, buffers: &mut Buffers) -> Completion {
    let result = entry.result();
    let filled = cqueue::buffer_select(entry.flags()).map(|number| {
        let length = usize::try_from(result).unwrap_or(0);
        // SAFETY: this is the completion that says so, and each is taken from the queue once.
        unsafe { buffers.claim(number, length) }
    });
    let end = match result {
        _ if cqueue::more(entry.flags()) => None,
        0 => Some(End::Finished),
        1.. => Some(End::Stopped),
        ..0 => Some(match Errno::from_raw_os_error(-result) {
            Errno::CANCELED => End::Stopped,
            Errno::NOBUFS => End::Starved,
            error => End::Broken(error),
        }),
    };
    Completion {
        reception: usize::try_from(entry.user_data()).expect("a number of the slab"),
        filled,
        end,
    }
}

/// What only asks for another try is no error: the next call is one.
fn ignore_transient(outcome: io::Result<usize>) -> io::Result<()> {
    let Err(error) = outcome else {
        return Ok(());
    };
    match Errno::from_io_error(&error) {
        Some(Errno::INTR | Errno::AGAIN | Errno::BUSY) => Ok(()),
        _ => Err(error),
    }
}
