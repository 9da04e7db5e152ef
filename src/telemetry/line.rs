//! One line of the access log, as JSON or as `key=value` pairs.
//!
//! Written by hand because a line is written once or twice a session: no tree of values is built. Control
//! characters never reach a terminal or split a line, in either form.

use std::fmt::{self, Write};

use crate::config::LogFormat;

/// Room for a usual line, so that it is allocated once.
const USUAL_LENGTH: usize = 640;

/// A line that is being put together, in the order of the calls.
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

    /// Adds a value that may hold anything.
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

    /// Adds a value whose written form needs no escaping, such as an identity or an address.
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

    /// The finished line with its line end.
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

/// Whether a value can stand in a text line without quotes.
fn is_plain(value: &str) -> bool {
    let is_plain = |character: char| {
        !character.is_whitespace()
            && !character.is_control()
            && !matches!(character, '"' | '\\' | '=')
    };
    !value.is_empty() && value.chars().all(is_plain)
}

/// Escapes as JSON asks (RFC 8259 section 7), and the control characters beyond ASCII too.
fn push_escaped(buffer: &mut String, value: &str) {
    let stands_for_itself = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if value.bytes().all(stands_for_itself) {
        buffer.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '"' | '\\' => buffer.extend(['\\', character]),
            _ if character.is_control() => {
                // Writing to a String cannot fail; control characters all fit four digits.
                let _ = write!(buffer, "\\u{:04x}", u32::from(character));
            }
            _ => buffer.push(character),
        }
    }
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
        ] {
            let line = line(LogFormat::Json, value);
            assert_eq!(line.lines().count(), 1, "{line:?}");
            assert!(!line.trim_end().contains(char::is_control), "{line:?}");
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
    }
}
