//! Durations: `500ms`, `5s`, `10m`, `2h`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::{FromScalar, text};
use crate::config::tree::{Scalar, quote};

/// A year; longer spans are mistakes, and deadlines that far away could not be counted.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// The rule as a regular expression.
const PATTERN: &str = "^[0-9]+(ms|s|m|h)$";
/// The same without 0.
const ABOVE_ZERO: &str = "^[0-9]*[1-9][0-9]*(ms|s|m|h)$";

/// A duration, 0 included.
impl FromScalar for Duration {
    type Value = Self;

    const WANTED: &'static str = "a duration such as `5s`";

    /// No time at all needs no unit.
    fn written() -> Vec<Value> {
        vec![json!({ "const": 0 }), text(Self::WANTED, PATTERN)]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        if scalar.as_number() == Some("0") {
            return Some(Ok(Self::ZERO));
        }
        if let Some(number) = scalar.as_bare_number() {
            let message = format!(
                "a duration has a unit: `{number}ms`, `{number}s`, `{number}m` or `{number}h`"
            );
            return Some(Err(message.into()));
        }
        scalar
            .as_text()
            .map(|text| parse(text).map_err(Complaint::from))
    }
}

/// A duration that is never 0.
pub(in crate::config) enum Timeout {}

impl FromScalar for Timeout {
    type Value = Duration;

    const WANTED: &'static str = Duration::WANTED;

    fn written() -> Vec<Value> {
        vec![text(Self::WANTED, ABOVE_ZERO)]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Duration, Complaint>> {
        Some(match Duration::from_scalar(scalar)? {
            Ok(Duration::ZERO) => Err("must be more than 0".into()),
            read => read,
        })
    }
}

/// A duration as it may be written.
pub(in crate::config) fn spell(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    if number.is_empty() || milliseconds == 0 {
        return Err(format!(
            "{} is not a duration: write `500ms`, `5s`, `10m` or `2h`",
            quote(text)
        ));
    }
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .filter(|span| *span <= LONGEST)
        .ok_or_else(|| "a duration is at most a year, `8760h`".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit() {
        let cases = [
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration() {
        let far = "99999999999999999999h";
        for text in [
            "", "5", "s", "5 s", "-5s", "+5s", "1.5s", "5S", "5d", "1h30m", "8761h", far,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(milliseconds in 0..31_536_000_000_u64) {
            let read = parse(&format!("{milliseconds}ms"));
            let span = Duration::from_millis(milliseconds);
            prop_assert_eq!(read, Ok(span));
            prop_assert_eq!(parse(&spell(span)), Ok(span));
        }

        #[test]
        fn units_agree(hours in 0..8760_u64) {
            prop_assert_eq!(parse(&format!("{hours}h")), parse(&format!("{}m", hours * 60)));
            prop_assert_eq!(parse(&format!("{hours}h")), parse(&format!("{}s", hours * 3600)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = parse(&text);
        }
    }
}
