//! Builds the JSON Schema from the forms of all kinds.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::FromNode;

/// The maps with known keys, by name.
#[derive(Default)]
pub(in crate::config) struct Definitions(Map<String, Value>);

/// A key of such a map: its name, its description, and what may be written.
type Key = (&'static str, &'static str, Written);

/// What may be written for a key.
pub(in crate::config) struct Written {
    forms: Vec<Value>,
    /// Whether `key:` without a value is the same as no key.
    null_is_no_key: bool,
}

/// What may be written for a key of this kind.
pub(in crate::config) fn written<T: FromNode>(definitions: &mut Definitions) -> Written {
    Written {
        forms: T::forms(definitions),
        null_is_no_key: !T::TAKES_NULL,
    }
}

impl Definitions {
    /// Adds a map; it needs all keys of one of the groups in `needed`.
    pub(in crate::config) fn add(
        &mut self,
        name: &str,
        about: &str,
        keys: Vec<Key>,
        needed: &[&[&str]],
    ) {
        let required = match needed {
            [only] => only,
            _ => &[][..],
        };
        let properties = keys.into_iter().map(|(key, about, written)| {
            let mut forms = written.forms;
            if written.null_is_no_key && !required.contains(&key) {
                forms.push(null());
            }
            (
                key.to_owned(),
                json!({ "description": about, "anyOf": forms }),
            )
        });
        let mut schema = json!({
            "description": about,
            "type": "object",
            "additionalProperties": false,
            "properties": properties.collect::<Map<_, _>>(),
            "required": required,
        });
        if needed.len() > 1 {
            let groups = needed.iter().map(|keys| json!({ "required": keys }));
            schema["anyOf"] = groups.collect();
        }
        self.0.insert(name.to_owned(), schema);
    }

    /// Where `key` is found below the map called `from`, as paths of keys, those with the fewest steps first.
    pub(in crate::config) fn find(&self, from: &str, key: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = VecDeque::from([(String::new(), from)]);
        while let Some((path, name)) = waiting.pop_front() {
            let keys = self
                .0
                .get(name)
                .and_then(|map| map["properties"].as_object());
            let Some(keys) = keys else { continue };
            if keys.contains_key(key) {
                found.push(format!("{path}{key}"));
            }
            let below = keys
                .iter()
                .flat_map(|(inner, schema)| maps_of(schema, format!("{path}{inner}.")));
            waiting.extend(below);
        }
        found
    }

    /// The schema of a file that is a map of this name.
    pub(in crate::config) fn schema(mut self, name: &str) -> Value {
        let mut schema = self.0.remove(name).unwrap_or_default();
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["$defs"] = self.0.into();
        schema
    }
}

/// The names of the maps that `schema` refers to, each with the path of the keys in it.
fn maps_of(schema: &Value, path: String) -> Vec<(String, &str)> {
    let forms = schema["anyOf"].as_array().into_iter().flatten();
    let maps = forms.flat_map(|form| {
        if let Some(reference) = form["$ref"].as_str() {
            let name = reference.trim_start_matches("#/$defs/");
            return vec![(path.clone(), name)];
        }
        let items = maps_of(&form["items"], path.clone());
        let named = maps_of(&form["additionalProperties"], format!("{path}NAME."));
        [items, named].concat()
    });
    maps.collect()
}

/// No value.
pub(in crate::config) fn null() -> Value {
    json!({ "type": "null" })
}

/// A text that fits a regular expression.
pub(in crate::config) fn text(about: &str, pattern: &str) -> Value {
    json!({ "type": "string", "description": about, "pattern": pattern })
}
