//! Counters that are told apart by one closed enumeration.

use prometheus::IntCounter;

use super::family::Family;

/// The counters of a family's last label, one for each of its values, all there from the start.
pub(super) struct Enumerated {
    counters: Box<[(&'static str, IntCounter)]>,
}

impl Enumerated {
    /// Resolves `fixed`, the values of the other labels, with each of `values`.
    pub(super) fn new(
        family: &Family<IntCounter>,
        fixed: &[&str],
        values: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let counter = |value| family.with_label_values(&[fixed, &[value]].concat());
        Self {
            counters: values
                .into_iter()
                .map(|value| (value, counter(value)))
                .collect(),
        }
    }

    /// Counts one of the values that the family was made with.
    pub(super) fn increment(&self, value: &'static str) {
        self.add(value, 1);
    }

    /// As [`Enumerated::increment`], `count` times.
    pub(super) fn add(&self, value: &'static str, count: u64) {
        if count == 0 {
            return;
        }
        let counter = self.counters.iter().find(|(known, _)| *known == value);
        debug_assert!(counter.is_some(), "{value} is no value of this label");
        if let Some((_, counter)) = counter {
            counter.inc_by(count);
        }
    }

    /// Takes the series out of `family`.
    pub(super) fn remove(&self, family: &Family<IntCounter>, fixed: &[&str]) {
        for (value, _) in &self.counters {
            family.remove_label_values(&[fixed, &[value]].concat());
        }
    }
}
