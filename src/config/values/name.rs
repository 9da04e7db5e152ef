//! Names that the operator gives; they become metric labels and words of log lines.

use serde_json::Value;

use crate::config::problems::Complaint;
use crate::config::reading::{FromScalar, text};
use crate::config::tree::{Scalar, quote};

/// The rule as a regular expression, for the JSON Schema.
pub(in crate::config) const PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$";

/// Checks the rule.
pub(in crate::config) fn check(name: &str) -> Result<(), Complaint> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if begins_well && name.len() <= 63 && name.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(format!(
        "{} is not a name: at most 63 letters, digits, `_`, `.` and `-`, a letter or digit first",
        quote(name)
    )
    .into())
}

/// A name that is the value of a key.
pub(in crate::config) enum GivenName {}

impl FromScalar for GivenName {
    type Value = String;

    const WANTED: &'static str = "a name of at most 63 letters, digits, `_`, `.` and `-`";

    fn written() -> Vec<Value> {
        vec![text("a name", PATTERN)]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<String, Complaint>> {
        let read = String::from_scalar(scalar)?;
        Some(read.and_then(|name| check(&name).map(|()| name)))
    }
}
