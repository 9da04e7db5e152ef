//! Timestamps in log lines and on the admin side.

use std::fmt;
use std::time::SystemTime;

use time::OffsetDateTime;

/// Formats a time as RFC 3339 in UTC with milliseconds, `2026-01-31T23:59:59.123Z`.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub SystemTime);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from(self.0);
        let (year, month, day) = moment.to_calendar_date();
        let (hour, minute, second, millisecond) = moment.to_hms_milli();
        // By hand: every line of the access log has a timestamp, and the library's formatter takes many times as long.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (end, number) in [
            (4, usize::try_from(year).unwrap_or_default()),
            (7, usize::from(u8::from(month))),
            (10, usize::from(day)),
            (13, usize::from(hour)),
            (16, usize::from(minute)),
            (19, usize::from(second)),
            (23, usize::from(millisecond)),
        ] {
            write_digits(&mut text[..end], number);
        }
        formatter.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// Writes a number right-aligned over the zeros at the end of `text`.
fn write_digits(text: &mut [u8], number: usize) {
    let mut rest = number;
    for digit in text.iter_mut().rev() {
        if rest == 0 {
            return;
        }
        *digit = b"0123456789"[rest % 10];
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn is_written_in_utc_with_milliseconds() {
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
        ] {
            let moment = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(Rfc3339(moment).to_string(), expected);
        }
    }
}
