//! Looking up names. The system does it on a thread that waits, and cannot be told to stop.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The most look-ups of a pool that hold a thread or wait for one. Without a bound each attempt would leave one
/// more behind while the resolver hangs. Less than the threads of a worker, so that those of other pools go on.
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
    /// When the name has none, or nobody says.
    pub(super) async fn find(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let place = (name.to_owned(), port);
        self.run(move || Ok(place.to_socket_addrs()?.collect()))
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        look_up: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let semaphore = Arc::clone(&self.0);
        let permit = semaphore.acquire_owned().await.map_err(io::Error::other)?;
        // The permit goes with the call, which goes on when nobody waits for it any more.
        let running = spawn_blocking(move || {
            let _permit = permit;
            look_up()
        });
        running.await?
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
