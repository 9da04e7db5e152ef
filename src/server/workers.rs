//! The threads that carry the traffic: one runtime each, and no session ever moves.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::occupancy::{Occupancy, Slot};

/// The most threads of a worker that wait for name look-ups.
const LOOKUP_THREADS: usize = 16;

/// The threads of the workers. Dropping them ends the threads and whatever still runs there, so it is never
/// done on one of them.
#[derive(Debug)]
pub(super) struct Workers {
    placement: Arc<Placement>,
    _threads: Vec<Thread>,
}

/// Finds the worker for what is new. Tasks may keep it: it does not keep the threads.
#[derive(Debug)]
pub(super) struct Placement {
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    load: Arc<Occupancy>,
}

/// A thread that runs until it is dropped.
#[derive(Debug)]
struct Thread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` workers, or one per core.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub(super) fn start(count: Option<NonZeroUsize>) -> io::Result<Self> {
        let count = match count {
            Some(count) => count.get(),
            None => thread::available_parallelism()?.get(),
        };
        (0..count)
            .map(|index| Worker::start(format!("worker-{index}")))
            .collect()
    }

    /// Starts a single worker under a name of its own.
    ///
    /// # Errors
    /// As [`Workers::start`].
    pub(super) fn single(name: &str) -> io::Result<Self> {
        std::iter::once(Worker::start(name.to_owned())).collect()
    }

    /// What finds a worker.
    pub(super) fn placement(&self) -> &Arc<Placement> {
        &self.placement
    }
}

impl FromIterator<(Worker, Thread)> for Workers {
    fn from_iter<T: IntoIterator<Item = (Worker, Thread)>>(started: T) -> Self {
        let (workers, threads) = started.into_iter().unzip();
        Self {
            placement: Arc::new(Placement { workers }),
            _threads: threads,
        }
    }
}

impl Placement {
    /// The runtime where the accept loop with this number is at home.
    pub(super) fn home(&self, number: usize) -> &Handle {
        &self.workers[number % self.workers.len()].runtime
    }

    /// Takes a place on the worker with the fewest connections. (SO_REUSEPORT would spread by hash, which is
    /// unfair to connections that live for days.)
    pub(super) fn place(&self) -> (&Handle, Slot) {
        let worker = self
            .workers
            .iter()
            .min_by_key(|worker| worker.load.taken())
            .expect("there is at least one worker");
        (&worker.runtime, worker.load.take())
    }
}

impl Worker {
    fn start(name: String) -> io::Result<(Self, Thread)> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOKUP_THREADS)
            .build()?;
        let worker = Self {
            runtime: runtime.handle().clone(),
            load: Arc::default(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(name).spawn(move || {
            // An error is the sender dropped, which means the same.
            let _ = runtime.block_on(stopped);
            // Look-ups that hang are not waited for.
            runtime.shutdown_background();
        })?;
        let thread = Thread {
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok((worker, thread))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// Runs `task` on `runtime` until it ends or the handle is dropped.
pub(super) fn spawn(
    runtime: &Handle,
    task: impl Future<Output = ()> + Send + 'static,
) -> AbortOnDrop {
    AbortOnDrop(runtime.spawn(task))
}

/// A task that ends with its handle.
#[derive(Debug)]
pub(super) struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
