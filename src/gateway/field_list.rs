//! Header fields on their way to a backend: as a list that is only written out, or as the map that hyper takes.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields in their order, repeated ones included. There are some dozens at most, so looking through all of them for the few
/// that are removed costs less than a table for finding each.
#[derive(Debug)]
pub(super) struct FieldList(Vec<(HeaderName, HeaderValue)>);

impl FieldList {
    /// The fields in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }
}

/// A collection of fields.
pub(super) trait Fields {
    fn with_capacity(capacity: usize) -> Self;

    fn append(&mut self, name: HeaderName, value: HeaderValue);

    /// The values of all fields with this name.
    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue>;

    /// Removes all fields with this name, in any case.
    fn delete(&mut self, name: &str);

    /// Puts one field in the place of all with this name.
    fn replace(&mut self, name: HeaderName, value: HeaderValue);
}

impl Fields for FieldList {
    fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue> {
        let fields = self.0.iter().filter(move |(given, _)| given == name);
        fields.map(|(_, value)| value)
    }

    fn delete(&mut self, name: &str) {
        let is_other = |given: &HeaderName| !given.as_str().eq_ignore_ascii_case(name);
        self.0.retain(|(given, _)| is_other(given));
    }

    fn replace(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.retain(|(given, _)| *given != name);
        self.append(name, value);
    }
}

impl Fields for HeaderMap {
    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity(capacity)
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.append(name, value);
    }

    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue> {
        self.get_all(name).iter()
    }

    fn delete(&mut self, name: &str) {
        self.remove(name);
    }

    fn replace(&mut self, name: HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }
}
