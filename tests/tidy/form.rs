//! The form of a file: it begins with what it contains, and is short.

use crate::Finding;
use crate::sources::Source;

const LINES_MAX: usize = 500;

/// A file without a module comment at its beginning, or one that is too long.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.text.starts_with("//! ") {
        findings.push(format!(
            "{}:1: begin with //! and what lives here",
            source.path
        ));
    }
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        findings.push(format!(
            "{}: {lines} lines, more than {LINES_MAX}; split it",
            source.path
        ));
    }
    findings
}

#[test]
fn finds_what_is_headless_or_long() {
    let at_limit = format!("//! Head.\n{}", "\n".repeat(LINES_MAX - 1));
    assert!(check(&Source::new("src/a.rs", &at_limit)).is_empty());
    assert_eq!(
        check(&Source::new("src/a.rs", &format!("{at_limit}\n"))).len(),
        1
    );
    assert_eq!(
        check(&Source::new("src/a.rs", "use a::b;\n//! Late.\n")).len(),
        1
    );
    assert_eq!(check(&Source::new("src/a.rs", "")).len(), 1);
}
