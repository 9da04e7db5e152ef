//! Prometheus' text format 0.0.4, written straight from the series.
//!
//! The library builds a structure of owned strings for every sample, sorts it, and writes that.

use std::fmt::{Display, Write};
use std::sync::Arc;

/// Where one series writes its samples.
pub(super) struct Samples<'a> {
    pub(super) text: &'a mut String,
    /// The name of the family.
    pub(super) name: &'a str,
    /// As [`labels`] writes them.
    pub(super) labels: &'a str,
    /// The upper bounds of the buckets of a histogram, as [`le`] writes them.
    pub(super) bounds: &'a [String],
}

impl Samples<'_> {
    /// The only sample of a counter or a gauge.
    pub(super) fn value(&mut self, value: impl Display) {
        self.sample("", "", value);
    }

    /// The samples of a histogram: how many observations are in each bucket or a lower one, how many there are, and their sum.
    pub(super) fn histogram(
        &mut self,
        cumulative: impl Iterator<Item = u64>,
        count: u64,
        sum: f64,
    ) {
        for (bound, observations) in self.bounds.iter().zip(cumulative) {
            self.sample("_bucket", bound, observations);
        }
        self.sample("_bucket", "le=\"+Inf\"", count);
        self.sample("_sum", "", sum);
        self.sample("_count", "", count);
    }

    fn sample(&mut self, suffix: &str, bound: &str, value: impl Display) {
        let Self { text, labels, .. } = self;
        text.push_str(self.name);
        text.push_str(suffix);
        let separator = match (labels.is_empty(), bound.is_empty()) {
            (true, true) => return write_value(text, value),
            (false, false) => ",",
            (true, false) | (false, true) => "",
        };
        for part in ["{", labels, separator, bound, "}"] {
            text.push_str(part);
        }
        write_value(text, value);
    }
}

fn write_value(text: &mut String, value: impl Display) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, " {value}");
}

/// The label of a bucket with this upper bound.
pub(super) fn le(bound: &f64) -> String {
    format!("le=\"{bound}\"")
}

/// Appends the lines above the samples of a family. `help` is one line without a backslash.
pub(super) fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

/// Labels as they are written between the braces, in the order of their names.
pub(super) fn labels<V: AsRef<str>>(names: &[String], values: &[V]) -> Arc<str> {
    let mut labels: Vec<_> = names.iter().zip(values).collect();
    labels.sort_by_key(|&(name, _)| name);
    let mut text = String::new();
    for (name, value) in labels {
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{name}=\"{}\"", escape(value.as_ref()));
    }
    text.into()
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;
    use prometheus::{Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec};
    use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, TextEncoder};

    use super::super::family::{AnyFamily, Family, Series};

    const LABELS: [&str; 2] = ["pool", "backend"];
    const VALUES: [&str; 2] = ["a \"b\" \\n", "ü\n{,}"];

    fn by_the_library(collector: &impl Collector) -> String {
        let text = TextEncoder::new().encode_to_string(&collector.collect());
        text.unwrap()
    }

    fn ours<M: Series>(labels: &[&str], buckets: &'static [f64], set: impl Fn(&M)) -> String {
        let names = labels.iter().map(|&label| label.to_owned()).collect();
        let options = Opts::new("some_name", "Help.").variable_labels(names);
        let family = Family::new(options, buckets).unwrap();
        set(&family.with_label_values(&VALUES[..labels.len()]));
        let mut text = String::new();
        family.write(&mut text);
        text
    }

    #[test]
    fn counters_and_gauges_are_written_as_by_the_library() {
        let options = || Opts::new("some_name", "Help.");
        let counters = IntCounterVec::new(options(), &LABELS).unwrap();
        counters.with_label_values(&VALUES).inc_by(12_345_678_901);
        let count = |counter: &IntCounter| counter.inc_by(12_345_678_901);
        assert_eq!(ours(&LABELS, &[], count), by_the_library(&counters));

        let gauge = IntGauge::with_opts(options()).unwrap();
        gauge.set(-7);
        let set = |gauge: &IntGauge| gauge.set(-7);
        assert_eq!(ours(&[], &[], set), by_the_library(&gauge));

        for value in [0.0, 0.37, 1e21, f64::INFINITY, f64::NAN] {
            let gauges = GaugeVec::new(options(), &LABELS).unwrap();
            gauges.with_label_values(&VALUES).set(value);
            let set = |gauge: &Gauge| gauge.set(value);
            assert_eq!(ours(&LABELS, &[], set), by_the_library(&gauges));
        }
    }

    #[test]
    fn histograms_are_written_as_by_the_library() {
        const BUCKETS: &[f64] = &[0.0005, 0.1, 1.0, 604_800.0];
        let observe = |histogram: &Histogram| {
            let values = [0.0001, 0.7, 0.8, 1e9];
            values.iter().for_each(|&value| histogram.observe(value));
        };
        let options = HistogramOpts::new("some_name", "Help.").buckets(BUCKETS.to_vec());
        for labels in [&LABELS[..], &[]] {
            let histograms = HistogramVec::new(options.clone(), labels).unwrap();
            observe(&histograms.with_label_values(&VALUES[..labels.len()]));
            assert_eq!(ours(labels, BUCKETS, observe), by_the_library(&histograms));
        }
    }
}
