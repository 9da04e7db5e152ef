//! Receiving by io_uring: the system puts what comes into buffers by itself, for many connections in one call.
//!
//! With epoll each receive is a call of its own. Here a worker makes one for all that came since its last look.
//! A ring belongs to its thread; [`start`] makes it, and where there is none everything stays on epoll. Sending stays a plain call: that a ring does not make it cheaper was measured
//! (docs/decisions.md).

mod buffers;
mod prefetch;
mod queue;
mod state;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, Waker, ready};

use slab::Slab;
use tokio::io::ReadBuf;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use super::Backlog;
use buffers::Filled;
use prefetch::prefetch;
use queue::{Completion, Queue};
use state::{End, State};

/// A receive brings this much at most. Where one does, more is received no more: larger reads do that better.
pub(super) const LARGEST_RECEIVE: usize = buffers::SIZE;
/// What is kept for one that does not take it, before nothing more is received for it.
const LARGEST_BACKLOG: usize = 64 * 1024;

thread_local! {
    static RING: RefCell<Option<Ring>> = const { RefCell::new(None) };
}

/// The ring of a worker.
struct Ring {
    queue: Queue,
    receptions: Slab<State>,
    /// The task that asks the ring.
    driver: Waker,
    /// The tasks for which something came; woken when the ring is free again.
    woken: Vec<Waker>,
    /// The receptions for which there was no buffer.
    starved: Vec<usize>,
}

/// What comes on a socket, by the ring of this thread. Dropping it stops that.
#[derive(Debug)]
pub(super) struct Reception(usize);

/// What a read came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Received {
    /// Bytes; none at the end of the stream.
    Bytes,
    /// The ring receives nothing more, and all that it had is taken.
    Stopped,
}

/// What a reception leaves behind.
#[derive(Debug)]
pub(super) struct Leftover {
    /// What came and was not taken.
    pub(super) rest: Backlog,
    /// Who waits for more.
    pub(super) waker: Option<Waker>,
}

/// Makes a ring for this thread, and the task that drives it: it runs for as long as the thread.
///
/// # Errors
/// Where the system has no io_uring of Linux 6.1 or later, or forbids it.
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

/// Asks the ring when it has something, or is to begin something.
fn poll_drive(event: &AsyncFd<OwnedFd>, context: &mut Context<'_>) -> Poll<()> {
    while let Poll::Ready(ready) = event.poll_read_ready(context) {
        match ready {
            // The count in it does not matter, so it is never read; each further event shows all the same.
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
    // For the next time, so that it need not be allocated again.
    with_ring(|ring| ring.woken = woken);
    if is_busy {
        // More has come by the time that all of these have had their turn; asking then needs no event.
        context.waker().wake_by_ref();
    }
    Poll::Pending
}

/// Runs `work` with the ring of this thread, if it has one. No waker but the driver's may be woken or dropped in it:
/// that can drop a task, and with it a reception, which asks for the ring as well.
fn with_ring<T>(work: impl FnOnce(&mut Ring) -> T) -> Option<T> {
    let run = |ring: &RefCell<Option<Ring>>| ring.borrow_mut().as_mut().map(work);
    RING.try_with(run).ok().flatten()
}

impl Ring {
    /// Hands over what the system is asked for, and takes what came. Whether anything did.
    fn submit_and_reap(&mut self) -> bool {
        self.restart_starved();
        if let Err(error) = self.queue.submit() {
            tracing::warn!(%error, "io_uring");
        }
        self.reap()
    }

    /// Takes what came. Whether anything did.
    fn reap(&mut self) -> bool {
        let mut has_come = false;
        while let Some(completion) = self.queue.next() {
            has_come = true;
            self.complete(completion);
        }
        has_come
    }

    /// Goes on receiving where there was no buffer.
    fn restart_starved(&mut self) {
        if self.starved.is_empty() {
            return;
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
            // The system has nothing left to stop, so it is not to go on either.
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
        } else if is_much || state.rest.rest().len() > LARGEST_BACKLOG {
            self.cancel(reception);
        }
    }

    /// Takes the buffers of all who leave theirs waiting: copies do as well.
    #[cold]
    fn free_buffers(&mut self) {
        for (_, state) in &mut self.receptions {
            state.free_buffer(self.queue.buffers());
        }
    }

    /// Has the system receive. It sees the descriptor at once, so that this may be closed at any time.
    fn begin(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let socket = socket.as_raw_fd();
        let reception = self.receptions.insert(State::new(socket));
        self.queue.receive(reception, socket);
        while self.queue.has_unsubmitted() {
            if let Err(error) = self.queue.submit() {
                self.abandon(reception);
                return Err(error);
            }
            self.reap();
        }
        self.wake_driver();
        Ok(reception)
    }

    /// Has the system stop, waits until it has, and takes what is left.
    fn finish(&mut self, reception: usize) -> io::Result<Leftover> {
        self.cancel(reception);
        while self.receptions[reception].end.is_none() {
            self.queue.wait()?;
            self.reap();
        }
        self.wake_driver();
        let state = &mut self.receptions[reception];
        if let Some(End::Broken(error)) = state.end {
            return Err(error.into());
        }
        state.free_buffer(self.queue.buffers());
        Ok(Leftover {
            rest: std::mem::take(&mut state.rest),
            waker: state.waker.take(),
        })
    }

    /// Has the system let go of the reception's socket, with the driver's next turn. What is returned is to be
    /// dropped when the ring is not in use.
    fn abandon(&mut self, reception: usize) -> Option<Waker> {
        let state = &mut self.receptions[reception];
        if let Some(filled) = state.first.take() {
            self.queue.buffers().give_back(filled);
        }
        let waker = state.waker.take();
        if state.end.is_some() {
            self.receptions.remove(reception);
        } else {
            state.rest = Backlog::default();
            state.is_orphan = true;
            self.cancel(reception);
            self.wake_driver();
        }
        waker
    }

    /// Asks the system to stop, once.
    fn cancel(&mut self, reception: usize) {
        let state = &mut self.receptions[reception];
        if state.end.is_none() && !state.is_cancelled {
            state.is_cancelled = true;
            self.queue.cancel(reception);
        }
    }

    /// Has the driver hand over what the system is asked for, and wake those for whom something came.
    fn wake_driver(&mut self) {
        self.driver.wake_by_ref();
    }
}

impl Reception {
    /// Receives what comes on `socket`, which must not be read otherwise, nor closed before this is dropped.
    ///
    /// # Errors
    /// The system's; or this thread has no ring.
    pub(super) fn begin(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let begun = with_ring(|ring| ring.begin(socket).map(Self));
        begun.unwrap_or_else(|| Err(no_ring()))
    }

    /// Takes what came.
    ///
    /// # Errors
    /// The socket's; or it is another thread's.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Received>> {
        // As on epoll, a task that always finds something to read leaves room for others now and then.
        let turn = ready!(coop::poll_proceed(context));
        let polled = with_ring(|ring| {
            let state = &mut ring.receptions[self.0];
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

    /// Whether the socket broke, which shows to a reader once it has taken what came before.
    pub(super) fn is_broken(&self) -> bool {
        with_ring(|ring| ring.receptions[self.0].is_broken()).unwrap_or(true)
    }

    /// Stops receiving, at once, and gives what is left.
    ///
    /// # Errors
    /// The system's; or the ring is another thread's.
    pub(super) fn finish(self) -> io::Result<Leftover> {
        let remains = with_ring(|ring| ring.finish(self.0));
        remains.unwrap_or_else(|| Err(no_ring()))
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        // Where there is no ring any more, the system has let go of everything with it.
        let _waker = with_ring(|ring| ring.abandon(self.0));
    }
}

fn no_ring() -> io::Error {
    io::Error::other("this thread has no io_uring")
}
