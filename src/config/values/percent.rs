//! Shares of a whole: `10%`.

use super::text_schema;
use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::{Kind, Scalar, quote};

/// A share of a whole, 0% to 100%.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct Percent(u8);

text_schema!(Percent, "A share: 0% to 100%", "^[0-9]{1,3}%$");

impl Percent {
    const MOST: u8 = 100;

    /// As a number from 0 to 1.
    pub(in crate::config) fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::MOST)
    }
}

impl FromScalar for Percent {
    const WANTED: &'static str = "a share such as `10%`";

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        if scalar.kind == Kind::Number {
            let message = format!("a share is written with its sign: `{}%`", scalar.text);
            return Some(Err(message.into()));
        }
        scalar
            .as_text()
            .map(|text| parse(text).map(Self).map_err(Complaint::from))
    }
}

fn parse(text: &str) -> Result<u8, String> {
    let digits = text
        .strip_suffix('%')
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(digits) = digits else {
        return Err(format!(
            "{} is no share: write a whole number and `%`",
            quote(text)
        ));
    };
    let number = digits
        .parse()
        .ok()
        .filter(|number| *number <= Percent::MOST);
    number.ok_or_else(|| format!("must be from `0%` to `{}%`", Percent::MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_shares() {
        for (text, fraction) in [("0%", 0.0), ("10%", 0.1), ("050%", 0.5), ("100%", 1.0)] {
            let share = parse(text).map(|share| Percent(share).fraction());
            assert_eq!(share, Ok(fraction), "{text}");
        }
    }

    #[test]
    fn what_is_no_share() {
        for text in [
            "", "%", "5", "101%", "999%", "-5%", "+5%", "1.5%", "5 %", "5%%", "x%",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
