//! What a health check asks for, and what it takes for an answer.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::{FromScalar, FromText, text};
use crate::config::tree::{Scalar, quote};

/// Path and query of a check's request.
pub(in crate::config) enum CheckPath {}

impl FromText for CheckPath {
    type Value = String;

    const WANTED: &'static str = "a path such as `/health`";
    const PATTERN: &'static str = "^/[^#]*$";

    fn from_text(text: &str) -> Result<String, Complaint> {
        let is_sound = text.starts_with('/')
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.contains('#');
        let complaint = || {
            let written = quote(text);
            format!(
                "{written} is not a path: a path is visible ASCII, begins with a slash and has no `#`"
            )
        };
        match is_sound {
            true => Ok(text.to_owned()),
            false => Err(complaint().into()),
        }
    }
}

/// The field Host of a check's request.
pub(in crate::config) enum HostField {}

impl FromText for HostField {
    type Value = String;

    const WANTED: &'static str = "a host such as `chat.example.com`";
    const PATTERN: &'static str = "^[!-.0-~]+$";

    fn from_text(text: &str) -> Result<String, Complaint> {
        match is_host(text) {
            true => Ok(text.to_owned()),
            false => Err(format!("{} is not a host", quote(text)).into()),
        }
    }
}

/// Whether a text may be a field Host. It is not looked at closely: backends may want something odd.
pub(in crate::config) fn is_host(text: &str) -> bool {
    let is_in_a_host = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    !text.is_empty() && text.bytes().all(is_in_a_host)
}

/// Statuses of an answer: `204`, `200-399`.
pub(in crate::config) enum Statuses {}

impl FromScalar for Statuses {
    type Value = RangeInclusive<u16>;

    const WANTED: &'static str = "a status such as `200` or a range such as `200-399`";

    fn written() -> Vec<Value> {
        let range = "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$";
        let number = json!({ "type": "integer", "minimum": 100, "maximum": 599 });
        vec![number, text(Self::WANTED, range)]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self::Value, Complaint>> {
        let text = scalar.as_number().or_else(|| scalar.as_text())?;
        let complaint = || format!("must be {}, of 100 to 599", Self::WANTED).into();
        Some(parse_statuses(text).ok_or_else(complaint))
    }
}

fn parse_statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some(first..=last)
}

fn status(text: &str) -> Option<u16> {
    let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok())??;
    (100..=599).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_ranges_of_them() {
        for (text, statuses) in [
            ("200", 200..=200),
            ("200-399", 200..=399),
            ("100-599", 100..=599),
        ] {
            assert_eq!(parse_statuses(text), Some(statuses), "{text}");
        }
        for text in [
            "",
            "20",
            "600",
            "99",
            "399-200",
            "200-",
            "2xx",
            "200-399-500",
            "+20",
        ] {
            assert_eq!(parse_statuses(text), None, "{text}");
        }
    }
}
