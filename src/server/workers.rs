//! The worker threads: each has a runtime of its own, and a session stays on one of them.

use std::future::Future;
use std::io;
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config;
use crate::occupancy::{Occupancy, Slot};
use crate::stream::start_ring;

/// How long to wait for an aborted task to be dropped; its worker may be busy.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// The workers. Dropping this stops their threads with everything that still runs there.
///
/// Tasks on the workers hold [`Places`] only: if one held this and dropped it, its worker would join itself.
#[derive(Debug)]
pub(super) struct Workers {
    places: Places,
    _threads: Vec<Worker>,
}

/// Where connections can be served.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<[Place]>);

#[derive(Debug)]
struct Place {
    runtime: Handle,
    load: Arc<Occupancy>,
}

#[derive(Debug)]
struct Worker {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts the workers that the configuration asks for.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub(super) fn start(settings: &config::Runtime) -> io::Result<Self> {
        let count = match settings.workers {
            Some(count) => count.get(),
            None => thread::available_parallelism()?.get(),
        };
        let names = (0..count).map(|index| format!("worker-{index}"));
        Self::named(names, settings.io_uring)
    }

    /// Starts a single worker with this thread name.
    ///
    /// # Errors
    /// As [`Workers::start`].
    pub(super) fn single(name: &str) -> io::Result<Self> {
        Self::named([name.to_owned()], false)
    }

    fn named(names: impl IntoIterator<Item = String>, wants_ring: bool) -> io::Result<Self> {
        let started: Vec<(Place, Worker)> = names
            .into_iter()
            .map(|name| Worker::start(name, wants_ring))
            .collect::<Result<_, _>>()?;
        let (places, threads): (Vec<_>, Vec<_>) = started.into_iter().unzip();
        Ok(Self {
            places: Places(places.into()),
            _threads: threads,
        })
    }

    /// Where connections can be served.
    pub(super) fn places(&self) -> Places {
        self.places.clone()
    }
}

impl Places {
    /// How many workers there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The runtime for the accept loop with this number.
    pub(super) fn home(&self, number: usize) -> &Handle {
        &self.0[number % self.0.len()].runtime
    }

    /// Takes a place on the worker with the fewest connections. (SO_REUSEPORT would spread by hash, which is
    /// unfair to connections that live for days.)
    pub(super) fn take(&self) -> (&Handle, Slot) {
        let place = self
            .0
            .iter()
            .min_by_key(|place| place.load.taken())
            .expect("there is at least one worker");
        (&place.runtime, place.load.take())
    }
}

impl Worker {
    fn start(name: String, wants_ring: bool) -> io::Result<(Place, Self)> {
        let (stop, stopped) = oneshot::channel::<()>();
        let work = async move {
            try_ring(wants_ring);
            // An error means that the sender was dropped, which is the same request.
            let _ = stopped.await;
        };
        // The thread is started first: that may fail, and a runtime must not be dropped in an async context.
        let (sender, handed_over) = oneshot::channel::<Runtime>();
        let thread = thread::Builder::new().name(name).spawn(move || {
            if let Ok(runtime) = handed_over.blocking_recv() {
                runtime.block_on(work);
            }
        })?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        // The thread is waiting for this, so it cannot fail.
        let _ = sender.send(runtime);
        let place = Place {
            runtime: handle,
            load: Arc::default(),
        };
        let worker = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok((place, worker))
    }
}

/// Starts io_uring on this worker if it is wanted. Where the system does not offer it the worker stays on epoll.
fn try_ring(is_wanted: bool) {
    static SAID: Once = Once::new();
    if is_wanted && let Err(error) = start_ring() {
        SAID.call_once(|| {
            tracing::info!(%error, "a worker cannot use io_uring: its connections stay on epoll");
        });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // An error means that it panicked, which has been reported already.
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

/// A task that is aborted when this handle is dropped.
#[derive(Debug)]
pub(super) struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    /// Aborts the task; ready when it has been dropped, or after [`ABORT_TIMEOUT`].
    pub(super) fn end(mut self) -> impl Future<Output = ()> {
        self.0.abort();
        async move {
            // An aborted task ends with an error.
            let _ = timeout(ABORT_TIMEOUT, &mut self.0).await;
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
