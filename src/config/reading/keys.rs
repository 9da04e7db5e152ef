//! Maps with known keys.

use super::foreign::translated;
use super::{At, FromNode, Placed, Reader, Setting, place_of, shortened};
use crate::config;
use crate::config::problems::{Complaint, Place, nearest};
use crate::config::tree::Pair;

/// A map with known keys, from which one after the other is taken.
pub(in crate::config) struct Keys<'n> {
    place: Place,
    pairs: Vec<&'n Pair>,
    known: Vec<&'static str>,
}

impl<'n> Keys<'n> {
    pub(in crate::config) fn open(at: &At<'n>, reader: &mut Reader<'_>) -> Option<Self> {
        let pairs = reader.pairs(at)?;
        Some(Self {
            place: at.place.clone(),
            pairs,
            known: Vec::new(),
        })
    }

    /// Reads the value of a key.
    pub(in crate::config) fn take<T: FromNode>(
        &mut self,
        key: &'static str,
        reader: &mut Reader<'_>,
    ) -> Setting<T::Value> {
        // Rust's keyword `match` is written `r#match` as a field.
        let key = key.trim_start_matches("r#");
        self.known.push(key);
        let Some(found) = self.pairs.iter().position(|pair| pair.key == key) else {
            return Setting::Absent;
        };
        let pair = self.pairs.swap_remove(found);
        if pair.value.is_null() && !T::TAKES_NULL {
            return Setting::Absent;
        }
        let at = At {
            node: &pair.value,
            place: place_of(pair, key, &self.place),
        };
        match T::read(&at, reader) {
            Some(value) => Setting::Given(Placed {
                value,
                place: at.place,
            }),
            None => Setting::Invalid,
        }
    }

    /// Notes every key that was not taken; the map is called `name` in the schema.
    pub(in crate::config) fn close(self, name: &str, reader: &mut Reader<'_>) {
        for pair in self.pairs {
            let place = self.place.key(pair.key_id, &shortened(&pair.key));
            reader.findings.add_with(&place, || Complaint {
                message: "unknown key".to_owned(),
                suggestion: nested(&pair.key, &self.known)
                    .or_else(|| translated(&pair.key, &self.known))
                    .or_else(|| nearest(&pair.key, self.known.iter().copied()))
                    .or_else(|| elsewhere(name, &pair.key)),
            });
        }
    }
}

/// How a path such as `log.level`, as documents and messages write it, is written in a file.
fn nested(path: &str, known: &[&str]) -> Option<String> {
    /// No path of keys is longer.
    const LONGEST: usize = 64;
    let keys: Vec<&str> = path.split('.').collect();
    let is_key = |key: &&str| {
        !key.is_empty()
            && key
                .bytes()
                .all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let is_path = path.len() <= LONGEST && keys.len() > 1 && keys.iter().all(is_key);
    (is_path && known.contains(&keys[0])).then(|| {
        let closing = " }".repeat(keys.len() - 1);
        format!("{}: …{closing}", keys.join(": { "))
    })
}

/// The path of a key of a map other than the one called `name`: from that map if it is below; from the top if it is in one
/// place only, and not too far below.
fn elsewhere(name: &str, key: &str) -> Option<String> {
    let definitions = config::definitions();
    let below = definitions.find(name, key).into_iter().next();
    below.or_else(|| match &definitions.find("File", key)[..] {
        [only] if only.split('.').count() <= 3 => Some(only.clone()),
        _ => None,
    })
}

/// Declares a map of the configuration: its keys, the kind of each, and its description in the JSON Schema. The only
/// place where a key has to be declared. The schema demands all keys of one of the groups behind `needs`.
macro_rules! keys {
    ($(
        #[doc = $about:literal]
        $name:ident $(needs [$([$($needed:literal),*]),*])? {
            $(#[doc = $key_about:literal] $key:ident: $kind:ty,)*
        }
    )*) => {$(
        #[doc = $about]
        #[derive(Default, Debug)]
        pub(in crate::config) struct $name {
            $(#[doc = $key_about] pub(in crate::config) $key: $crate::config::reading::Setting<
                <$kind as $crate::config::reading::FromNode>::Value,
            >,)*
        }

        impl $crate::config::reading::FromNode for $name {
            type Value = Self;

            fn read(
                at: &$crate::config::reading::At<'_>,
                reader: &mut $crate::config::reading::Reader<'_>,
            ) -> Option<Self> {
                let mut keys = $crate::config::reading::Keys::open(at, reader)?;
                let read = Self { $($key: keys.take::<$kind>(stringify!($key), reader),)* };
                keys.close(stringify!($name), reader);
                Some(read)
            }

            fn forms(
                definitions: &mut $crate::config::reading::Definitions,
            ) -> Vec<serde_json::Value> {
                let keys = vec![$((
                    stringify!($key).trim_start_matches("r#"),
                    $key_about.trim(),
                    $crate::config::reading::written::<$kind>(definitions),
                )),*];
                definitions.add(stringify!($name), $about.trim(), keys, &[$($(&[$($needed),*]),*)?]);
                vec![serde_json::json!({ "$ref": concat!("#/$defs/", stringify!($name)) })]
            }
        }
    )*};
}
pub(in crate::config) use keys;
