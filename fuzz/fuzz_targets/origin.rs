//! Any text as an origin and as a pattern: what is read is written and read back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsgate::config::{Origin, OriginPattern};

fuzz_target!(|text: &str| {
    let origin = Origin::parse(text);
    let pattern = OriginPattern::parse(text);
    if let Ok(origin) = &origin {
        assert_eq!(Origin::parse(&origin.to_string()).as_ref(), Ok(origin));
    }
    if let Ok(pattern) = &pattern {
        assert_eq!(
            OriginPattern::parse(&pattern.to_string()).as_ref(),
            Ok(pattern)
        );
    }
    // An origin is a pattern that fits itself and nothing that has a star.
    if let (Ok(origin), Ok(pattern)) = (&origin, &pattern) {
        assert!(pattern.matches(origin));
    }
    assert!(origin.is_err() || pattern.is_ok());
});
