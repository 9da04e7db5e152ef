//! The top level of the repository contains only known entries. A stray file of a mistyped command was once committed.

use crate::Finding;

/// What may be at the top level; ARCHITECTURE.md says what the folders are for.
const PLACES: [&str; 22] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "benches",
    "certs",
    "clippy.toml",
    "config",
    "deny.toml",
    "deploy",
    "docs",
    "fuzz",
    "rustfmt.toml",
    "src",
    "tests",
];

pub(crate) fn check(path: &str) -> Option<Finding> {
    let place = path.split('/').next().unwrap_or_default();
    let finding = || {
        format!("{path}: does not belong at the top level, or is missing in tests/tidy/places.rs")
    };
    (!PLACES.contains(&place)).then(finding)
}

#[test]
fn finds_what_was_left_behind() {
    for path in ["e", "target.txt", "srcs/main.rs"] {
        assert!(check(path).is_some(), "{path}");
    }
    for path in ["Cargo.toml", "src/main.rs", ".ci/run"] {
        assert_eq!(check(path), None);
    }
}
