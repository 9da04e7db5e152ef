//! The histogram of message sizes. A whole report is added at once; the library's own histogram takes one observation at a
//! time.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::family::Series;
use super::text::Samples;
use crate::telemetry::DirectionTraffic;
use crate::telemetry::traffic::{SIZE_BOUNDS, SIZES};

/// The bounds as the family wants them.
pub(super) const SIZE_BUCKETS: &[f64] = &{
    let mut buckets = [0.0; SIZE_BOUNDS.len()];
    let mut index = 0;
    while index < buckets.len() {
        buckets[index] = as_float(SIZE_BOUNDS[index]);
        index += 1;
    }
    buckets
};

/// One series of the family.
#[derive(Clone)]
pub(super) struct MessageSizes(Arc<Counts>);

struct Counts {
    messages: [AtomicU64; SIZES],
    bytes: AtomicU64,
}

impl MessageSizes {
    /// Adds the messages of a report. Empty buckets cost no atomic operation.
    pub(super) fn add(&self, traffic: &DirectionTraffic) {
        let sizes = self.0.messages.iter().zip(traffic.sizes);
        for (counter, messages) in sizes.filter(|&(_, messages)| messages > 0) {
            counter.fetch_add(u64::from(messages), Ordering::Relaxed);
        }
        self.0
            .bytes
            .fetch_add(traffic.message_bytes, Ordering::Relaxed);
    }
}

impl Series for MessageSizes {
    const KIND: &'static str = "histogram";

    /// The buckets are always the same.
    fn new(_: &[f64]) -> prometheus::Result<Self> {
        Ok(Self(Arc::new(Counts {
            messages: array::from_fn(|_| AtomicU64::new(0)),
            bytes: AtomicU64::new(0),
        })))
    }

    /// A scrape may see a report that has been added in part. The count is computed from the buckets, so the two always agree;
    /// the sum may be off by that report.
    fn write(&self, samples: &mut Samples<'_>) {
        let mut total = 0;
        let cumulative = self.0.messages.each_ref().map(|counter| {
            total += counter.load(Ordering::Relaxed);
            total
        });
        let sum = as_float(self.0.bytes.load(Ordering::Relaxed));
        samples.histogram(cumulative.into_iter(), total, sum);
    }
}

/// The text format has floating point numbers only. They are exact up to 2⁵³; beyond that the error does not matter for rates.
const fn as_float(count: u64) -> f64 {
    count as f64
}
