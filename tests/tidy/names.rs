//! Names that do not say what the thing is.

use crate::Finding;
use crate::sources::Source;

/// Words that no name may contain.
const EMPTY_WORDS: [&str; 7] = [
    "util", "utils", "helper", "helpers", "manager", "inner", "common",
];

/// The keywords before a name that is declared.
const DECLARING: [&str; 9] = [
    "fn", "struct", "enum", "trait", "type", "mod", "const", "static", "let",
];

/// Every name that contains one of these words: the names declared in a file, and the file's own.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let code = source.code();
    let stems = source
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"));
    let mut findings: Vec<_> = stems
        .filter(|stem| is_empty_name(stem))
        .map(|stem| format!("{}: the name {stem} says nothing", source.path))
        .collect();
    for (offset, name) in declared_names(&code) {
        if is_empty_name(name) {
            findings.push(format!(
                "{}: the name {name} says nothing",
                source.place(offset)
            ));
        }
    }
    findings
}

/// Names after `fn`, `struct` and the like, and names before a colon: fields and parameters.
fn declared_names(code: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut before = "";
    for (offset, word) in words(code) {
        let after = &code[offset + word.len()..];
        let is_typed = after.starts_with(':') && !after.starts_with("::");
        if DECLARING.contains(&before) || is_typed {
            names.push((offset, word));
        }
        // `let mut name` declares a name as `let name` does.
        before = if word == "mut" { before } else { word };
    }
    names
}

fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_border = |next: char| !next.is_alphanumeric() && next != '_';
    let words = code.split(is_border).filter(|word| !word.is_empty());
    words.map(|word| (word.as_ptr().addr() - code.as_ptr().addr(), word))
}

fn is_empty_name(name: &str) -> bool {
    let spaced: String = name
        .chars()
        .flat_map(|next| {
            [
                next.is_uppercase().then_some('_'),
                Some(next.to_ascii_lowercase()),
            ]
        })
        .flatten()
        .collect();
    let has_empty_word = spaced.split('_').any(|word| EMPTY_WORDS.contains(&word));
    has_empty_word || name.starts_with("get_") || name.ends_with("_main")
}

#[test]
fn finds_names_that_say_nothing() {
    let cases = [
        ("src/utils.rs", ""),
        ("src/common/mod.rs", ""),
        ("src/a.rs", "pub fn get_pool() {}"),
        ("src/a.rs", "struct PoolManager;"),
        ("src/a.rs", "mod helper;"),
        ("src/a.rs", "struct A {\n    inner: B,\n}"),
        ("src/a.rs", "let mut inner = 1;"),
        ("src/a.rs", "fn run_main() {}"),
        ("src/a.rs", "fn run_inner() {}"),
    ];
    for (path, text) in cases {
        assert_eq!(check(&Source::new(path, text)).len(), 1, "{path}: {text}");
    }
}

#[test]
fn lets_other_names_be() {
    let cases = [
        ("src/main.rs", "fn main() {}"),
        (
            "src/a.rs",
            "fn target() { map.get_mut(1); a.into_inner(); }",
        ),
        (
            "src/a.rs",
            "// fn get_pool\nconst A: &str = \"struct Manager\";",
        ),
        (
            "src/a.rs",
            "fn utilization() {}\nstruct Forget;\nuse a::common::B;",
        ),
        ("tests/it/main.rs", ""),
    ];
    for (path, text) in cases {
        assert_eq!(check(&Source::new(path, text)), [""; 0], "{path}: {text}");
    }
}
