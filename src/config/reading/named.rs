//! Maps whose keys are names given by the operator.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{At, Definitions, FromNode, Reader, place_of, shortened};
use crate::config::model::Name;
use crate::config::problems::Place;
use crate::config::tree::Pair;
use crate::config::values::name;

/// A map whose keys are names given by the operator, in the order of the file.
#[derive(Debug)]
pub(in crate::config) struct Named<T>(pub(in crate::config) Vec<Entry<T>>);

/// One named thing.
#[derive(Debug)]
pub(in crate::config) struct Entry<T> {
    pub(in crate::config) name: Name,
    pub(in crate::config) place: Place,
    /// `None` if it is invalid as a whole, which has been noted; others may refer to its name nevertheless.
    pub(in crate::config) value: Option<T>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: FromNode> FromNode for Named<T> {
    type Value = Named<T::Value>;

    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let mut named = Vec::new();
        for pair in reader.pairs(at)? {
            let key = checked(pair, &at.place, reader);
            let at = At {
                node: &pair.value,
                place: place_of(pair, &key, &at.place),
            };
            named.push(Entry {
                name: Name::from(&*pair.key),
                value: T::read(&at, reader),
                place: at.place,
            });
        }
        Some(Named(named))
    }

    fn forms(definitions: &mut Definitions) -> Vec<Value> {
        let values = json!({ "anyOf": T::forms(definitions) });
        vec![json!({
            "type": "object",
            "propertyNames": { "pattern": name::PATTERN },
            "additionalProperties": values,
        })]
    }
}

/// The key as a part of a path. One that is no name is noted; what it names is read all the same, for its own problems.
fn checked<'p>(pair: &'p Pair, above: &Place, reader: &mut Reader<'_>) -> Cow<'p, str> {
    let Err(complaint) = name::check(&pair.key) else {
        return Cow::Borrowed(&pair.key);
    };
    let key = shortened(&pair.key);
    let place = above.key(pair.key_id, &key);
    reader.findings.add(&place, complaint);
    Cow::Owned(key)
}
