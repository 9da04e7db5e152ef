//! One line of the access log, as JSON or as `key=value` pairs.
//!
//! Written by hand, as every session writes one or two lines: no tree of values is built. In both formats control and format
//! characters are escaped, so that no value can split a line, control a terminal or change how other text is displayed.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::SystemTime;

use super::Rfc3339;
use crate::config::LogFormat;

/// Capacity for a typical line, to avoid reallocation.
const USUAL_LENGTH: usize = 1024;

/// A key with what stands around it in each format: one constant to append. [`key!`] makes it.
pub(super) struct Key {
    pub(super) json: &'static str,
    pub(super) text: &'static str,
}

macro_rules! key {
    ($name:literal) => {
        &$crate::telemetry::line::Key {
            json: concat!(",\"", $name, "\":"),
            text: concat!(" ", $name, "="),
        }
    };
}
pub(super) use key;

/// A line under construction, or some of its fields; they appear in the order of the calls.
pub(super) struct Line {
    format: LogFormat,
    buffer: String,
}

impl Line {
    /// Begins a line with its time, `ts`.
    pub(super) fn begin(format: LogFormat, time: SystemTime) -> Self {
        let (before, after) = match format {
            LogFormat::Json => ("{\"ts\":\"", "\""),
            LogFormat::Text => ("ts=", ""),
        };
        let mut line = Self::fields(format, USUAL_LENGTH);
        line.buffer.push_str(before);
        // Writing to a String cannot fail.
        let _ = write!(line.buffer, "{}", Rfc3339(time));
        line.buffer.push_str(after);
        line
    }

    /// Begins fields that will be added to lines, with room for `length` bytes.
    pub(super) fn fields(format: LogFormat, length: usize) -> Self {
        let buffer = String::with_capacity(length);
        Self { format, buffer }
    }

    /// Adds a value with arbitrary content.
    pub(super) fn text(&mut self, key: &Key, value: &str) {
        if self.format == LogFormat::Text && is_plain(value) {
            return self.word(key, value);
        }
        self.key(key);
        self.buffer.push('"');
        push_escaped(&mut self.buffer, value);
        self.buffer.push('"');
    }

    /// Adds a value that needs no escaping, such as a name or a label.
    pub(super) fn word(&mut self, key: &Key, value: &str) {
        self.key(key);
        match self.format {
            LogFormat::Json => {
                self.buffer.push('"');
                self.buffer.push_str(value);
                self.buffer.push('"');
            }
            LogFormat::Text => self.buffer.push_str(value),
        }
    }

    /// Adds a number. By hand: the standard library's formatter takes several times as long.
    pub(super) fn number(&mut self, key: &Key, value: impl Into<u64>) {
        self.key(key);
        let mut digits = [0; 20];
        let mut begin = digits.len();
        let mut rest = value.into();
        while rest > 0 || begin == digits.len() {
            begin -= 1;
            digits[begin] = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        }
        let digits = str::from_utf8(&digits[begin..]);
        self.buffer.push_str(digits.unwrap_or_default());
    }

    /// Adds a value that needs no escaping, such as an id or an address.
    pub(super) fn safe(&mut self, key: &Key, value: impl fmt::Display) {
        self.key(key);
        let quote = match self.format {
            LogFormat::Json => "\"",
            LogFormat::Text => "",
        };
        self.buffer.push_str(quote);
        // Writing to a String cannot fail.
        let _ = write!(self.buffer, "{value}");
        self.buffer.push_str(quote);
    }

    /// Adds fields that were rendered before, in the same format.
    pub(super) fn rendered(&mut self, fields: &str) {
        self.buffer.push_str(fields);
    }

    /// The length so far in bytes.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The fields alone.
    pub(super) fn into_fields(self) -> String {
        self.buffer
    }

    /// The finished line with a line feed.
    pub(super) fn finish(mut self) -> String {
        if self.format == LogFormat::Json {
            self.buffer.push('}');
        }
        self.buffer.push('\n');
        self.buffer
    }

    fn key(&mut self, key: &Key) {
        self.buffer.push_str(match self.format {
            LogFormat::Json => key.json,
            LogFormat::Text => key.text,
        });
    }
}

/// Whether a value needs no quotes in a text line.
fn is_plain(value: &str) -> bool {
    let is_plain = |character: char| {
        !character.is_whitespace()
            && !character.is_control()
            && !is_format(character)
            && !matches!(character, '"' | '\\' | '=')
    };
    !value.is_empty() && value.chars().all(is_plain)
}

/// Escapes as JSON requires (RFC 8259 section 7), and also control characters beyond ASCII and format characters.
fn push_escaped(buffer: &mut String, value: &str) {
    let is_special = |byte: u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
    // All bytes, without an early exit: the compiler then tests many at once.
    let has_special = (value.bytes()).fold(false, |found, byte| found | is_special(byte));
    if !has_special {
        buffer.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '"' | '\\' => buffer.extend(['\\', character]),
            _ if character.is_control() || is_format(character) => push_code(buffer, character),
            _ => buffer.push(character),
        }
    }
}

/// `text` with its control and format characters escaped as in the access log, so that it is one line. ESC stays: colours
/// begin with it, and the library escapes it in values.
pub(super) fn as_one_line(text: &str) -> Cow<'_, str> {
    let is_special =
        |character: char| is_format(character) || character.is_control() && character != '\u{1b}';
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut buffer = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_special(character) {
            push_code(&mut buffer, character);
        } else {
            buffer.push(character);
        }
    }
    Cow::Owned(buffer)
}

/// The JSON escape of a character: one or two UTF-16 code units.
fn push_code(buffer: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _ = write!(buffer, "\\u{unit:04x}");
    }
}

/// Whether it is invisible or changes how the following text is displayed, such as its direction. With these a client could
/// make a log line look like another one.
fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, value: &str) -> String {
        let mut line = Line::begin(format, SystemTime::UNIX_EPOCH);
        line.text(key!("a"), value);
        line.word(key!("b"), "x");
        line.number(key!("c"), 7_u64);
        let line = line.finish();
        let time = match format {
            LogFormat::Json => r#""ts":"1970-01-01T00:00:00.000Z","#,
            LogFormat::Text => "ts=1970-01-01T00:00:00.000Z ",
        };
        assert!(line.contains(time), "{line:?}");
        line.replacen(time, "", 1)
    }

    #[test]
    fn writes_numbers_in_decimal() {
        let mut line = Line::fields(LogFormat::Text, 0);
        for number in [0, 7, 10, 99_090, u64::MAX] {
            line.number(key!("n"), number);
        }
        let expected = " n=0 n=7 n=10 n=99090 n=18446744073709551615";
        assert_eq!(line.into_fields(), expected);
    }

    #[test]
    fn json_reads_back() {
        for value in [
            "plain",
            "",
            "say \"hi\" \\ bye",
            "a\nb\u{7f}\u{85}\u{1b}[0m",
            "größe 語",
            "a\u{202e}b\u{e0041}",
        ] {
            let line = line(LogFormat::Json, value);
            assert_eq!(line.lines().count(), 1, "{line:?}");
            assert!(!line.trim_end().contains(char::is_control), "{line:?}");
            assert!(!line.contains(is_format), "{line:?}");
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read, serde_json::json!({"a": value, "b": "x", "c": 7}));
        }
    }

    #[test]
    fn text_quotes_only_what_needs_it() {
        assert_eq!(line(LogFormat::Text, "plain/1"), "a=plain/1 b=x c=7\n");
        assert_eq!(line(LogFormat::Text, ""), "a=\"\" b=x c=7\n");
        assert_eq!(
            line(LogFormat::Text, "two words"),
            "a=\"two words\" b=x c=7\n"
        );
        assert_eq!(
            line(LogFormat::Text, "x\nb=y"),
            "a=\"x\\u000ab=y\" b=x c=7\n"
        );
        assert_eq!(
            line(LogFormat::Text, "\u{202e}x\u{e0041}"),
            "a=\"\\u202ex\\udb40\\udc41\" b=x c=7\n"
        );
    }
}
