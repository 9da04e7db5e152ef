//! Header fields on their way to a backend: as a list that is only written out, or as the map that hyper takes.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields in their order, repeated ones included. A head has some hundred at most, and few names are looked for: going through
/// all of them costs less than a table would.
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
    /// An empty one with room for some.
    fn with_room_for(count: usize) -> Self;

    /// Puts a field behind the others.
    fn add(&mut self, name: HeaderName, value: HeaderValue);

    /// The values of all fields with this name.
    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue>;

    /// Removes all fields with this name.
    fn delete(&mut self, name: &HeaderName);

    /// Puts one field in the place of all with this name.
    fn replace(&mut self, name: HeaderName, value: HeaderValue);
}

impl Fields for FieldList {
    fn with_room_for(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue> {
        let fields = self.0.iter().filter(move |(given, _)| given == name);
        fields.map(|(_, value)| value)
    }

    fn delete(&mut self, name: &HeaderName) {
        self.0.retain(|(given, _)| given != name);
    }

    fn replace(&mut self, name: HeaderName, value: HeaderValue) {
        self.delete(&name);
        self.add(name, value);
    }
}

impl Fields for HeaderMap {
    fn with_room_for(count: usize) -> Self {
        Self::with_capacity(count)
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.append(name, value);
    }

    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue> {
        self.get_all(name).iter()
    }

    fn delete(&mut self, name: &HeaderName) {
        self.remove(name);
    }

    fn replace(&mut self, name: HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }
}
