//! Timestamps in log lines and on the admin side.

use std::cell::Cell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// A time as [`Rfc3339`] writes it.
type Text = [u8; 24];

const EPOCH: Text = *b"1970-01-01T00:00:00.000Z";

/// Formats a time as RFC 3339 in UTC with milliseconds, `2026-01-31T23:59:59.123Z`. Earlier than 1970 counts as 1970.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub SystemTime);

thread_local! {
    /// The last second that this thread wrote, and its text: a busy log has many lines in a second.
    static LAST: Cell<(u64, Text)> = const { Cell::new((0, EPOCH)) };
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (last, mut text) = LAST.get();
        if last != since.as_secs() {
            text = to_the_second(self.0);
            LAST.set((since.as_secs(), text));
        }
        write_digits(&mut text[20..23], since.subsec_millis());
        formatter.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// The text of the second that `time` is in.
fn to_the_second(time: SystemTime) -> Text {
    let moment = OffsetDateTime::from(time);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let mut text = EPOCH;
    write_digits(&mut text[..4], u32::try_from(year).unwrap_or_default());
    for (end, number) in [
        (7, u8::from(month)),
        (10, day),
        (13, hour),
        (16, minute),
        (19, second),
    ] {
        write_digits(&mut text[end - 2..end], number.into());
    }
    text
}

/// Writes a number right-aligned, with leading zeros.
fn write_digits(text: &mut [u8], number: u32) {
    let mut rest = number;
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn is_written_in_utc_with_milliseconds() {
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Rfc3339(before).to_string(), "1970-01-01T00:00:00.000Z");
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (951_782_400_120, "2000-02-29T00:00:00.120Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_782_401_000, "2000-02-29T00:00:01.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
        ] {
            let moment = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(Rfc3339(moment).to_string(), expected);
        }
    }
}
