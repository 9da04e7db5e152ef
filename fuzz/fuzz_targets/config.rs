//! Any text as a configuration: it is read, or its problems are told; nothing panics.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use wsgate::config::Config;

fuzz_target!(|text: &str| {
    let environment = |name: &str| (name == "A").then(|| "1".into());
    match Config::parse(text, "fuzz.yaml", Path::new("/"), &environment) {
        Ok(config) => assert!(config.changes_since(&config).is_empty()),
        Err(problems) => {
            assert!(problems.count() > 0);
            assert!(!problems.to_string().is_empty());
        }
    }
});
