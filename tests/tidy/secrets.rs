//! No private key is committed.

use crate::Finding;
use crate::sources::Source;

/// The end of the line that begins a private key (RFC 7468); split, or this file would be reported itself.
const MARK: &str = concat!("PRIVATE", " KEY-----");

/// At least this many characters of base64 follow the mark in a key; fewer are a sample of a broken one.
const KEY_LENGTH_MIN: usize = 20;

/// Every private key in a file, also in a string literal with escaped line ends.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (offset, mark) in source.text.match_indices(MARK) {
        let line = source.text[..offset]
            .rsplit('\n')
            .next()
            .unwrap_or_default();
        let content = source.text[offset + mark.len()..]
            .replace("\\n", "")
            .replace("\\r", "");
        let is_key = |next: char| next.is_ascii_alphanumeric() || "+/=".contains(next);
        let is_space = |next: &char| next.is_whitespace() || "\\\"',;:-".contains(*next);
        let content = content.trim_start_matches(|next| is_space(&next));
        let length = content.chars().take_while(|next| is_key(*next)).count();
        if line.contains("BEGIN") && length >= KEY_LENGTH_MIN {
            findings.push(format!(
                "{}: a private key; keys are never committed",
                source.place(offset)
            ));
        }
    }
    findings
}

#[test]
fn finds_keys_in_files_and_in_literals() {
    let body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIB";
    for kind in ["", "EC ", "RSA ", "ENCRYPTED "] {
        let key = format!("text\n-----BEGIN {kind}{MARK}\n{body}\n-----END {kind}{MARK}\n");
        let finding = ["a.pem:2: a private key; keys are never committed"];
        assert_eq!(check(&Source::new("a.pem", &key)), finding);
        let literal = format!("\"-----BEGIN {kind}{MARK}\\n{body}\\n\"");
        assert_eq!(check(&Source::new("a.rs", &literal)).len(), 1);
        let yaml = format!("key: |\n  -----BEGIN {kind}{MARK}\n  {body}\n");
        assert_eq!(check(&Source::new("a.yaml", &yaml)).len(), 1);
    }
}

#[test]
fn lets_samples_and_words_be() {
    let texts = [
        format!("-----BEGIN {MARK}\\nAAAA\\n-----END {MARK}\\n"),
        format!("a section that begins with -----BEGIN {MARK}` is expected here"),
        "-----BEGIN CERTIFICATE-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIB\n".to_owned(),
    ];
    for text in texts {
        assert_eq!(check(&Source::new("a.rs", &text)), [""; 0], "{text}");
    }
}
