//! Deadlines that take a pause of the whole process into account.
//!
//! After SIGSTOP, a frozen cgroup or the migration of a virtual machine, timers fire before the runtime has seen the bytes that
//! have arrived meanwhile. So a deadline that is noticed late is extended by a moment, in which they are read.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// A timer that fires so late shows a pause.
const LATE: Duration = Duration::from_millis(100);
/// How long a client has after a pause.
pub(super) const EXTENSION: Duration = Duration::from_secs(1);

/// Whether `deadline` is noticed only after a pause.
pub(super) fn is_late(deadline: Instant) -> bool {
    deadline.elapsed() > LATE
}

/// Waits for the deadline, and for its extension if there was a pause.
pub(super) async fn reached(deadline: Instant) {
    sleep_until(deadline).await;
    if is_late(deadline) {
        sleep(EXTENSION).await;
    }
}

/// The outcome of `future`; `None` if the deadline comes first.
pub(super) async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    tokio::select! {
        biased;
        outcome = &mut future => Some(outcome),
        () = reached(deadline) => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn ends_on_time() {
        let begun = Instant::now();
        assert_eq!(
            timeout_at(begun + PATIENCE, std::future::pending::<()>()).await,
            None
        );
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn takes_what_is_seen_only_after_a_pause() {
        let (arrive, arrived) = oneshot::channel();
        let waiting = tokio::spawn(timeout_at(Instant::now() + PATIENCE, arrived));
        tokio::task::yield_now().await;
        advance(PATIENCE * 2).await;
        tokio::task::yield_now().await;
        arrive.send(()).unwrap();
        assert_eq!(waiting.await.unwrap(), Some(Ok(())));
    }
}
