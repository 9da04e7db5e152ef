//! Receiving by io_uring: one system call for all that came on many connections, where epoll needs one per receive.
//!
//! Each worker thread has a ring of its own, made by [`start`]; without one, everything stays on epoll. Sends are plain
//! system calls: measurements show that a ring makes them no cheaper (docs/decisions.md).

mod buffers;
mod prefetch;
mod queue;
mod state;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, Waker, ready};

use rustix::io::Errno;
use slab::Slab;
use tokio::io::ReadBuf;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use super::Backlog;
use buffers::Filled;
use prefetch::prefetch;
use queue::{Completion, Queue};
use state::{End, State};

/// The most that one receive returns. A connection whose receive fills it leaves the ring: large reads are faster.
pub(super) const LARGEST_RECEIVE: usize = buffers::SIZE;
/// How much may wait for a slow reader before receiving stops.
const LARGEST_BACKLOG: usize = 64 * 1024;

thread_local! {
    static RING: RefCell<Option<Ring>> = const { RefCell::new(None) };
}

/// The ring of a worker.
struct Ring {
    queue: Queue,
    receptions: Slab<State>,
    /// The waker of the task that drives the ring.
    driver: Waker,
    /// The tasks to wake once the ring is no longer borrowed.
    woken: Vec<Waker>,
    /// The receptions that stopped for want of a buffer.
    starved: Vec<usize>,
}

/// Receiving on one socket by the ring of this thread, until this is dropped.
#[derive(Debug)]
pub(super) struct Reception {
    number: u32,
    /// As [`Queue::descriptor`]: on another thread the number is that of another reception.
    ring: RawFd,
}

/// The result of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Received {
    /// Bytes; none at the end of the stream.
    Bytes,
    /// The ring has stopped receiving, and all that it received has been read.
    Stopped,
}

/// What is left of a reception when it ends.
#[derive(Debug)]
pub(super) struct Leftover {
    /// Received but not read.
    pub(super) rest: Backlog,
    /// The task that waits for more.
    pub(super) waker: Option<Waker>,
    /// How the socket broke, if it did: nothing comes behind `rest`. The socket does not say so again.
    pub(super) broken: Option<Errno>,
}

/// Makes a ring for this thread, and spawns the task that drives it as long as the thread lives.
///
/// # Errors
/// If the kernel is older than Linux 6.1, or io_uring is forbidden.
pub fn start() -> io::Result<()> {
    let queue = Queue::new()?;
    let event = queue.event()?;
    RING.set(Some(Ring {
        queue,
        receptions: Slab::new(),
        driver: Waker::noop().clone(),
        woken: Vec::new(),
        starved: Vec::new(),
    }));
    tokio::spawn(poll_fn(move |context| poll_drive(&event, context)));
    Ok(())
}

/// Whether this thread has a ring.
pub(super) fn is_available() -> bool {
    with_ring(|_| ()).is_some()
}

/// Drives the ring: submits requests and handles completions, then wakes the tasks concerned.
fn poll_drive(event: &AsyncFd<OwnedFd>, context: &mut Context<'_>) -> Poll<()> {
    while let Poll::Ready(ready) = event.poll_read_ready(context) {
        match ready {
            // The count of the eventfd is never read: with edge-triggered epoll each further event shows all the same.
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return Poll::Ready(()),
        }
    }
    let turned = with_ring(|ring| {
        if !ring.driver.will_wake(context.waker()) {
            ring.driver = context.waker().clone();
        }
        ring.queue.disable_events();
        let is_busy = ring.submit_and_reap() || ring.queue.enable_events();
        (is_busy, std::mem::take(&mut ring.woken))
    });
    let Some((is_busy, mut woken)) = turned else {
        return Poll::Ready(());
    };
    for waker in woken.drain(..) {
        waker.wake();
    }
    // Keep the allocation for the next turn.
    with_ring(|ring| ring.woken = woken);
    if is_busy {
        // By the time that the woken tasks have run, more has come: look again without waiting for an event.
        context.waker().wake_by_ref();
    }
    Poll::Pending
}

/// Runs `work` with the ring of this thread, if it has one. `work` must not wake or drop any waker but the driver's:
/// that can drop a task and with it a [`Reception`], which borrows the ring again.
fn with_ring<T>(work: impl FnOnce(&mut Ring) -> T) -> Option<T> {
    let run = |ring: &RefCell<Option<Ring>>| ring.borrow_mut().as_mut().map(work);
    RING.try_with(run).ok().flatten()
}

impl Ring {
    /// Submits what is queued and handles all completions. True if there were any.
    fn submit_and_reap(&mut self) -> bool {
        let mut has_come = false;
        let outcome = match self.restart_starved() {
            true => self.submit_all(&mut has_come),
            false => self.queue.submit(),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "io_uring");
        }
        self.reap() || has_come
    }

    /// Submits until the kernel has taken all, and handles completions meanwhile. A receive must not be left to a later turn:
    /// by then its descriptor may be that of another connection.
    fn submit_all(&mut self, has_come: &mut bool) -> io::Result<()> {
        while self.queue.has_unsubmitted() {
            self.queue.submit()?;
            *has_come |= self.reap();
        }
        Ok(())
    }

    /// Handles all completions. True if there were any.
    fn reap(&mut self) -> bool {
        let mut has_come = false;
        while let Some(completion) = self.queue.next() {
            has_come = true;
            self.complete(completion);
        }
        has_come
    }

    /// Queues the receptions anew that stopped for want of a buffer. True if there were any.
    fn restart_starved(&mut self) -> bool {
        if self.starved.is_empty() {
            return false;
        }
        if self.queue.buffers().are_scarce() {
            self.free_buffers();
        }
        for reception in std::mem::take(&mut self.starved) {
            if let Some(state) = self.receptions.get_mut(reception)
                && state.end == Some(End::Starved)
            {
                state.end = None;
                self.queue.receive(reception, state.socket);
            }
        }
        true
    }

    fn complete(&mut self, completion: Completion) {
        let Completion {
            reception,
            filled,
            end,
        } = completion;
        let Some(state) = self.receptions.get_mut(reception) else {
            return;
        };
        state.end = match end {
            // It is cancelled, so it must not be resumed.
            Some(End::Starved) if state.is_cancelled => Some(End::Stopped),
            end => end,
        };
        if state.end == Some(End::Starved) {
            self.starved.push(reception);
            return;
        }
        if let Some(waker) = state.waker.take() {
            prefetch(&waker);
            self.woken.push(waker);
        }
        let is_much = filled.as_ref().is_some_and(Filled::is_full);
        if let Some(filled) = filled {
            state.keep(self.queue.buffers(), filled);
        }
        if state.is_orphan && end.is_some() {
            self.receptions.remove(reception);
        } else if is_much || state.unread().len() > LARGEST_BACKLOG {
            self.cancel(reception);
        }
    }

    /// Copies what sits unread in buffers, so that the kernel can use them again.
    #[cold]
    fn free_buffers(&mut self) {
        for (_, state) in &mut self.receptions {
            state.free_buffer(self.queue.buffers());
        }
    }

    /// Starts receiving. The request is submitted at once, while the descriptor is certainly open.
    fn begin(&mut self, socket: BorrowedFd<'_>) -> io::Result<u32> {
        let socket = socket.as_raw_fd();
        let reception = self.receptions.insert(State::new(socket));
        self.queue.receive(reception, socket);
        // What has come is noted; the driver, which is woken below, wakes the tasks.
        if let Err(error) = self.submit_all(&mut false) {
            self.abandon(reception);
            return Err(error);
        }
        self.wake_driver();
        Ok(u32::try_from(reception).expect("there are fewer descriptors"))
    }

    /// Stops receiving, blocks until the kernel has stopped, and returns what is left.
    fn finish(&mut self, reception: usize) -> io::Result<Leftover> {
        self.cancel(reception);
        while self.receptions[reception].end.is_none() {
            self.queue.wait()?;
            self.reap();
        }
        self.wake_driver();
        let state = &mut self.receptions[reception];
        let broken = match state.end {
            Some(End::Broken(error)) => Some(error),
            Some(End::Finished | End::Stopped | End::Starved) | None => None,
        };
        state.free_buffer(self.queue.buffers());
        Ok(Leftover {
            rest: state.take_rest(),
            waker: state.waker.take(),
            broken,
        })
    }

    /// Cancels a reception that is dropped; it becomes an orphan until the kernel is done with it. The caller must drop
    /// the returned waker after the ring is no longer borrowed.
    fn abandon(&mut self, reception: usize) -> Option<Waker> {
        let state = &mut self.receptions[reception];
        if let Some(filled) = state.first.take() {
            self.queue.buffers().give_back(filled);
        }
        let waker = state.waker.take();
        if state.end.is_some() {
            self.receptions.remove(reception);
        } else {
            let _dropped = state.take_rest();
            state.is_orphan = true;
            self.cancel(reception);
            self.wake_driver();
        }
        waker
    }

    /// Asks the kernel to stop receiving, once.
    fn cancel(&mut self, reception: usize) {
        let state = &mut self.receptions[reception];
        if state.end.is_none() && !state.is_cancelled {
            state.is_cancelled = true;
            self.queue.cancel(reception);
        }
    }

    /// Has the driver submit what is queued and wake the tasks in `woken`.
    fn wake_driver(&mut self) {
        self.driver.wake_by_ref();
    }
}

impl Reception {
    /// Receives on `socket`, which must not be read otherwise, nor be closed before this is dropped.
    ///
    /// # Errors
    /// Those of the kernel; or this thread has no ring.
    pub(super) fn begin(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let begun = with_ring(|ring| {
            Ok(Self {
                number: ring.begin(socket)?,
                ring: ring.queue.descriptor(),
            })
        });
        begun.unwrap_or_else(|| Err(no_ring()))
    }

    /// As [`with_ring`], with the ring and the number of this reception; `None` on another thread.
    fn with_ring<T>(&self, work: impl FnOnce(&mut Ring, usize) -> T) -> Option<T> {
        let run = |ring: &mut Ring| {
            let is_own = ring.queue.descriptor() == self.ring;
            is_own.then(|| work(ring, self.number as usize))
        };
        with_ring(run).flatten()
    }

    /// Reads what was received.
    ///
    /// # Errors
    /// Those of the socket; or the ring belongs to another thread.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        // Counts against the task's budget, as a read on epoll does.
        let turn = ready!(coop::poll_proceed(context));
        let polled = self.with_ring(|ring, number| {
            let state = &mut ring.receptions[number];
            let read = state.poll_read(ring.queue.buffers(), buffer);
            let replaced = if read.is_pending() {
                state.set_waker(context.waker())
            } else {
                None
            };
            (read, replaced)
        });
        let Some((read, _replaced)) = polled else {
            return Poll::Ready(Err(no_ring()));
        };
        let read = ready!(read);
        turn.made_progress();
        Poll::Ready(read)
    }

    /// Whether the socket has failed. A reader gets the error only after all that came before it.
    pub(super) fn is_broken(&self) -> bool {
        let is_broken = self.with_ring(|ring, number| ring.receptions[number].is_broken());
        is_broken.unwrap_or(true)
    }

    /// Stops receiving at once, and returns what is left.
    ///
    /// # Errors
    /// Those of the kernel; or the ring belongs to another thread.
    pub(super) fn finish(self) -> io::Result<Leftover> {
        let remains = self.with_ring(Ring::finish);
        remains.unwrap_or_else(|| Err(no_ring()))
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        // Without a ring there is nothing to cancel: the kernel dropped everything with it.
        let _waker = self.with_ring(Ring::abandon);
    }
}

fn no_ring() -> io::Error {
    io::Error::other("this thread has no io_uring, or another one")
}
