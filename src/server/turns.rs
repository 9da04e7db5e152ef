//! Turns at asking the DNS, for all pools together: each query takes a descriptor, and pools with the same `refresh` stay in
//! step.
//!
//! A name server that is silent holds its queries for seconds. So a query that is not answered soon is begun anew among its
//! like, where it may take its time and holds up no other.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Concurrent queries, and as many of those that take long; few enough not to take descriptors from sessions.
const QUERIES: usize = 32;
/// How soon most queries are answered.
const SOON: Duration = Duration::from_millis(500);

/// Who may ask.
pub(super) struct Turns {
    pub(super) first: Semaphore,
    late: Semaphore,
}

impl Turns {
    /// For one process.
    pub(super) fn new() -> Self {
        Self::of(QUERIES)
    }

    pub(super) fn of(queries: usize) -> Self {
        Self {
            first: Semaphore::new(queries),
            late: Semaphore::new(queries),
        }
    }

    /// The answer, if it comes soon. Otherwise the question is to be asked again, [late](Self::late).
    pub(super) async fn soon<T>(&self, asking: impl Future<Output = T>) -> Option<T> {
        let _turn = self.first.acquire().await;
        timeout(SOON, asking).await.ok()
    }

    /// The answer to a question that takes long.
    pub(super) async fn late<T>(&self, asking: impl Future<Output = T>) -> T {
        let _turn = self.late.acquire().await;
        asking.await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    /// A query that nobody answers, as long as it may take; counts how often it is sent.
    async fn ask_in_vain(turns: Arc<Turns>, sent: Arc<AtomicUsize>) {
        let silent = async || {
            sent.fetch_add(1, Ordering::Relaxed);
            pending::<()>().await;
        };
        assert!(turns.soon(silent()).await.is_none());
        turns.late(silent()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn queries_without_an_answer_hold_up_the_others_for_a_moment() {
        let (turns, sent) = (Arc::new(Turns::of(2)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..6 {
            tokio::spawn(ask_in_vain(Arc::clone(&turns), Arc::clone(&sent)));
        }
        tokio::task::yield_now().await;
        assert_eq!(sent.load(Ordering::Relaxed), 2, "the others wait");
        let begun = Instant::now();
        assert!(turns.soon(ready(())).await.is_some());
        assert!(begun.elapsed() < 4 * SOON, "{:?}", begun.elapsed());
        tokio::task::yield_now().await;
        assert_eq!(sent.load(Ordering::Relaxed), 8, "two of them again");
    }
}
