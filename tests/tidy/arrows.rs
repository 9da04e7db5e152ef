//! Imports between rooms: only down the table of ARCHITECTURE.md, and only by `crate::`.

use crate::Finding;
use crate::sources::Source;

/// The heading in ARCHITECTURE.md whose first block is the table.
const HEADING: &str = "## Who may know whom";

/// Each room with its level in the table; a higher one may import a lower one.
pub(crate) struct Layers(Vec<(String, u32)>);

impl Layers {
    pub(crate) fn read(architecture: &str) -> Option<Self> {
        let block = architecture.split_once(HEADING)?.1.split("```").nth(1)?;
        let mut rooms = Vec::new();
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            let (height, names) = line.trim().split_once(' ')?;
            let height = height.parse().ok()?;
            rooms.extend(
                names
                    .split_whitespace()
                    .map(|name| (name.to_owned(), height)),
            );
        }
        Some(Self(rooms)).filter(|layers| !layers.0.is_empty())
    }

    fn height(&self, room: &str) -> Option<u32> {
        self.0
            .iter()
            .find(|(name, _)| name == room)
            .map(|(_, height)| *height)
    }
}

/// Every import that does not point down, and every `super` that leaves its room.
pub(crate) fn check(source: &Source, layers: &Layers) -> Vec<Finding> {
    let Some(module) = source.module().filter(|module| *module != "lib") else {
        return Vec::new();
    };
    let room = module.split('/').next().unwrap_or_default();
    let code = source.code();
    let Some(height) = layers.height(room) else {
        return vec![format!(
            "{}: the room {room} is not in the table",
            source.path
        )];
    };
    let mut findings = escapes(source, &code, module.split('/').count());
    for (offset, target) in imports(&code) {
        let allowed = target == room || layers.height(target).is_some_and(|other| other < height);
        if !allowed {
            findings.push(format!(
                "{}: {room} may not know {target}",
                source.place(offset)
            ));
        }
    }
    findings
}

/// The rooms that are named after `crate::` (in the binary after `wsgate::`), and where.
fn imports(code: &str) -> Vec<(usize, &str)> {
    let mut imports = Vec::new();
    for root in ["crate::", "wsgate::"] {
        for (offset, _) in code
            .match_indices(root)
            .filter(|(at, _)| begins_word(code, *at))
        {
            let path = &code[offset + root.len()..];
            imports.extend(first_segments(path).into_iter().map(|name| (offset, name)));
        }
    }
    imports
}

/// `a` of `a::b`, `a` and `d` of `{a::{b, c}, d::e}`.
fn first_segments(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![first_word(path)];
    };
    let mut segments = vec![first_word(group.trim_start())];
    let mut depth = 1;
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 1 => segments.push(first_word(group[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

/// Chains of `super::` that leave their room: those with at least as many steps as there are enclosing modules.
fn escapes(source: &Source, code: &str, module_depth: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut offset = 0;
    let mut inline: Vec<&str> = Vec::new();
    for line in code.split_inclusive('\n') {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim_end().ends_with('{') && opens_module(line) {
            inline.push(indent);
        } else if line.trim() == "}" && inline.last() == Some(&indent) {
            inline.pop();
        }
        let climbs = longest_climb(line);
        if climbs >= module_depth + inline.len() && climbs > 0 {
            let place = source.place(offset);
            findings.push(format!(
                "{place}: super leaves the room; name it by crate::"
            ));
        }
        offset += line.len();
    }
    findings
}

fn opens_module(line: &str) -> bool {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| word.starts_with("pub"));
    words.next() == Some("mod")
}

fn longest_climb(line: &str) -> usize {
    let starts = line.match_indices("super::").map(|(at, _)| at);
    let climb = |at: usize| {
        let mut rest = &line[at..];
        std::iter::from_fn(move || {
            rest = rest.strip_prefix("super::")?;
            Some(())
        })
    };
    starts.map(|at| climb(at).count()).max().unwrap_or_default()
}

fn begins_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

fn first_word(text: &str) -> &str {
    let end = text.find(|next: char| !next.is_alphanumeric() && next != '_');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "## Who may know whom\nwords\n```\n2  top\n1  left   right\n0  base\n```\n";

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        check(&Source::new(path, text), &Layers::read(TABLE).unwrap())
    }

    #[test]
    fn lets_imports_point_down_and_inside() {
        let cases = [
            (
                "src/top.rs",
                "use crate::left::A;\nuse crate::{base, right::{B, C}};",
            ),
            ("src/left/a.rs", "use crate::left::b::B;\nuse super::c;\n"),
            ("src/left/mod.rs", "mod tests {\n    use super::*;\n}\n"),
            (
                "src/left/mod.rs",
                "// crate::top\nconst A: &str = \"crate::top\";",
            ),
            ("src/lib.rs", "pub mod anything;"),
            ("tests/it/main.rs", "use crate::backend;"),
        ];
        for (path, text) in cases {
            assert_eq!(findings(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn finds_arrows_up_and_across() {
        let cases = [
            ("src/base.rs", "use crate::left::A;"),
            ("src/left/a.rs", "use crate::right;"),
            ("src/left/a.rs", "use crate::{base, right::{B, C}};"),
            (
                "src/left/a.rs",
                "use crate::{\n    base::{A, B},\n    top,\n};",
            ),
            ("src/left/a.rs", "fn f() { crate::top::run() }"),
            (
                "src/left/a.rs",
                "#[cfg(test)]\nmod tests {\n    use crate::top;\n}\n",
            ),
            ("src/left/a.rs", "use crate::unlisted::A;"),
            ("src/unlisted.rs", ""),
        ];
        for (path, text) in cases {
            assert_eq!(findings(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn finds_a_super_that_leaves_the_room() {
        let cases = [
            ("src/left.rs", "use super::right;"),
            ("src/left/mod.rs", "use super::right;"),
            ("src/left/a.rs", "use super::super::base;"),
            (
                "src/left/mod.rs",
                "mod tests {\n    use super::super::right;\n}\n",
            ),
            (
                "src/left/mod.rs",
                "mod tests {\n    use super::*;\n}\nuse super::right;\n",
            ),
        ];
        for (path, text) in cases {
            assert_eq!(findings(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn names_the_place() {
        let text = "//! Head.\n\nuse crate::top::A;\n";
        assert_eq!(
            findings("src/base.rs", text),
            ["src/base.rs:3: base may not know top"]
        );
    }

    #[test]
    fn misses_a_table_that_is_not_there() {
        assert!(Layers::read("# Architecture\n").is_none());
        assert!(Layers::read("## Who may know whom\n```\nx  top\n```\n").is_none());
    }
}
