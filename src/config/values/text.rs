//! Plain text, truth values, paths of files.

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::{FromScalar, FromText, text};
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

/// The path of a file, relative to the directory of the configuration.
pub(in crate::config) enum FilePath {}

impl FromText for FilePath {
    type Value = String;

    const WANTED: &'static str = "the path of a file";

    fn from_text(text: &str) -> Result<String, Complaint> {
        if text.is_empty() || text.contains('\0') {
            return Err("the path is empty or holds a zero byte".into());
        }
        Ok(text.to_owned())
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
