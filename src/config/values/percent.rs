//! Shares of a whole: `10%`, `120%`, `1%/s`.

use std::ops::RangeInclusive;

use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::{Kind, Scalar, quote};

/// A share of a whole, 0% to 100%, read as a number from 0 to 1.
pub(in crate::config) enum Percent {}

impl FromText for Percent {
    type Value = f64;

    const WANTED: &'static str = "a share such as `10%`";
    const PATTERN: &'static str = "^0*(100|[0-9]{1,2})%$";

    fn from_text(text: &str) -> Result<f64, Complaint> {
        share(text, 0..=100).ok_or_else(|| match text.strip_suffix('%') {
            Some(number) if is_whole(number) => "must be from `0%` to `100%`".into(),
            _ => format!(
                "{} is not a share: write a whole number and `%`",
                quote(text)
            )
            .into(),
        })
    }

    fn not_text(scalar: &Scalar) -> Option<Complaint> {
        without_sign(scalar)
    }
}

fn without_sign(scalar: &Scalar) -> Option<Complaint> {
    let number = scalar.as_bare_number()?;
    Some(format!("a share is written with its sign: `{number}%`").into())
}

/// The share that is written as a percentage in `range`.
fn share(text: &str, range: RangeInclusive<u16>) -> Option<f64> {
    let number = text.strip_suffix('%').and_then(whole)?;
    range.contains(&number).then(|| f64::from(number) / 100.0)
}

/// More than a whole, 101% to 1000%, read as a number from 1.01 to 10.
pub(in crate::config) enum Surplus {}

impl FromText for Surplus {
    type Value = f64;

    const WANTED: &'static str = "a share such as `120%`";
    const PATTERN: &'static str = "^0*(10[1-9]|1[1-9][0-9]|[2-9][0-9]{2}|1000)%$";

    fn from_text(text: &str) -> Result<f64, Complaint> {
        share(text, 101..=1000).ok_or_else(|| "must be from `101%` to `1000%`".into())
    }

    fn not_text(scalar: &Scalar) -> Option<Complaint> {
        without_sign(scalar)
    }
}

/// A share in each second, `0.01%/s` to `100%/s`, read as a number from 0.0001 to 1.
pub(in crate::config) enum Rate {}

impl FromText for Rate {
    type Value = f64;

    const WANTED: &'static str = "a rate such as `1%/s`";
    const PATTERN: &'static str = r"^0*(100(\.00?)?|[0-9]{1,2}(\.[0-9]{1,2})?)%/s$";

    fn from_text(text: &str) -> Result<f64, Complaint> {
        parse_rate(text).ok_or_else(|| "must be a rate from `0.01%/s` to `100%/s`".into())
    }

    fn not_text(scalar: &Scalar) -> Option<Complaint> {
        let is_number = scalar.kind == Kind::Number;
        is_number.then(|| format!("a rate is written with its unit: `{}%/s`", scalar.text).into())
    }
}

fn parse_rate(text: &str) -> Option<f64> {
    let text = text.strip_suffix("%/s")?;
    let (percent, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = match part.len() {
        1 => whole(part)? * 10,
        2 => whole(part)?,
        _ => return None,
    };
    let hundredths = whole(percent)?.checked_mul(100)?.checked_add(part)?;
    (1..=10_000)
        .contains(&hundredths)
        .then(|| f64::from(hundredths) / 10_000.0)
}

/// A whole number; `None` also if it is too large.
fn whole(text: &str) -> Option<u16> {
    is_whole(text).then(|| text.parse().ok())?
}

fn is_whole(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_shares() {
        for (text, fraction) in [("0%", 0.0), ("10%", 0.1), ("050%", 0.5), ("100%", 1.0)] {
            assert_eq!(share(text, 0..=100), Some(fraction), "{text}");
        }
    }

    #[test]
    fn what_is_no_share() {
        for text in [
            "", "%", "5", "101%", "999%", "-5%", "+5%", "1.5%", "5 %", "5%%", "x%",
        ] {
            assert_eq!(share(text, 0..=100), None, "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, fraction) in [
            ("1%/s", 0.01),
            ("0.25%/s", 0.0025),
            ("100%/s", 1.0),
            ("1.5%/s", 0.015),
        ] {
            assert_eq!(parse_rate(text), Some(fraction), "{text}");
        }
        for text in [
            "",
            "1%",
            "1/s",
            "0%/s",
            "100.01%/s",
            "1.%/s",
            "1.234%/s",
            ".5%/s",
            "-1%/s",
            "1%/m",
        ] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }
}
