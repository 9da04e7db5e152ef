//! One line of the access log, as JSON or as `key=value` pairs.
//!
//! Written by hand, as every session writes one or two lines: no tree of values is built. In both formats control and format
//! characters are escaped, so that no value can split a line, control a terminal or change how other text is displayed.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::config::LogFormat;

/// Capacity for a typical line, to avoid reallocation.
const USUAL_LENGTH: usize = 1024;

/// A line under construction; fields appear in the order of the calls.
pub(super) struct Line {
    format: LogFormat,
    buffer: String,
}

impl Line {
    pub(super) fn new(format: LogFormat) -> Self {
        let mut buffer = String::with_capacity(USUAL_LENGTH);
        if format == LogFormat::Json {
            buffer.push('{');
        }
        Self { format, buffer }
    }

    /// Adds a value with arbitrary content.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        let quoted = match self.format {
            LogFormat::Json => true,
            LogFormat::Text => !is_plain(value),
        };
        if quoted {
            self.buffer.push('"');
            push_escaped(&mut self.buffer, value);
            self.buffer.push('"');
        } else {
            self.buffer.push_str(value);
        }
    }

    /// Adds a value that needs no escaping, such as an id or an address.
    pub(super) fn safe(&mut self, key: &str, value: impl fmt::Display) {
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

    /// Adds a number.
    pub(super) fn number(&mut self, key: &str, value: impl Into<u64>) {
        self.key(key);
        // Writing to a String cannot fail.
        let _ = write!(self.buffer, "{}", value.into());
    }

    /// The finished line with a line feed.
    pub(super) fn finish(mut self) -> String {
        if self.format == LogFormat::Json {
            self.buffer.push('}');
        }
        self.buffer.push('\n');
        self.buffer
    }

    fn key(&mut self, key: &str) {
        let (before, after) = match (self.format, self.buffer.len()) {
            (LogFormat::Json, 1) => ("\"", "\":"),
            (LogFormat::Json, _) => (",\"", "\":"),
            (LogFormat::Text, 0) => ("", "="),
            (LogFormat::Text, _) => (" ", "="),
        };
        for part in [before, key, after] {
            self.buffer.push_str(part);
        }
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
        let mut line = Line::new(format);
        line.text("a", value);
        line.safe("b", "x");
        line.number("c", 7_u64);
        line.finish()
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
