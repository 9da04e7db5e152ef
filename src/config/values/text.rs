//! Plain text and booleans.

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::{FromScalar, text};
use crate::config::tree::{Kind, Scalar};

/// Any text.
impl FromScalar for String {
    type Value = Self;

    const WANTED: &'static str = "text";

    fn written() -> Vec<Value> {
        vec![text(Self::WANTED, "")]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        match scalar.kind {
            Kind::Text | Kind::Expanded => Some(Ok(scalar.text.clone())),
            Kind::Number | Kind::Boolean => Some(Err(format!(
                "must be text; write it in quotes: \"{}\"",
                scalar.text
            )
            .into())),
            Kind::Null => None,
        }
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
