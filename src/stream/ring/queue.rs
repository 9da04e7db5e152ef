//! The two queues of a ring: submissions (requests to the kernel) and completions (their results).
//!
//! Entries refer to descriptors and buffers by number, which is why the library's calls are `unsafe`.

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

/// Requests that fit between two system calls; more cause another call.
const SUBMISSIONS: u32 = 128;
/// Completions that fit. The kernel keeps those that do not.
const COMPLETIONS: u32 = 2048;
/// The buffer group, the only one of a ring.
const GROUP: u16 = 0;
/// The user data of cancellations; that of a receive is the number of its reception, which is small.
const CANCELLATION: u64 = u64::MAX;

/// Whether events may be disabled while the driver looks anyway. The kernel sets the flag that there is work with an
/// atomic instruction and then checks whether events are enabled; only on x86-64 is that instruction a full barrier.
const CAN_DISABLE_EVENTS: bool = cfg!(target_arch = "x86_64");

/// The queues of a ring, and the buffers that the kernel fills.
pub(super) struct Queue {
    // Declared before the buffers, so that it is closed before they are freed.
    uring: IoUring,
    buffers: Buffers,
}

/// The result of a receive.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) reception: usize,
    /// What was received.
    pub(super) filled: Option<Filled>,
    /// Why the kernel receives no more; `None` while it goes on.
    pub(super) end: Option<End>,
}

impl Queue {
    /// # Errors
    /// If the kernel is older than Linux 6.1, or io_uring is forbidden.
    pub(super) fn new() -> io::Result<Self> {
        // Only the thread that makes a ring uses it (single issuer), and the kernel does the work of its completions
        // when that thread asks for them (deferred task work), not when they happen.
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
        // A seccomp filter may allow io_uring_setup but not io_uring_enter.
        uring.submit()?;
        Ok(Self { uring, buffers })
    }

    /// The descriptor of the ring, which no other ring has meanwhile.
    pub(super) fn descriptor(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// A new eventfd that becomes readable when there are completions.
    pub(super) fn event(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        self.uring.submitter().register_eventfd(event.as_raw_fd())?;
        // SAFETY: an `OwnedFd` names the same open descriptor for as long as it lives.
        Ok(unsafe { AsyncFd::register_with_interest(event, Interest::READABLE)? })
    }

    /// No events until [`Queue::enable_events`]: the driver is about to look anyway.
    pub(super) fn disable_events(&mut self) {
        if CAN_DISABLE_EVENTS {
            self.uring.completion().disable_eventfd();
        }
    }

    /// Events from now on. True if there is work already, for which no event will come.
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

    /// Queues a multishot receive on `socket`.
    pub(super) fn receive(&mut self, reception: usize, socket: RawFd) {
        let receive = opcode::RecvMulti::new(Fd(socket), GROUP).build();
        self.push(&receive.user_data(reception as u64));
    }

    /// Queues the cancellation of a receive.
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
            // The queue is full. Submitting makes room, if not now then when the kernel is less busy.
            let _ = self.submit();
        }
    }

    /// Submits what is queued, and lets the kernel do deferred work. No system call if there is neither.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        let asked = self.uring.submission();
        if asked.is_empty() && !asked.taskrun() && !asked.cq_overflow() {
            return Ok(());
        }
        drop(asked);
        ignore_transient(self.uring.submit())
    }

    /// As [`Queue::submit`], but blocks until there is a completion.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        ignore_transient(self.uring.submit_and_wait(1))
    }

    /// Whether the kernel has not taken all requests yet.
    pub(super) fn has_unsubmitted(&mut self) -> bool {
        !self.uring.submission().is_empty()
    }

    /// The next completion of a receive.
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
        // SAFETY: the kernel has just said in this completion that the buffer is filled; each is taken once.
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

/// Errors that ask for a retry are ignored: the next call is the retry.
fn ignore_transient(outcome: io::Result<usize>) -> io::Result<()> {
    let Err(error) = outcome else {
        return Ok(());
    };
    match Errno::from_io_error(&error) {
        Some(Errno::INTR | Errno::AGAIN | Errno::BUSY) => Ok(()),
        _ => Err(error),
    }
}
