//! A metric family with the label values themselves as the key of a series.
//!
//! The library's own vector uses a hash of the concatenated values, so that `pool="a", backend="bc"` and
//! `pool="ab", backend="c"` would be the same series.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::{Collector, Desc, Describer, Metric};
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts};

use crate::config::Name;

/// The series of one metric name, by their label values.
pub(super) struct Family<M>(Arc<Shared<M>>);

struct Shared<M> {
    options: Opts,
    buckets: &'static [f64],
    desc: Desc,
    series: RwLock<BTreeMap<Vec<u8>, M>>,
}

/// A metric of which there may be a family.
pub(super) trait Series: Metric + 'static {
    const KIND: MetricType;

    /// A series with the constant labels of `options`; only histograms have buckets.
    fn new(options: Opts, buckets: &[f64]) -> prometheus::Result<Self>;
}

impl Series for IntCounter {
    const KIND: MetricType = MetricType::COUNTER;

    fn new(options: Opts, _: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(options)
    }
}

impl Series for IntGauge {
    const KIND: MetricType = MetricType::GAUGE;

    fn new(options: Opts, _: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(options)
    }
}

impl Series for Gauge {
    const KIND: MetricType = MetricType::GAUGE;

    fn new(options: Opts, _: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(options)
    }
}

impl Series for Histogram {
    const KIND: MetricType = MetricType::HISTOGRAM;

    fn new(options: Opts, buckets: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(HistogramOpts::from(options).buckets(buckets.to_vec()))
    }
}

impl<M: Series> Family<M> {
    /// A family without series.
    ///
    /// # Errors
    /// When the name or a label is invalid.
    pub(super) fn new(options: Opts, buckets: &'static [f64]) -> prometheus::Result<Self> {
        let desc = options.describe()?;
        Ok(Self(Arc::new(Shared {
            options,
            buckets,
            desc,
            series: RwLock::default(),
        })))
    }

    /// The series with these label values, in the order of the labels; created if there is none.
    pub(super) fn with_label_values<V: AsRef<str>>(&self, values: &[V]) -> M {
        let series = self.0.series.write();
        let mut series = series.unwrap_or_else(PoisonError::into_inner);
        series
            .entry(key(values))
            .or_insert_with(|| {
                let made = M::new(self.options_of(values), self.0.buckets);
                made.expect("the name and the labels are those of the family")
            })
            .clone()
    }

    fn options_of<V: AsRef<str>>(&self, values: &[V]) -> Opts {
        let options = &self.0.options;
        let names = &options.variable_labels;
        debug_assert_eq!(names.len(), values.len(), "{}", options.name);
        let owned = values.iter().map(|value| value.as_ref().to_owned());
        let labels: HashMap<String, String> = names.iter().cloned().zip(owned).collect();
        Opts {
            variable_labels: Vec::new(),
            ..options.clone().const_labels(labels)
        }
    }
}

/// A family of any kind of metric.
pub(super) trait AnyFamily: Send + Sync {
    /// Removes every series whose first labels have these values.
    fn remove(&self, first_values: &[Name]);
}

impl<M: Series> AnyFamily for Family<M> {
    fn remove(&self, first_values: &[Name]) {
        let prefix = key(first_values);
        let series = self.0.series.write();
        let mut series = series.unwrap_or_else(PoisonError::into_inner);
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

impl<M: Series> Collector for Family<M> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.0.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(M::KIND);
        family.set_metric(series.values().map(Metric::metric).collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounter, Registry, TextEncoder};

    use super::*;

    fn counters() -> Family<IntCounter> {
        let labels = ["pool", "backend"].map(str::to_owned).to_vec();
        let options = Opts::new("connects", "Connects.").variable_labels(labels);
        Family::new(options, &[]).unwrap()
    }

    #[test]
    fn values_that_read_alike_side_by_side_are_two_series() {
        let registry = Registry::new();
        let family = counters();
        registry.register(Box::new(family.clone())).unwrap();
        family.with_label_values(&["a", "bc"]).inc();
        family.with_label_values(&["ab", "c"]).inc_by(2);
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        let text = text.unwrap();
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
    fn removes_what_begins_with_these_values_alone() {
        let family = counters();
        let kept = [["", "a"], ["aa", "b"], ["b", "a"]];
        for values in kept.into_iter().chain([["a", "a"], ["a", "b"]]) {
            family.with_label_values(&values).inc();
        }
        family.remove(&[Name::from("a")]);
        let left = family.collect().remove(0).get_metric().len();
        assert_eq!(left, kept.len());
        for values in kept {
            assert_eq!(family.with_label_values(&values).get(), 1, "{values:?}");
        }
    }
}
