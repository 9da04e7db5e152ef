//! Slow start: how the weight of a backend grows after it became ready.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::backend::FULL_WEIGHT;

/// The part of its weight with which a backend begins. With none it would never be chosen.
const LEAST: u32 = FULL_WEIGHT / 10;

/// The slow start of a backend. When it began is kept by the backend and survives reloads; how long it takes is configured.
#[derive(Debug)]
pub(super) struct Rise {
    born: Instant,
    /// When the slow start began, in milliseconds after `born`, or [`OVER`].
    begun: AtomicU64,
    /// How many have begun.
    count: AtomicU64,
}

const OVER: u64 = u64::MAX;

impl Rise {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            begun: AtomicU64::new(OVER),
            count: AtomicU64::new(0),
        }
    }

    pub(super) fn begin(&self, now: Instant) {
        self.begun.store(self.age(now), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes whether it is over by `slow_start`, so that a reload with a longer one does not resume it.
    pub(super) fn settle(&self, slow_start: Duration, now: Instant) {
        let begun = self.begun.load(Ordering::Relaxed);
        if self.part(slow_start, now) == FULL_WEIGHT {
            // Unless another one has just begun.
            let relaxed = Ordering::Relaxed;
            let _ = self.begun.compare_exchange(begun, OVER, relaxed, relaxed);
        }
    }

    /// Identifies the last slow start that began.
    pub(super) fn mark(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The part of its weight that counts at `now`, of [`FULL_WEIGHT`]. It grows linearly over `slow_start`.
    pub(super) fn part(&self, slow_start: Duration, now: Instant) -> u32 {
        let begun = self.begun.load(Ordering::Relaxed);
        let span = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX);
        if span == 0 || begun == OVER {
            return FULL_WEIGHT;
        }
        let passed = self.age(now).saturating_sub(begun);
        let part = u64::from(FULL_WEIGHT).saturating_mul(passed.min(span)) / span;
        u32::try_from(part).unwrap_or(FULL_WEIGHT).max(LEAST)
    }

    fn age(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.born);
        u64::try_from(age.as_millis()).unwrap_or(OVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;
    use crate::config::{self, Strategy};
    use crate::telemetry::Metrics;
    use crate::upstream::Pool;
    use crate::upstream::fixtures::{backend, build, config};

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

    #[tokio::test(start_paused = true)]
    async fn a_reload_does_not_resume_what_is_over() {
        let mut config = config(&Strategy::Random);
        let metrics = Metrics::new();
        let reload = |config: &config::Pool, before: &Arc<Pool>| {
            let after = Arc::new(build(config, &metrics, Some(before)));
            before.hand_over(&after);
            after
        };
        let pool = Arc::new(build(&config, &metrics, None));
        config.backends.push(backend(3));
        let pool = reload(&config, &pool);
        let weight = |pool: &Pool| pool.members()[3].effective_weight(Instant::now());
        advance(config.slow_start / 2).await;
        config.slow_start *= 2;
        let pool = reload(&config, &pool);
        assert_eq!(
            weight(&pool),
            FULL_WEIGHT / 4,
            "it goes on by the new setting"
        );
        advance(config.slow_start).await;
        config.slow_start *= 10;
        assert_eq!(weight(&reload(&config, &pool)), FULL_WEIGHT);
    }
}
