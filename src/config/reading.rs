//! From the tree to the schema's types: unknown keys, duplicate keys and wrong types are found here.
//!
//! Reading never stops at a problem: what is wrong is noted once and its setting becomes
//! [`Setting::Invalid`], which everybody after that passes over in silence.

use std::borrow::Cow;
use std::collections::HashSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::environment::{self, Environment};
use super::model::Name;
use super::problems::{Complaint, Findings, Place};
use super::tree::{Kind, Node, Pair, Scalar, Value, quote};
use super::values::name;

/// What reading a file needs to know and what it has found.
pub(super) struct Reader<'e> {
    pub(super) environment: Environment<'e>,
    pub(super) findings: Findings,
}

/// A node and its place.
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    pub(super) place: Place,
}

/// What can be read from a node; `None` when the problem has been noted.
pub(super) trait FromNode: Sized {
    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self>;
}

/// What can be read from a single value.
pub(super) trait FromScalar: Sized {
    /// What a value must be, in words that follow "must be".
    const WANTED: &'static str;

    /// `None` where the scalar is of the wrong kind, an error where it is of the right kind but wrong.
    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>>;
}

impl<T: FromScalar> FromNode for T {
    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::Scalar(written) = &at.node.value else {
            return reader.refuse_kind(at, T::WANTED);
        };
        let scalar = reader.expand(at, written)?;
        match T::from_scalar(&scalar) {
            Some(Ok(value)) => Some(value),
            // What the environment holds may be a secret: it is not told.
            Some(Err(_)) | None if scalar.kind == Kind::Expanded => {
                let message = format!("must be {}; what the environment gives is not", T::WANTED);
                reader.refuse(at, message)
            }
            Some(Err(complaint)) => reader.refuse(at, complaint),
            None => reader.refuse_kind(at, T::WANTED),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What the file says for a key.
#[derive(Default, Debug)]
pub(super) enum Setting<T> {
    /// Nothing, or null.
    #[default]
    Absent,
    /// Something that is wrong and has been noted.
    Invalid,
    /// This.
    Given(Placed<T>),
}

impl<T> Setting<T> {
    /// The value with its place, where it is given and sound.
    pub(super) fn given(&self) -> Option<&Placed<T>> {
        match self {
            Self::Given(placed) => Some(placed),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// Where it is given, if it is sound.
    pub(super) fn place(&self) -> Option<&Place> {
        self.given().map(|placed| &placed.place)
    }

    /// The value with its place, where it is given and sound.
    pub(super) fn placed(self) -> Option<Placed<T>> {
        match self {
            Self::Given(placed) => Some(placed),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// The value, or what holds where the file says nothing; `None` where it says something wrong.
    pub(super) fn sound(self, default: impl FnOnce() -> T) -> Option<T> {
        match self {
            Self::Given(placed) => Some(placed.value),
            Self::Absent => Some(default()),
            Self::Invalid => None,
        }
    }

    /// The value, where it is given and sound.
    pub(super) fn value(self) -> Option<T> {
        self.placed().map(|placed| placed.value)
    }

    /// The value, or what holds where the file says nothing.
    pub(super) fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    /// This setting, or the other where the file says nothing here.
    pub(super) fn or_inherit(self, inherited: &Self) -> Self
    where
        T: Clone,
    {
        match (self, inherited) {
            (Self::Absent, Self::Given(placed)) => Self::Given(placed.clone()),
            (Self::Absent, Self::Invalid) => Self::Invalid,
            (own, _) => own,
        }
    }

    /// The value, noting a problem at the holder where the file says nothing.
    pub(super) fn require(self, key: &str, holder: &Place, findings: &mut Findings) -> Option<T> {
        if matches!(self, Self::Absent) {
            findings.add(holder, format!("the key `{key}` is missing"));
        }
        self.value()
    }
}

impl<T: Default> Setting<T> {
    /// The value, or an empty one.
    pub(super) fn or_default(self) -> T {
        self.value().unwrap_or_default()
    }
}

/// In the JSON Schema every setting may be left out or null.
impl<T: JsonSchema> JsonSchema for Setting<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}

impl<'e> Reader<'e> {
    pub(super) fn new(environment: Environment<'e>) -> Self {
        Self {
            environment,
            findings: Findings::default(),
        }
    }

    /// Notes what is wrong with a node.
    pub(super) fn refuse<T>(&mut self, at: &At<'_>, complaint: impl Into<Complaint>) -> Option<T> {
        self.findings.add(&at.place, complaint);
        None
    }

    /// Notes that a node is of the wrong kind.
    pub(super) fn refuse_kind<T>(&mut self, at: &At<'_>, wanted: &str) -> Option<T> {
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
        let Value::Map(pairs) = &at.node.value else {
            return self.refuse_kind(at, "a map");
        };
        let mut seen = HashSet::new();
        let (first, repeated): (Vec<_>, Vec<_>) = pairs
            .iter()
            .partition(|pair| seen.insert(pair.key.as_str()));
        for pair in repeated {
            let place = at.place.key(pair.key_id, &shortened(&pair.key));
            self.findings
                .add(&place, "the key stands here a second time");
        }
        Some(first)
    }
}

/// A key for a path; those of known keys and names are short anyway.
fn shortened(key: &str) -> String {
    quote(key).trim_matches('`').to_owned()
}

/// The place of a map's value: its own where it is a single value, else that of its key.
fn place_of(pair: &Pair, above: &Place) -> Place {
    let id = match &pair.value.value {
        Value::Scalar(scalar) if scalar.kind != Kind::Null => pair.value.id,
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => pair.key_id,
    };
    above.key(id, &pair.key)
}

/// A map with known keys, from which one after the other is taken.
pub(super) struct Keys<'n> {
    place: Place,
    pairs: Vec<&'n Pair>,
    known: Vec<&'static str>,
}

impl<'n> Keys<'n> {
    pub(super) fn open(at: &At<'n>, reader: &mut Reader<'_>) -> Option<Self> {
        let pairs = reader.pairs(at)?;
        Some(Self {
            place: at.place.clone(),
            pairs,
            known: Vec::new(),
        })
    }

    /// Reads the value of a key.
    pub(super) fn take<T: FromNode>(
        &mut self,
        key: &'static str,
        reader: &mut Reader<'_>,
    ) -> Setting<T> {
        // Rust's keyword `match` is written `r#match` as a field.
        let key = key.trim_start_matches("r#");
        self.known.push(key);
        let Some(found) = self.pairs.iter().position(|pair| pair.key == key) else {
            return Setting::Absent;
        };
        let pair = self.pairs.swap_remove(found);
        if pair.value.is_null() {
            return Setting::Absent;
        }
        let at = At {
            node: &pair.value,
            place: place_of(pair, &self.place),
        };
        match T::read(&at, reader) {
            Some(value) => Setting::Given(Placed {
                value,
                place: at.place,
            }),
            None => Setting::Invalid,
        }
    }

    /// Notes every key that nobody took.
    pub(super) fn close(self, reader: &mut Reader<'_>) {
        for pair in self.pairs {
            let place = self.place.key(pair.key_id, &shortened(&pair.key));
            let mut complaint = Complaint::from("unknown key");
            if !reader.findings.is_full() {
                complaint.suggestion =
                    Complaint::unknown("", &pair.key, self.known.iter().copied()).suggestion;
            }
            reader.findings.add(&place, complaint);
        }
    }
}

/// Declares a map of the configuration: its keys, what each takes, and what is said of it in the
/// JSON Schema. The only place where a key has to be made known.
macro_rules! keys {
    ($($(#[$about:meta])* $name:ident { $($(#[$key_about:meta])* $key:ident: $kind:ty,)* })*) => {$(
        $(#[$about])*
        #[derive(Default, Debug, schemars::JsonSchema)]
        #[schemars(default, deny_unknown_fields)]
        pub(in crate::config) struct $name {
            $($(#[$key_about])* pub(in crate::config) $key: $crate::config::reading::Setting<$kind>,)*
        }

        impl $crate::config::reading::FromNode for $name {
            fn read(
                at: &$crate::config::reading::At<'_>,
                reader: &mut $crate::config::reading::Reader<'_>,
            ) -> Option<Self> {
                let mut keys = $crate::config::reading::Keys::open(at, reader)?;
                let read = Self { $($key: keys.take(stringify!($key), reader),)* };
                keys.close(reader);
                Some(read)
            }
        }
    )*};
}
pub(super) use keys;

/// A map whose keys are names given by the operator, in the order of the file.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) Vec<Entry<T>>);

/// One named thing.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) name: Name,
    pub(super) place: Place,
    /// `None` where it is wrong as a whole, which has been noted; its name exists all the same.
    pub(super) value: Option<T>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: FromNode> FromNode for Named<T> {
    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let mut named = Vec::new();
        for pair in reader.pairs(at)? {
            if let Err(complaint) = name::check(&pair.key) {
                reader
                    .findings
                    .add(&at.place.key(pair.key_id, &shortened(&pair.key)), complaint);
                continue;
            }
            let at = At {
                node: &pair.value,
                place: place_of(pair, &at.place),
            };
            let value = T::read(&at, reader);
            named.push(Entry {
                name: pair.key.as_str().into(),
                place: at.place,
                value,
            });
        }
        Some(Self(named))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "propertyNames": { "pattern": name::PATTERN },
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

impl<T: FromNode> FromNode for Vec<Placed<T>> {
    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::List(items) = &at.node.value else {
            return reader.refuse_kind(at, "a list");
        };
        let mut list = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            let at = At {
                node,
                place: at.place.item(node.id, index),
            };
            let value = T::read(&at, reader);
            list.extend(value.map(|value| Placed {
                value,
                place: at.place,
            }));
        }
        (list.len() == items.len()).then_some(list)
    }
}

/// In the JSON Schema the place is not to be seen.
impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}
