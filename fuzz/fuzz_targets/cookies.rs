//! Any Cookie field: the gateway's own cookie is gone, and all that is left is all the others, as they were.

#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use wsgate::upstream::without_cookie;

const NAME: &str = "wsgate";

fuzz_target!(|bytes: &[u8]| {
    let Ok(field) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let text = text(&field);
    let others: Vec<&str> = text.split(';').filter(|part| !is_own(part)).collect();
    // What is left may lose blanks at its ends, and is no field if it is nothing but blanks.
    let expected = others.join(";");
    let expected = expected.trim_matches([' ', '\t']);
    let left = without_cookie(&field, NAME).map(|left| self::text(&left));
    assert_eq!(left.as_deref().unwrap_or_default(), expected);
    assert!(left.is_none_or(|left| !left.is_empty()));
});

/// Each byte as a character.
fn text(field: &HeaderValue) -> String {
    field.as_bytes().iter().copied().map(char::from).collect()
}

/// RFC 6265 section 4.2.1: the name is in front of the first `=`.
fn is_own(part: &str) -> bool {
    let name = part.split_once('=').map(|(name, _)| name);
    name.map(|name| name.trim_matches([' ', '\t'])) == Some(NAME)
}
