//! Waiting: for what must happen soon, without saying when.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take before a scenario fails. Generous: it costs time only where something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What `future` comes to.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("not in {PATIENCE:?}: {what}"))
}

/// Looks until it is so.
pub(crate) async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    repeatedly(what, async || look().then_some(())).await;
}

/// Looks until there is something.
pub(crate) async fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    repeatedly(what, async || look()).await
}

/// Looks, where looking takes waiting itself, until there is something.
pub(crate) async fn repeatedly<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        sleep(PAUSE).await;
    }
}
