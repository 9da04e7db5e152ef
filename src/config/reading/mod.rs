//! From the tree to the schema's types: unknown keys, duplicate keys and wrong types are found here.
//!
//! Reading never stops at a problem: it is noted once, and its setting becomes [`Setting::Invalid`], which later steps
//! skip silently.

mod definitions;
mod foreign;
mod keys;
mod named;
mod setting;

use std::borrow::Cow;
use std::collections::HashSet;
use std::marker::PhantomData;
use std::path::Path;

use serde_json::{Value, json};

pub(in crate::config) use definitions::{Definitions, text, written};
pub(in crate::config) use keys::{Keys, keys};
pub(in crate::config) use named::{Entry, Named};
pub(in crate::config) use setting::{Placed, Setting};

use super::environment::{self, Environment};
use super::problems::{Complaint, Findings, Place};
use super::tree::{self, Kind, Node, Pair, Scalar, quote};

/// A node and its place.
pub(in crate::config) struct At<'n> {
    pub(in crate::config) node: &'n Node,
    pub(in crate::config) place: Place,
}

impl<'n> At<'n> {
    /// The file as a whole.
    pub(in crate::config) fn root(node: &'n Node) -> Self {
        Self {
            node,
            place: Place::default(),
        }
    }
}

/// A kind of value, by how it is written. Many kinds are only words for the schema, and what is read is a plain type:
/// a `Timeout` is written `5s` and read as a `Duration`.
pub(in crate::config) trait FromNode {
    /// What is read.
    type Value;

    /// Whether null is a value; otherwise it is the same as no key.
    const TAKES_NULL: bool = false;

    /// Reads a node; `None` when the problem has been noted.
    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self::Value>;

    /// JSON Schemas, one of which matches what may be written; maps with known keys are added to `definitions`.
    fn forms(definitions: &mut Definitions) -> Vec<Value>;
}

/// A kind that is written as a single value.
pub(in crate::config) trait FromScalar {
    /// What is read.
    type Value;

    /// What a value must be, in words that follow "must be".
    const WANTED: &'static str;

    /// The same, where it depends on the type's parameters.
    fn wanted() -> Cow<'static, str> {
        Self::WANTED.into()
    }

    /// JSON Schemas, one of which matches what may be written.
    fn written() -> Vec<Value>;

    /// `None` where the scalar is of the wrong kind, an error where it is of the right kind but wrong.
    fn from_scalar(scalar: &Scalar) -> Option<Result<Self::Value, Complaint>>;

    /// Makes relative paths in a value absolute; they begin at the directory of the configuration.
    fn below(_directory: &Path, value: Self::Value) -> Result<Self::Value, Complaint> {
        Ok(value)
    }
}

/// A kind that is written as text.
pub(in crate::config) trait FromText {
    /// What is read.
    type Value;

    /// As [`FromScalar::WANTED`].
    const WANTED: &'static str;
    /// The rule as a regular expression, as far as one can express it.
    const PATTERN: &'static str = "";

    /// Reads it.
    fn from_text(text: &str) -> Result<Self::Value, Complaint>;

    /// What is wrong with a number or a boolean; `None` where `WANTED` says enough.
    fn not_text(_scalar: &Scalar) -> Option<Complaint> {
        None
    }

    /// As [`FromScalar::below`].
    fn below(_directory: &Path, value: Self::Value) -> Result<Self::Value, Complaint> {
        Ok(value)
    }
}

impl<T: FromText> FromScalar for T {
    type Value = <T as FromText>::Value;

    const WANTED: &'static str = <T as FromText>::WANTED;

    fn written() -> Vec<Value> {
        vec![text(T::WANTED, T::PATTERN)]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self::Value, Complaint>> {
        match scalar.as_text() {
            Some(text) => Some(T::from_text(text)),
            None => T::not_text(scalar).map(Err),
        }
    }

    fn below(directory: &Path, value: Self::Value) -> Result<Self::Value, Complaint> {
        <T as FromText>::below(directory, value)
    }
}

impl<T: FromScalar> FromNode for T {
    type Value = <T as FromScalar>::Value;

    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let tree::Value::Scalar(written) = &at.node.value else {
            return reader.refuse_kind(at, &T::wanted());
        };
        let scalar = reader.expand(at, written)?;
        match T::from_scalar(&scalar) {
            Some(Ok(value)) => match T::below(reader.directory, value) {
                Ok(value) => Some(value),
                Err(complaint) => reader.refuse(at, complaint),
            },
            // A value from the environment may be a secret, so it is not quoted.
            Some(Err(_)) | None if scalar.kind == Kind::Expanded => {
                let message = format!("must be {}; what the environment gives is not", T::wanted());
                reader.refuse(at, message)
            }
            Some(Err(complaint)) => reader.refuse(at, complaint),
            None => reader.refuse_kind(at, &T::wanted()),
        }
    }

    /// Any value may come from the environment, and is written as a string then.
    fn forms(_: &mut Definitions) -> Vec<Value> {
        let variable = json!({ "type": "string", "pattern": r"\$\{" });
        [T::written(), vec![variable]].concat()
    }
}

impl<T: FromNode> FromNode for Vec<Placed<T>> {
    type Value = Vec<Placed<T::Value>>;

    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        Each::<T>::read(at, reader)?.into_iter().collect()
    }

    fn forms(definitions: &mut Definitions) -> Vec<Value> {
        let items = json!({ "anyOf": T::forms(definitions) });
        vec![json!({ "type": "array", "items": items })]
    }
}

/// A list whose items are checked further, against one another or for missing keys. `None` stands for an invalid item, so
/// that the problems of the others are told in the same run.
pub(in crate::config) struct Each<T>(PhantomData<T>);

/// What is read of such a list.
pub(in crate::config) type Items<V> = Vec<Option<Placed<V>>>;

impl<T: FromNode> FromNode for Each<T> {
    type Value = Items<T::Value>;

    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        let tree::Value::List(items) = &at.node.value else {
            return reader.refuse_kind(at, "a list");
        };
        let items = items.iter().enumerate().map(|(index, node)| {
            let place = at.place.item(node.id, index);
            let at = At { node, place };
            let value = T::read(&at, reader)?;
            Some(Placed {
                value,
                place: at.place,
            })
        });
        Some(items.collect())
    }

    fn forms(definitions: &mut Definitions) -> Vec<Value> {
        Vec::<Placed<T>>::forms(definitions)
    }
}

/// A default that null turns off.
pub(in crate::config) struct OrNull<T>(PhantomData<T>);

impl<T: FromNode> FromNode for OrNull<T> {
    type Value = Option<T::Value>;

    const TAKES_NULL: bool = true;

    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        if at.node.is_null() {
            return Some(None);
        }
        T::read(at, reader).map(Some)
    }

    fn forms(definitions: &mut Definitions) -> Vec<Value> {
        [T::forms(definitions), vec![definitions::null()]].concat()
    }
}

/// What restricts. Left empty it would do the opposite, and is more often forgotten than meant.
pub(in crate::config) struct NotEmpty<T>(PhantomData<T>);

impl<T: FromNode> FromNode for NotEmpty<T> {
    type Value = T::Value;

    const TAKES_NULL: bool = true;

    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        if at.node.is_null() {
            return reader.refuse(at, "is empty: say what holds, or leave the key out");
        }
        T::read(at, reader)
    }

    fn forms(definitions: &mut Definitions) -> Vec<Value> {
        T::forms(definitions)
    }
}

/// A kind that is written as a single value, or as a map.
#[derive(Debug)]
pub(in crate::config) enum ScalarOrMap<S, M> {
    Scalar(S),
    Map(Box<M>),
}

impl<S: FromNode, M: FromNode> FromNode for ScalarOrMap<S, M> {
    type Value = ScalarOrMap<S::Value, M::Value>;

    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self::Value> {
        match &at.node.value {
            tree::Value::Map(_) => M::read(at, reader).map(|map| ScalarOrMap::Map(Box::new(map))),
            tree::Value::Scalar(_) | tree::Value::List(_) => {
                S::read(at, reader).map(ScalarOrMap::Scalar)
            }
        }
    }

    fn forms(definitions: &mut Definitions) -> Vec<Value> {
        [S::forms(definitions), M::forms(definitions)].concat()
    }
}

/// What reading a file needs, and the problems that it found.
pub(in crate::config) struct Reader<'r> {
    /// Where relative paths begin.
    directory: &'r Path,
    environment: Environment<'r>,
    pub(in crate::config) findings: Findings,
}

impl<'r> Reader<'r> {
    pub(in crate::config) fn new(directory: &'r Path, environment: Environment<'r>) -> Self {
        Self {
            directory,
            environment,
            findings: Findings::default(),
        }
    }

    /// Notes what is wrong with a node.
    pub(in crate::config) fn refuse<T>(
        &mut self,
        at: &At<'_>,
        complaint: impl Into<Complaint>,
    ) -> Option<T> {
        self.findings.add(&at.place, complaint);
        None
    }

    /// Notes that a node is of the wrong kind.
    pub(in crate::config) fn refuse_kind<T>(&mut self, at: &At<'_>, wanted: &str) -> Option<T> {
        self.refuse(at, format!("must be {wanted}, not {}", at.node.describe()))
    }

    /// A scalar with the values of variables put in.
    fn expand<'n>(&mut self, at: &At<'_>, scalar: &'n Scalar) -> Option<Cow<'n, Scalar>> {
        match environment::expand(&scalar.text, self.environment) {
            Ok(None) => Some(Cow::Borrowed(scalar)),
            Ok(Some(text)) => Some(Cow::Owned(Scalar::new(Kind::Expanded, text))),
            Err(message) => self.refuse(at, message),
        }
    }

    /// The entries of a map; duplicate keys are noted and left out.
    fn pairs<'n>(&mut self, at: &At<'n>) -> Option<Vec<&'n Pair>> {
        let tree::Value::Map(pairs) = &at.node.value else {
            return self.refuse_kind(at, "a map");
        };
        if let Some(merge) = pairs.iter().find(|pair| pair.key == "<<") {
            let message = "merge keys have no meaning here: write the keys out, or repeat a whole map by an alias";
            self.findings
                .add(&at.place.key(merge.key_id, "<<"), message);
            return None;
        }
        let mut seen = HashSet::new();
        let (first, repeated): (Vec<_>, Vec<_>) = pairs
            .iter()
            .partition(|pair| seen.insert(pair.key.as_str()));
        for pair in repeated {
            let place = at.place.key(pair.key_id, &shortened(&pair.key));
            self.findings.add(&place, "duplicate key");
        }
        Some(first)
    }
}

/// A key as a part of a path, cut if it is long.
fn shortened(key: &str) -> String {
    quote(key).trim_matches('`').to_owned()
}

/// The place of a value in a map: its own if it is a scalar, else that of its key, which paths show as `key`.
fn place_of(pair: &Pair, key: &str, above: &Place) -> Place {
    let id = match &pair.value.value {
        tree::Value::Scalar(scalar) if scalar.kind != Kind::Null => pair.value.id,
        tree::Value::Scalar(_) | tree::Value::List(_) | tree::Value::Map(_) => pair.key_id,
    };
    above.key(id, key)
}
