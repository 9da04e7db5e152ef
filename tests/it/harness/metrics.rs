//! A scrape, read.

use std::collections::BTreeMap;

/// One scrape in Prometheus' text format.
pub(crate) struct Metrics(Vec<Sample>);

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads a scrape.
    pub(crate) fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        Self(samples.map(Sample::read).collect())
    }

    /// The sum over the series of `name` that have these labels; none where no series has them.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fitting = self.0.iter().filter(|sample| sample.fits(name, labels));
        fitting
            .map(|sample| sample.value)
            .reduce(|sum, one| sum + one)
    }

    /// Every value that `label` has in the series of `name`.
    pub(crate) fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        let of_name = self.0.iter().filter(|sample| sample.name == name);
        let values = of_name.filter_map(|sample| sample.labels.get(label));
        let mut values: Vec<&str> = values.map(String::as_str).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// Every label value of every series, with the name of the series.
    pub(crate) fn all_label_values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(Sample::label_values)
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.trim_end_matches('}')),
            None => (series, ""),
        };
        // No label value of ours holds a comma or a quote.
        let label = |label: &str| {
            let (name, value) = label.split_once('=').expect("a label has a value");
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        let labels = labels.split(',').filter(|label| !label.is_empty());
        Self {
            name: name.to_owned(),
            labels: labels.map(label).collect(),
            value: value.parse().expect("a value is a number"),
        }
    }

    fn label_values(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = self.labels.values();
        values.map(|value| (self.name.as_str(), value.as_str()))
    }

    fn fits(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let has = |(label, value): &(&str, &str)| {
            self.labels.get(*label).is_some_and(|found| found == value)
        };
        self.name == name && labels.iter().all(has)
    }
}
