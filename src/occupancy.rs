//! A counter of things in use, with a guard for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts how many of something are in use.
#[derive(Debug, Default)]
pub struct Occupancy {
    taken: AtomicUsize,
    freed: Notify,
}

impl Occupancy {
    /// How many are in use.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Takes one, without a limit.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Slot {
        self.taken.fetch_add(1, Ordering::AcqRel);
        Slot(Arc::clone(self))
    }

    /// Takes one if fewer than `limit` are in use. Atomic: of several threads that want the last one, exactly one gets it.
    #[must_use]
    pub fn take_below(self: &Arc<Self>, limit: usize) -> Option<Slot> {
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        let taken = &self.taken;
        let before = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        before.is_ok().then(|| Slot(Arc::clone(self)))
    }

    /// Waits until fewer than `limit()` are in use. `limit` is called again whenever one is given back, and after
    /// [`Occupancy::limit_changed`]. Supports a single waiter: `notify_one` would not wake a second one.
    pub async fn below(&self, limit: impl Fn() -> usize) {
        loop {
            let freed = self.freed.notified();
            if self.taken() < limit() {
                return;
            }
            freed.await;
        }
    }

    /// To be called when the limit of a waiter may have changed.
    pub fn limit_changed(&self) {
        self.freed.notify_one();
    }
}

/// One that is in use; given back on drop.
#[derive(Debug)]
pub struct Slot(Arc<Occupancy>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_last_one_to_one_of_many() {
        let occupancy = Arc::new(Occupancy::default());
        for _ in 0..100 {
            let _first = occupancy.take();
            let takers = [(); 4].map(|()| {
                let occupancy = Arc::clone(&occupancy);
                std::thread::spawn(move || occupancy.take_below(2))
            });
            let taken = takers.map(|taker| taker.join().unwrap());
            assert_eq!(taken.iter().flatten().count(), 1);
        }
    }

    #[tokio::test]
    async fn waits_until_one_is_given_back() {
        let occupancy = Arc::new(Occupancy::default());
        let slot = occupancy.take();
        let full = Arc::clone(&occupancy);
        let waiting = tokio::spawn(async move { full.below(|| 1).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(slot);
        waiting.await.unwrap();
        assert_eq!(occupancy.taken(), 0);
    }

    #[tokio::test]
    async fn asks_for_a_limit_that_was_raised() {
        let occupancy = Arc::new(Occupancy::default());
        let _slot = occupancy.take();
        let limit = Arc::new(AtomicUsize::new(1));
        let (full, raised) = (Arc::clone(&occupancy), Arc::clone(&limit));
        let waiting =
            tokio::spawn(async move { full.below(|| raised.load(Ordering::Relaxed)).await });
        tokio::task::yield_now().await;
        limit.store(2, Ordering::Relaxed);
        occupancy.limit_changed();
        waiting.await.unwrap();
    }
}
