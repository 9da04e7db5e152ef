//! Metrics of choosing a backend: the queue and sticky cookies.

use std::sync::Arc;
use std::time::Instant;

use prometheus::{Histogram, IntGauge};

use super::backend::PoolMetrics;
use super::enumerated::Enumerated;
use super::families::PoolFamilies;

enumeration! {
    /// The outcome of waiting for a place.
    pub enum QueueResult {
        /// A place became free.
        Served => "served",
        /// No place became free in time.
        Timeout => "timeout",
        /// The queue was full.
        Overflow => "overflow",
        /// There is nothing to wait for any more: no backend is ready, or the gateway, the listener or the route is stopping.
        Dismissed => "dismissed",
        /// The client left.
        Abandoned => "abandoned",
    }
    /// The label value.
    pub fn label;
}

enumeration! {
    /// What the sticky cookie of a request led to.
    pub enum StickyResult {
        /// The request had none.
        New => "new",
        /// Its backend was chosen.
        Kept => "kept",
        /// Its backend could not be chosen, another was.
        Moved => "moved",
        /// It names no backend: it is forged, of another key, or of a backend that is gone.
        Unknown => "unknown",
    }
    /// The label value.
    pub fn label;
}

/// The metrics of a pool that are about choosing a backend.
pub(super) struct Choices {
    queue_length: IntGauge,
    queue_wait: Histogram,
    queue: Enumerated,
    sticky: Enumerated,
}

impl Choices {
    pub(super) fn new(families: &PoolFamilies, pool: &str) -> Self {
        Self {
            queue_length: families.queue_length.with_label_values(&[pool]),
            queue_wait: families.queue_wait.with_label_values(&[pool]),
            queue: Enumerated::new(&families.queue, &[pool], QueueResult::TEXTS),
            sticky: Enumerated::new(&families.sticky, &[pool], StickyResult::TEXTS),
        }
    }
}

impl PoolMetrics {
    /// Counts a waiter until the guard is dropped.
    #[must_use]
    pub fn waiting(self: &Arc<Self>) -> Waiting {
        self.choices.queue_length.inc();
        Waiting {
            pool: Arc::clone(self),
            begun: Instant::now(),
            result: QueueResult::Abandoned,
        }
    }

    /// Counts a request that found the queue full.
    pub fn queue_overflowed(&self) {
        self.choices.queue.increment(QueueResult::Overflow.label());
    }

    /// Counts a result of a sticky cookie.
    pub fn sticky_read(&self, result: StickyResult) {
        self.choices.sticky.increment(result.label());
    }
}

/// A waiter in `wsgate_pool_queue_length`.
pub struct Waiting {
    pool: Arc<PoolMetrics>,
    begun: Instant,
    result: QueueResult,
}

impl Waiting {
    /// Notes the outcome; without one the wait was abandoned.
    pub fn ends(&mut self, result: QueueResult) {
        self.result = result;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let choices = &self.pool.choices;
        choices.queue_length.dec();
        choices.queue.increment(self.result.label());
        if self.result == QueueResult::Served {
            choices
                .queue_wait
                .observe(self.begun.elapsed().as_secs_f64());
        }
    }
}
