//! Libraries that only certain rooms may name, as ARCHITECTURE.md lists them.

use crate::Finding;
use crate::sources::Source;

/// The heading in ARCHITECTURE.md whose first table lists libraries and places.
const HEADING: &str = "## Libraries that stay in their rooms";

/// A library and the modules below which it may be named.
pub(crate) struct Border {
    library: String,
    places: Vec<String>,
}

/// Reads the rows of the table; every name stands in backticks.
pub(crate) fn read(architecture: &str) -> Option<Vec<Border>> {
    let section = architecture.split_once(HEADING)?.1;
    let section = section.split("\n## ").next()?;
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut borders = Vec::new();
    for row in rows {
        let (libraries, places) = row.trim_matches('|').split_once('|')?;
        let places = quoted(places);
        let border = |library| Border {
            library,
            places: places.clone(),
        };
        borders.extend(quoted(libraries).into_iter().map(border));
    }
    Some(borders).filter(|borders| !borders.is_empty())
}

/// Every mention of a library outside of its places.
pub(crate) fn check(source: &Source, borders: &[Border]) -> Vec<Finding> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    let code = source.code();
    let mut findings = Vec::new();
    for Border { library, places } in borders {
        if places.iter().any(|place| is_within(module, place)) {
            continue;
        }
        for (offset, _) in code.match_indices(library.as_str()) {
            if is_crate_name(&code, offset, library.len()) {
                let places = places.join(", ");
                let place = source.place(offset);
                findings.push(format!("{place}: {library} stays in {places}"));
            }
        }
    }
    findings
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn is_within(module: &str, place: &str) -> bool {
    module
        .strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the word is the first segment of a path, or a whole import, and not a part of another word.
fn is_crate_name(code: &str, offset: usize, length: usize) -> bool {
    let is_of_word = |next: char| next.is_alphanumeric() || next == '_';
    let (before, after) = (&code[..offset], code[offset + length..].trim_start());
    let is_inside = before.ends_with(is_of_word) || code[offset + length..].starts_with(is_of_word);
    let path = before.strip_suffix("::");
    let is_segment =
        path.is_some_and(|path| path.ends_with(|last| is_of_word(last) || last == '>'));
    let is_imported = before.trim_end().ends_with("use") || before.trim_end().ends_with("crate");
    !is_inside && !is_segment && (after.starts_with("::") || is_imported)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "## Libraries that stay in their rooms\n\n| library | only in |\n|---|---|\n\
        | `hyper` `serde` | `front` `back/deep` |\n\n## Next\n\n| `other` | `x` |\n";

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        check(&Source::new(path, text), &read(TABLE).unwrap())
    }

    #[test]
    fn reads_one_table_only() {
        let borders = read(TABLE).unwrap();
        let libraries: Vec<_> = borders
            .iter()
            .map(|border| border.library.as_str())
            .collect();
        assert_eq!(libraries, ["hyper", "serde"]);
        assert!(read("## Libraries that stay in their rooms\n\nnone\n").is_none());
    }

    #[test]
    fn lets_libraries_be_at_home() {
        let cases = [
            ("src/front/mod.rs", "use hyper::body::Body;"),
            ("src/front.rs", "use hyper::body::Body;"),
            ("src/back/deep.rs", "use serde::Serialize;"),
            ("src/back/mod.rs", "use hyper_util::rt;"),
            ("src/back/mod.rs", "let hyper = 1; // hyper::body"),
            ("src/back/mod.rs", "use crate::front::hyper::Mine;"),
        ];
        for (path, text) in cases {
            assert_eq!(findings(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn finds_libraries_that_stray() {
        let cases = [
            ("src/back/mod.rs", "use hyper::body::Body;"),
            ("src/frontier.rs", "use hyper::body::Body;"),
            ("src/back/deeper.rs", "fn f() -> ::hyper::Body {}"),
            ("src/back/mod.rs", "use hyper as h;"),
            ("src/back/mod.rs", "#[derive(serde::Deserialize)]"),
        ];
        for (path, text) in cases {
            assert_eq!(findings(path, text).len(), 1, "{path}: {text}");
        }
    }
}
