//! Limits that may be none: a bare `0`, or a value such as any other of its kind.

use serde_json::{Value, json};

use super::{Duration, Size};
use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::Scalar;

/// What limits something, unless it is 0.
pub(in crate::config) trait Limit: FromScalar {
    /// What may be written, in words that follow "must be".
    const WANTED_OR_NONE: &'static str;

    /// Whether it limits nothing.
    fn is_zero(&self) -> bool;
}

/// A limit, or none where the file says 0, with or without a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct OrNone<T>(pub(in crate::config) Option<T>);

impl<T: Limit> FromScalar for OrNone<T> {
    const WANTED: &'static str = T::WANTED_OR_NONE;

    fn written() -> Vec<Value> {
        [vec![json!({ "const": 0 })], T::written()].concat()
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        if scalar.as_number() == Some("0") {
            return Some(Ok(Self(None)));
        }
        let limit = T::from_scalar(scalar)?;
        Some(limit.map(|limit| Self((!limit.is_zero()).then_some(limit))))
    }
}

impl Limit for Duration {
    const WANTED_OR_NONE: &'static str = "a duration such as `5s`, or 0 for none";

    fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

impl Limit for Size {
    const WANTED_OR_NONE: &'static str = "a size such as `64KiB`, or 0 for none";

    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}
