//! Sizes: `512B`, `64KiB`, `1MiB`.

use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::{Scalar, quote};

/// A number of bytes.
pub(in crate::config) enum Size {}

impl FromText for Size {
    type Value = usize;

    const WANTED: &'static str = "a size such as `64KiB`";
    const PATTERN: &'static str = "^[0-9]+(B|KiB|MiB|GiB)$";

    fn from_text(text: &str) -> Result<usize, Complaint> {
        parse(text).map_err(Complaint::from)
    }

    fn not_text(scalar: &Scalar) -> Option<Complaint> {
        let number = scalar.as_bare_number()?;
        let message = format!("a size has a unit: `{number}B`, `{number}KiB` or `{number}MiB`");
        Some(message.into())
    }
}

fn parse(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let bytes: usize = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    if number.is_empty() || bytes == 0 {
        return Err(format!(
            "{} is not a size: write `512B`, `64KiB` or `1MiB`",
            quote(text)
        ));
    }
    let number: Option<usize> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(bytes))
        .ok_or_else(|| format!("{} is too large", quote(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit() {
        let cases = [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("1GiB", 1 << 30),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "5",
            "B",
            "5 B",
            "-5B",
            "1.5KiB",
            "5KB",
            "5kib",
            "5k",
            "18446744073709551615KiB",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in any::<usize>()) {
            prop_assert_eq!(parse(&format!("{bytes}B")), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = parse(&text);
        }
    }
}
