//! Looking up names. The system does it on a thread that waits, and cannot be told to stop.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, SendError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::handshake::Failure;

/// The most look-ups of a pool, each of which holds a thread and a descriptor. Without a bound each attempt would leave one
/// more behind while the resolver hangs.
const LOOKUPS: usize = 128;
/// The most of them for one name: one that hangs is not to keep the others from being looked up.
const OF_A_NAME: usize = 8;
/// How long a thread waits for another look-up before it ends: to start one takes longer than most of them.
const REST: Duration = Duration::from_secs(10);

/// A look-up as a thread makes it.
type Call = Box<dyn FnOnce() + Send>;

/// The look-ups of a pool.
#[derive(Debug)]
pub(super) struct Lookups {
    /// Those that may be under way.
    permits: Arc<Semaphore>,
    /// The same by name: as many names as the pool's backends have had.
    of_names: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
    threads: Arc<Threads>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(LOOKUPS)),
            of_names: Mutex::default(),
            threads: Arc::default(),
        }
    }
}

impl Lookups {
    /// The addresses of `name`, in the resolver's order, once there is room to look; the caller sets the deadline.
    ///
    /// # Errors
    /// When the name has none, nobody says, or the system gives no thread.
    pub(super) async fn find(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let place = (name.to_owned(), port);
        self.run(name, move || match place.to_socket_addrs() {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(unresolved(error)),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &str,
        look_up: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        // That of the name first, so that who waits for it keeps nobody else from a look-up.
        let of_name = acquire(self.permits_of(name)).await;
        let permits = (acquire(Arc::clone(&self.permits)).await, of_name);
        let (sender, found) = oneshot::channel();
        // The permits go with the call, which goes on when nobody waits for it any more.
        let call = move || {
            let outcome = look_up();
            drop(permits);
            // Who waited may have given up.
            let _ = sender.send(outcome);
        };
        let begun = self.threads.begin(Box::new(call));
        begun.map_err(|_| Failure::NoThread)?;
        let lost = |error| Failure::Unresolved(io::Error::other(error));
        found.await.map_err(lost).flatten()
    }

    fn permits_of(&self, name: &str) -> Arc<Semaphore> {
        let mut permits = self.of_names.lock().unwrap_or_else(PoisonError::into_inner);
        match permits.get(name) {
            Some(known) => Arc::clone(known),
            None => {
                let new = Arc::new(Semaphore::new(OF_A_NAME));
                permits.insert(name.into(), Arc::clone(&new));
                new
            }
        }
    }
}

async fn acquire(permits: Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = permits.acquire_owned().await;
    permit.expect("nobody closes the semaphore")
}

/// Why a name was not found. Looking takes descriptors: where there are none the system says so, or that nobody knows the
/// name, as it could not open the file of names.
fn unresolved(error: io::Error) -> Failure {
    let one_more = File::open("/dev/null");
    let is_wanting = [Some(&error), one_more.as_ref().err()]
        .into_iter()
        .flatten()
        .any(Failure::is_want_of_descriptors);
    match is_wanting {
        true => Failure::NoDescriptor,
        false => Failure::Unresolved(error),
    }
}

/// The threads of a pool that wait for a look-up. Not those of `spawn_blocking`: where no thread can be started that
/// panics, and keeps the call and its permit.
#[derive(Debug, Default)]
struct Threads(Mutex<Vec<(ThreadId, Sender<Call>)>>);

impl Threads {
    /// Has a thread make `call`: one that waits, or a new one.
    fn begin(self: &Arc<Self>, call: Call) -> io::Result<()> {
        let waiting = self.waiting().pop();
        let call = match waiting {
            Some((_, thread)) => match thread.send(call) {
                Ok(()) => return Ok(()),
                Err(SendError(call)) => call,
            },
            None => call,
        };
        let threads = Arc::clone(self);
        let thread = thread::Builder::new().name("lookup".to_owned());
        thread.spawn(move || threads.serve(call)).map(drop)
    }

    /// Makes `call`, and those that come while this thread waits.
    fn serve(&self, call: Call) {
        let id = thread::current().id();
        let (sender, calls) = mpsc::channel();
        let mut next = Some(call);
        while let Some(call) = next {
            call();
            self.waiting().push((id, sender.clone()));
            next = calls.recv_timeout(REST).ok();
            if next.is_none() && !self.leave(id) {
                // Somebody has just picked this thread, and sends his call.
                next = calls.recv().ok();
            }
        }
    }

    /// Takes a thread out of those that wait. Whether it was one.
    fn leave(&self, id: ThreadId) -> bool {
        let mut waiting = self.waiting();
        let place = waiting.iter().position(|(waiting, _)| *waiting == id);
        place.map(|place| waiting.remove(place)).is_some()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(ThreadId, Sender<Call>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn finds_the_addresses_of_a_name() {
        let found = Lookups::default().find("localhost", 80).await.unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|address| address.ip().is_loopback()));
    }

    /// As many look-ups of this name as may be, which end when what this gives is dropped. Nobody waits for them.
    async fn hang(lookups: &Lookups, name: &str) -> Vec<mpsc::Sender<()>> {
        let mut hanging = Vec::new();
        for _ in 0..OF_A_NAME {
            let (release, released) = mpsc::channel::<()>();
            hanging.push(release);
            // An error is the sender dropped, which is the release.
            let look_up = move || Ok(released.recv().is_err());
            let given_up = timeout(Duration::ZERO, lookups.run(name, look_up)).await;
            assert!(given_up.is_err());
        }
        hanging
    }

    #[tokio::test]
    async fn those_that_hang_keep_their_permits_although_nobody_waits() {
        let lookups = Lookups::default();
        let hanging = hang(&lookups, "slow").await;
        let one_more = timeout(Duration::ZERO, lookups.run("slow", || Ok(()))).await;
        assert!(one_more.is_err(), "it was let in behind those that hang");
        drop(hanging);
        lookups.run("slow", || Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_name_that_hangs_holds_up_no_other() {
        let lookups = Lookups::default();
        let _hanging = hang(&lookups, "slow").await;
        let other = timeout(PATIENCE, lookups.run("fast", || Ok(()))).await;
        other.expect("it waits for another name").unwrap();
    }

    #[tokio::test]
    async fn names_that_hang_together_have_a_bound() {
        let lookups = Lookups::default();
        let mut hanging = Vec::new();
        for number in 0..LOOKUPS / OF_A_NAME {
            hanging.push(hang(&lookups, &number.to_string()).await);
        }
        let one_more = timeout(Duration::ZERO, lookups.run("another", || Ok(()))).await;
        assert!(one_more.is_err(), "it was let in behind those that hang");
        hanging.pop();
        lookups.run("another", || Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_thread_serves_the_next_one_too() {
        let lookups = Lookups::default();
        let here = || Ok(thread::current().id());
        let first = lookups.run("one", here).await.unwrap();
        // It waits a moment after it has answered.
        while lookups.threads.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(lookups.run("another", here).await.unwrap(), first);
    }
}
