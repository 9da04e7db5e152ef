//! Looking up names. The system does it on a thread that waits, and cannot be told to stop.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use super::handshake::Failure;

/// The most look-ups of a pool that hold a thread. Without a bound each attempt would leave one more behind while the
/// resolver hangs.
const LOOKUPS: usize = 8;

/// The look-ups of a pool that may be under way.
#[derive(Debug)]
pub(super) struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

impl Lookups {
    /// The addresses of `name`, in the resolver's order, once there is room to look; the caller sets the deadline.
    ///
    /// # Errors
    /// When the name has none, nobody says, or the system gives no thread.
    pub(super) async fn find(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let place = (name.to_owned(), port);
        self.run(move || Ok(place.to_socket_addrs()?.collect()))
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        look_up: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = Arc::clone(&self.0).acquire_owned();
        let permit = permit.await.expect("nobody closes the semaphore");
        let (sender, found) = oneshot::channel();
        // The permit goes with the call, which goes on when nobody waits for it any more.
        let call = move || {
            let outcome = look_up();
            drop(permit);
            // Who waited may have given up.
            let _ = sender.send(outcome);
        };
        // Not `spawn_blocking`: where no thread can be started it panics, and keeps the call and its permit.
        let thread = thread::Builder::new().name("lookup".to_owned());
        thread.spawn(call).map_err(|_| Failure::NoThread)?;
        let outcome = found.await.map_err(io::Error::other).flatten();
        outcome.map_err(Failure::Unresolved)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn finds_the_addresses_of_a_name() {
        let found = Lookups::default().find("localhost", 80).await.unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn those_that_hang_keep_their_permits_although_nobody_waits() {
        let lookups = Lookups::default();
        let mut hanging = Vec::new();
        for _ in 0..LOOKUPS {
            let (release, released) = mpsc::channel::<()>();
            hanging.push(release);
            // An error is the sender dropped, which is the release.
            let look_up = move || Ok(released.recv().is_err());
            let given_up = timeout(Duration::ZERO, lookups.run(look_up)).await;
            assert!(given_up.is_err());
        }
        let one_more = timeout(Duration::ZERO, lookups.run(|| Ok(()))).await;
        assert!(one_more.is_err(), "it was let in behind those that hang");
        drop(hanging);
        lookups.run(|| Ok(())).await.unwrap();
    }
}
