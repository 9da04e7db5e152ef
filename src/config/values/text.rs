//! Plain text and booleans.

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::{FromScalar, FromText};
use crate::config::tree::{Kind, Scalar};

/// Any text.
impl FromText for String {
    type Value = Self;

    const WANTED: &'static str = "text";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        Ok(text.to_owned())
    }

    fn not_text(scalar: &Scalar) -> Option<Complaint> {
        let is_value = scalar.kind != Kind::Null;
        // Not quoted: YAML has made another text of `1.10` or `0x1F`.
        is_value.then(|| "must be text; write it in quotes".into())
    }
}

impl FromScalar for bool {
    type Value = Self;

    const WANTED: &'static str = "`true` or `false`";

    fn written() -> Vec<Value> {
        vec![json!({ "type": "boolean" })]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        scalar.as_boolean().map(Ok)
    }
}
