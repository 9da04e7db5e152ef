//! Limits that may be none: a bare `0`, or a value such as any other of its kind.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::Scalar;

/// A limit, or `None` where the file says 0, with or without a unit.
pub(in crate::config) struct OrNone<T>(PhantomData<T>);

impl<T: FromScalar<Value: Default + PartialEq>> FromScalar for OrNone<T> {
    type Value = Option<T::Value>;

    const WANTED: &'static str = "a limit, or 0 for none";

    fn wanted() -> Cow<'static, str> {
        format!("{}, or 0 for none", T::wanted()).into()
    }

    fn written() -> Vec<Value> {
        [vec![json!({ "const": 0 })], T::written()].concat()
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self::Value, Complaint>> {
        if scalar.as_number() == Some("0") {
            return Some(Ok(None));
        }
        let limit = T::from_scalar(scalar)?;
        Some(limit.map(|limit| (limit != T::Value::default()).then_some(limit)))
    }
}
