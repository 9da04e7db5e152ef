//! How a backend that has just become ready comes to its share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::backend::FULL_WEIGHT;

/// The part of its weight with which a backend begins: with nothing it would never be chosen, and nothing would show whether
/// it can bear more.
const LEAST: u32 = FULL_WEIGHT / 10;

/// When a backend became ready. It is the backend's and outlives configurations; how long the slow start takes is a
/// configuration's.
#[derive(Debug)]
pub(super) struct Rise {
    born: Instant,
    /// Milliseconds after the birth; [`NEVER`] for one that was ready from the start.
    begun: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Rise {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            begun: AtomicU64::new(NEVER),
        }
    }

    pub(super) fn begin(&self, now: Instant) {
        self.begun.store(self.age(now), Ordering::Relaxed);
    }

    /// Tells one time of becoming ready from another.
    pub(super) fn mark(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// The part of its weight that counts, of [`FULL_WEIGHT`]: it grows evenly over `slow_start`.
    pub(super) fn part(&self, slow_start: Duration, now: Instant) -> u32 {
        let begun = self.begun.load(Ordering::Relaxed);
        let span = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX);
        if span == 0 || begun == NEVER {
            return FULL_WEIGHT;
        }
        let passed = self.age(now).saturating_sub(begun);
        let part = u64::from(FULL_WEIGHT).saturating_mul(passed.min(span)) / span;
        u32::try_from(part).unwrap_or(FULL_WEIGHT).max(LEAST)
    }

    fn age(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.born);
        u64::try_from(age.as_millis()).unwrap_or(NEVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn grows_evenly_from_a_tenth() {
        let rise = Rise::new();
        let now = Instant::now();
        let span = Duration::from_secs(30);
        assert_eq!(rise.part(span, now), FULL_WEIGHT);
        rise.begin(now);
        let after = |seconds| rise.part(span, now + Duration::from_secs(seconds));
        assert_eq!(
            [0, 2, 3, 15, 30, 300].map(after),
            [100, 100, 100, 500, 1000, 1000]
        );
        assert_eq!(rise.part(Duration::ZERO, now), FULL_WEIGHT);
        rise.begin(now + Duration::from_secs(300));
        assert_eq!(after(300), LEAST);
    }
}
