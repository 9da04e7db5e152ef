//! Whole numbers within bounds.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::num::{NonZeroU32, NonZeroUsize};

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::Scalar;

/// A whole number from `LEAST` to `MOST`, which a `T` can hold.
pub(in crate::config) struct Whole<T, const LEAST: u32, const MOST: u32>(PhantomData<T>);

/// What a whole number is read as; an `Option` is `None` for 0.
pub(in crate::config) trait Number: Sized {
    /// `None` where the type cannot hold the number.
    fn of(number: u32) -> Option<Self>;
}

macro_rules! numbers {
    ($($type:ty: |$number:ident| $of:expr;)*) => {$(
        impl Number for $type {
            fn of($number: u32) -> Option<Self> {
                $of
            }
        }
    )*};
}

numbers! {
    u16: |number| u16::try_from(number).ok();
    u32: |number| Some(number);
    usize: |number| usize::try_from(number).ok();
    Option<NonZeroU32>: |number| Some(NonZeroU32::new(number));
    Option<NonZeroUsize>: |number| usize::try_from(number).ok().map(NonZeroUsize::new);
}

impl<T: Number, const LEAST: u32, const MOST: u32> FromScalar for Whole<T, LEAST, MOST> {
    type Value = T;

    const WANTED: &'static str = "a whole number";

    fn wanted() -> Cow<'static, str> {
        format!("a whole number from {LEAST} to {MOST}").into()
    }

    fn written() -> Vec<Value> {
        vec![json!({ "type": "integer", "minimum": LEAST, "maximum": MOST })]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<T, Complaint>> {
        let number = scalar.as_number()?.parse().ok();
        let number = number.filter(|number| (LEAST..=MOST).contains(number));
        let complaint = || format!("must be {}", Self::wanted()).into();
        Some(number.and_then(T::of).ok_or_else(complaint))
    }
}

/// A number of workers; `auto` is read as `None`.
pub(in crate::config) enum Workers {}

impl Workers {
    const MOST: usize = 1024;
}

impl FromScalar for Workers {
    type Value = Option<NonZeroUsize>;

    const WANTED: &'static str = "`auto` or a number of workers";

    fn written() -> Vec<Value> {
        let number = json!({ "type": "integer", "minimum": 1, "maximum": Self::MOST });
        vec![json!({ "const": "auto" }), number]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self::Value, Complaint>> {
        if scalar.text == "auto" {
            return Some(Ok(None));
        }
        let number: Option<usize> = scalar.as_number()?.parse().ok();
        let number = number
            .filter(|number| *number <= Self::MOST)
            .and_then(NonZeroUsize::new);
        let complaint = || format!("must be `auto` or a number from 1 to {}", Self::MOST).into();
        Some(number.map(Some).ok_or_else(complaint))
    }
}
