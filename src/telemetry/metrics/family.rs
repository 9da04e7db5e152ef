//! A metric family with the label values themselves as the key of a series.
//!
//! The library's own vector uses a hash of the concatenated values, so that `pool="a", backend="bc"` and
//! `pool="ab", backend="c"` would be the same series.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prometheus::core::{Desc, Describer, Metric};
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts};

use super::text::{self, Samples};
use crate::config::Name;

/// The series of one metric name, by their label values.
pub(super) struct Family<M>(Arc<Shared<M>>);

struct Shared<M> {
    desc: Desc,
    buckets: &'static [f64],
    /// `buckets` as text.
    bounds: Vec<String>,
    series: RwLock<SeriesByKey<M>>,
}

/// The series by their label values.
type SeriesByKey<M> = BTreeMap<Vec<u8>, Labelled<M>>;

/// A series and its labels as text. Cheap to clone.
type Labelled<M> = (Arc<str>, M);

/// A metric of which there may be a family. It has neither a name nor labels; the family has both.
pub(super) trait Series: Clone + Send + Sync + 'static {
    /// As in the text format.
    const KIND: &'static str;

    /// A series at zero; only histograms have buckets.
    fn new(buckets: &[f64]) -> prometheus::Result<Self>;

    fn write(&self, samples: &mut Samples<'_>);
}

/// The library wants a name and a help text, which are not shown.
const UNSEEN: &str = "series";

impl Series for IntCounter {
    const KIND: &'static str = "counter";

    fn new(_: &[f64]) -> prometheus::Result<Self> {
        Self::new(UNSEEN, UNSEEN)
    }

    fn write(&self, samples: &mut Samples<'_>) {
        samples.value(self.get());
    }
}

impl Series for IntGauge {
    const KIND: &'static str = "gauge";

    fn new(_: &[f64]) -> prometheus::Result<Self> {
        Self::new(UNSEEN, UNSEEN)
    }

    fn write(&self, samples: &mut Samples<'_>) {
        samples.value(self.get());
    }
}

impl Series for Gauge {
    const KIND: &'static str = "gauge";

    fn new(_: &[f64]) -> prometheus::Result<Self> {
        Self::new(UNSEEN, UNSEEN)
    }

    fn write(&self, samples: &mut Samples<'_>) {
        samples.value(self.get());
    }
}

impl Series for Histogram {
    const KIND: &'static str = "histogram";

    fn new(buckets: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(HistogramOpts::new(UNSEEN, UNSEEN).buckets(buckets.to_vec()))
    }

    /// Read as a whole, so that the buckets, the count and the sum agree.
    fn write(&self, samples: &mut Samples<'_>) {
        let metric = self.metric();
        let histogram = metric.get_histogram();
        let buckets = histogram.get_bucket().iter();
        let cumulative = buckets.map(|bucket| bucket.cumulative_count());
        let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
        samples.histogram(cumulative, count, sum);
    }
}

impl<M: Series> Family<M> {
    /// A family without series.
    ///
    /// # Errors
    /// When the name or a label is invalid.
    pub(super) fn new(options: Opts, buckets: &'static [f64]) -> prometheus::Result<Self> {
        Ok(Self(Arc::new(Shared {
            desc: options.describe()?,
            buckets,
            bounds: buckets.iter().map(text::le).collect(),
            series: RwLock::default(),
        })))
    }

    /// The series with these label values, in the order of the labels; created if there is none.
    pub(super) fn with_label_values<V: AsRef<str>>(&self, values: &[V]) -> M {
        let Shared { desc, buckets, .. } = &*self.0;
        let names = &desc.variable_labels;
        debug_assert_eq!(names.len(), values.len(), "{}", desc.fq_name);
        let key = key(values);
        // Most are there already, and workers must not wait for each other, nor for a scrape.
        if let Some((_, known)) = self.0.read().get(&key) {
            return known.clone();
        }
        let mut series = self.0.write();
        let (_, series) = series.entry(key).or_insert_with(|| {
            let made = M::new(buckets).expect("the name is valid and the buckets are sorted");
            (text::labels(names, values), made)
        });
        series.clone()
    }
}

impl<M: Series> Shared<M> {
    fn read(&self) -> RwLockReadGuard<'_, SeriesByKey<M>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, SeriesByKey<M>> {
        self.series.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A family of any kind of metric.
pub(super) trait AnyFamily: Send + Sync {
    /// The name, with the common prefix.
    fn name(&self) -> &str;

    /// Appends all series in the text format, or nothing if there are none.
    fn write(&self, text: &mut String);

    /// Removes every series whose first labels have these values.
    fn remove(&self, first_values: &[Name]);
}

impl<M: Series> AnyFamily for Family<M> {
    fn name(&self) -> &str {
        &self.0.desc.fq_name
    }

    fn write(&self, text: &mut String) {
        let Shared { desc, bounds, .. } = &*self.0;
        // Copied, as writing takes long: a worker that needs a new series must not wait for it.
        let series: Vec<_> = self.0.read().values().cloned().collect();
        if !series.is_empty() {
            text::head(text, &desc.fq_name, &desc.help, M::KIND);
        }
        for (labels, metric) in &series {
            metric.write(&mut Samples {
                text,
                name: &desc.fq_name,
                labels,
                bounds,
            });
        }
    }

    fn remove(&self, first_values: &[Name]) {
        let prefix = key(first_values);
        let mut series = self.0.write();
        let keys = series.range(prefix.clone()..).map(|(key, _)| key);
        let removed = keys.take_while(|key| key.starts_with(&prefix)).cloned();
        for key in removed.collect::<Vec<_>>() {
            series.remove(&key);
        }
    }
}

/// The values, each followed by a byte that does not occur in UTF-8.
fn key<V: AsRef<str>>(values: &[V]) -> Vec<u8> {
    const END: u8 = 0xff;
    let length = |value: &V| value.as_ref().len() + 1;
    let mut key = Vec::with_capacity(values.iter().map(length).sum());
    for value in values {
        key.extend_from_slice(value.as_ref().as_bytes());
        key.push(END);
    }
    key
}

impl<M> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{OnceLock, mpsc};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn counters() -> Family<IntCounter> {
        let labels = ["pool", "backend"].map(str::to_owned).to_vec();
        let options = Opts::new("connects", "Connects.").variable_labels(labels);
        Family::new(options, &[]).unwrap()
    }

    #[test]
    fn values_that_read_alike_side_by_side_are_two_series() {
        let family = counters();
        family.with_label_values(&["a", "bc"]).inc();
        family.with_label_values(&["ab", "c"]).inc_by(2);
        let mut text = String::new();
        family.write(&mut text);
        assert!(
            text.contains("connects{backend=\"bc\",pool=\"a\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("connects{backend=\"c\",pool=\"ab\"} 2"),
            "{text}"
        );
    }

    #[test]
    fn the_same_values_are_the_same_series_until_it_is_removed() {
        let family = counters();
        family.with_label_values(&["a", "b"]).inc();
        assert_eq!(family.with_label_values(&["a", "b"]).get(), 1);
        family.remove(&["a", "b"].map(Name::from));
        assert_eq!(family.with_label_values(&["a", "b"]).get(), 0);
    }

    #[test]
    fn a_series_that_is_there_is_found_beside_readers() {
        let family = counters();
        family.with_label_values(&["a", "b"]).inc();
        let (sender, found) = mpsc::channel();
        let other = family.clone();
        let reader = family.0.read();
        thread::spawn(move || sender.send(other.with_label_values(&["a", "b"]).get()));
        assert_eq!(found.recv_timeout(Duration::from_secs(20)), Ok(1));
        drop(reader);
    }

    /// A series that tells whether its family could be changed while it is written.
    #[derive(Clone)]
    struct Probe;

    static PROBES: OnceLock<Family<Probe>> = OnceLock::new();

    impl Series for Probe {
        const KIND: &'static str = "gauge";

        fn new(_: &[f64]) -> prometheus::Result<Self> {
            Ok(Self)
        }

        fn write(&self, samples: &mut Samples<'_>) {
            let family = PROBES.get().unwrap();
            samples.value(family.0.series.try_write().is_ok());
        }
    }

    #[test]
    fn no_series_waits_until_all_are_written() {
        let options = Opts::new("probes", "Probes.").variable_labels(vec!["pool".to_owned()]);
        let family = PROBES.get_or_init(|| Family::new(options, &[]).unwrap());
        family.with_label_values(&["a"]);
        let mut text = String::new();
        AnyFamily::write(family, &mut text);
        assert!(text.contains("probes{pool=\"a\"} true"), "{text}");
    }

    #[test]
    fn removes_what_begins_with_these_values_alone() {
        let family = counters();
        let kept = [["", "a"], ["aa", "b"], ["b", "a"]];
        for values in kept.into_iter().chain([["a", "a"], ["a", "b"]]) {
            family.with_label_values(&values).inc();
        }
        family.remove(&[Name::from("a")]);
        assert_eq!(family.0.read().len(), kept.len());
        for values in kept {
            assert_eq!(family.with_label_values(&values).get(), 1, "{values:?}");
        }
    }
}
