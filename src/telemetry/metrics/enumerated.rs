//! Counters by one label with a closed set of values.

use prometheus::IntCounter;

use super::family::Family;

/// One counter for each value of a family's last label, all created at the start.
pub(super) struct Enumerated {
    counters: Box<[(&'static str, IntCounter)]>,
}

impl Enumerated {
    /// Creates a counter for each of `values`; `fixed` are the values of the other labels.
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

    /// Increments the counter of `value`.
    pub(super) fn increment(&self, value: &'static str) {
        self.add(value, 1);
    }

    /// Adds `count` to the counter of `value`.
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
}
