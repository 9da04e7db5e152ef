//! Any two texts as an origin and as a pattern: what is read is written and read back the same, and a pattern matches what a
//! comparison part by part matches.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsgate::config::{Origin, OriginPattern};

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    check_alone(first);
    let (Ok(pattern), Ok(origin)) = (OriginPattern::parse(first), Origin::parse(second)) else {
        return;
    };
    // Both are in one spelling from here on.
    let (pattern_text, origin_text) = (pattern.to_string(), origin.to_string());
    assert_eq!(
        pattern.matches(&origin),
        matches(&pattern_text, &origin_text)
    );
});

fn check_alone(text: &str) {
    let origin = Origin::parse(text);
    let pattern = OriginPattern::parse(text);
    if let Ok(origin) = &origin {
        let written = origin.to_string();
        assert_eq!(Origin::parse(&written).as_ref(), Ok(origin));
        assert_eq!(written, written.to_ascii_lowercase());
        assert!(text.is_ascii() && !text.contains(['*', '@', ' ', '?', '#', '\\']));
    }
    if let Ok(pattern) = &pattern {
        let written = pattern.to_string();
        assert_eq!(OriginPattern::parse(&written).as_ref(), Ok(pattern));
        // An origin without a star, or one in front of an origin.
        let base = text.replacen("://*.", "://", 1);
        assert!(Origin::parse(&base).is_ok());
    }
    assert!(origin.is_err() || pattern.is_ok());
}

/// Scheme and port are equal, and the host is, or ends in what is behind the star with a label or more in front of it.
fn matches(pattern: &str, origin: &str) -> bool {
    let Some((before, suffix)) = pattern.split_once("://*.") else {
        return pattern == origin;
    };
    let Some(host) = origin.strip_prefix(&format!("{before}://")) else {
        return false;
    };
    let labels: Vec<&str> = host.split('.').collect();
    let wanted: Vec<&str> = suffix.split('.').collect();
    labels.len() > wanted.len() && labels.ends_with(&wanted)
}
