//! The histogram of message sizes. A whole report is added at once; the library's own histogram takes one observation at a
//! time.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::Opts;
use prometheus::core::Metric;
use prometheus::proto::{self, Bucket, Histogram, LabelPair, MetricType};

use super::family::Series;
use crate::telemetry::DirectionTraffic;
use crate::telemetry::traffic::{SIZE_BOUNDS, SIZES};

/// One series of the family.
#[derive(Clone)]
pub(super) struct MessageSizes(Arc<Counts>);

struct Counts {
    labels: Vec<LabelPair>,
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
    const KIND: MetricType = MetricType::HISTOGRAM;

    /// The buckets are always the same.
    fn new(options: Opts, _: &[f64]) -> prometheus::Result<Self> {
        let labels = options.const_labels.iter();
        let mut labels: Vec<_> = labels.map(|(name, value)| label(name, value)).collect();
        // The library sorts the labels of its own metrics, too.
        labels.sort();
        Ok(Self(Arc::new(Counts {
            labels,
            messages: array::from_fn(|_| AtomicU64::new(0)),
            bytes: AtomicU64::new(0),
        })))
    }
}

impl Metric for MessageSizes {
    /// A scrape may see a report that has been added in part. The count is computed from the buckets, so the two always agree;
    /// the sum may be off by that report.
    fn metric(&self) -> proto::Metric {
        let mut total = 0;
        let cumulative = self.0.messages.each_ref().map(|counter| {
            total += counter.load(Ordering::Relaxed);
            total
        });
        let mut histogram = Histogram::default();
        histogram.set_sample_count(total);
        histogram.set_sample_sum(as_float(self.0.bytes.load(Ordering::Relaxed)));
        let bounded = SIZE_BOUNDS.into_iter().zip(cumulative);
        histogram.set_bucket(bounded.map(|(bound, count)| bucket(bound, count)).collect());

        let mut metric = proto::Metric::from_label(self.0.labels.clone());
        metric.set_histogram(histogram);
        metric
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn bucket(bound: u64, count: u64) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(as_float(bound));
    bucket.set_cumulative_count(count);
    bucket
}

/// The text format has floating point numbers only. They are exact up to 2⁵³; beyond that the error does not matter for rates.
fn as_float(count: u64) -> f64 {
    count as f64
}
