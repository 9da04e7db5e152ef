//! Plain text, truth values, paths of files.

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::{FromScalar, FromText, text};
use crate::config::tree::{Kind, Scalar};

/// Any text.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(in crate::config) struct Text(pub(in crate::config) String);

impl FromScalar for Text {
    const WANTED: &'static str = "text";

    fn written() -> Vec<Value> {
        vec![text(Self::WANTED, "")]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        match scalar.kind {
            Kind::Text | Kind::Expanded => Some(Ok(Self(scalar.text.clone()))),
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::config) struct FilePath(pub(in crate::config) String);

impl FromText for FilePath {
    const WANTED: &'static str = "the path of a file";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        if text.is_empty() || text.contains('\0') {
            return Err("the path is empty or holds a zero byte".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromScalar for bool {
    const WANTED: &'static str = "`true` or `false`";

    fn written() -> Vec<Value> {
        vec![json!({ "type": "boolean" })]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        scalar.as_boolean().map(Ok)
    }
}
