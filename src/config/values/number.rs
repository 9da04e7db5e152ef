//! Whole numbers within bounds.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::Scalar;

/// A whole number from `LEAST` to `MOST`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct Whole<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> Whole<LEAST, MOST> {
    /// The number.
    pub(in crate::config) fn number(self) -> u32 {
        self.0
    }

    /// The number as a count of things in memory.
    pub(in crate::config) fn count(self) -> usize {
        self.0 as usize
    }
}

impl<const LEAST: u32, const MOST: u32> FromScalar for Whole<LEAST, MOST> {
    const WANTED: &'static str = "a whole number";

    fn wanted() -> Cow<'static, str> {
        format!("a whole number from {LEAST} to {MOST}").into()
    }

    fn written() -> Vec<Value> {
        vec![json!({ "type": "integer", "minimum": LEAST, "maximum": MOST })]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        let digits = scalar.as_number()?;
        let number = digits
            .parse()
            .ok()
            .filter(|number| (LEAST..=MOST).contains(number));
        let complaint = || format!("must be {}", Self::wanted()).into();
        Some(number.map(Self).ok_or_else(complaint))
    }
}

/// A number of workers; `None` stands for `auto`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in crate::config) struct Workers(pub(in crate::config) Option<NonZeroUsize>);

impl Workers {
    const MOST: usize = 1024;
}

impl FromScalar for Workers {
    const WANTED: &'static str = "`auto` or a number of workers";

    fn written() -> Vec<Value> {
        let number = json!({ "type": "integer", "minimum": 1, "maximum": Self::MOST });
        vec![json!({ "const": "auto" }), number]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        if scalar.text == "auto" {
            return Some(Ok(Self(None)));
        }
        let number: Option<usize> = scalar.as_number()?.parse().ok();
        let number = number
            .filter(|number| *number <= Self::MOST)
            .and_then(NonZeroUsize::new);
        let complaint = || format!("must be `auto` or a number from 1 to {}", Self::MOST).into();
        Some(
            number
                .map(|number| Self(Some(number)))
                .ok_or_else(complaint),
        )
    }
}
