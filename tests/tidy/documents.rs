//! Links between documents.

use std::path::{Component, Path, PathBuf};

use crate::Finding;
use crate::sources::Source;

/// Every link to a file that does not exist; external links are not followed.
pub(crate) fn check(document: &Source, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    for (offset, link) in links(&document.text) {
        let file = link.split(['#', '?']).next().unwrap_or_default();
        let leads_out = link.contains("://") || link.starts_with("mailto:");
        if !leads_out && !file.is_empty() && !exists(&plain(&folder.join(file))) {
            findings.push(format!("{}: {link} does not exist", document.place(offset)));
        }
    }
    findings
}

/// A document that has no code block with exactly the content of a file.
pub(crate) fn check_shown(document: &Source, file: &Source) -> Vec<Finding> {
    let blocks = document.text.split("```").skip(1).step_by(2);
    let mut contents = blocks.filter_map(|block| Some(block.split_once('\n')?.1));
    if contents.any(|content| content == file.text) {
        return Vec::new();
    }
    let (document, file) = (&document.path, &file.path);
    vec![format!("{document}: no code block is {file} to the letter")]
}

/// The targets of `[words](target)` outside of code blocks, and where they stand.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut offset = 0;
    let mut is_code = false;
    for line in text.split_inclusive('\n') {
        is_code ^= line.trim_start().starts_with("```");
        for (at, mark) in line.match_indices("](").filter(|_| !is_code) {
            let target = &line[at + mark.len()..];
            links.extend(
                target
                    .split_once(')')
                    .map(|(target, _)| (offset + at, target)),
            );
        }
        offset += line.len();
    }
    links
}

/// The path with `..` resolved.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
        plain
    })
}

#[test]
fn finds_links_that_lead_nowhere() {
    let text = "[a](b.md) [c](../c.md#part) [d](https://d.example) [e](#e)\n\
        ```\n[f](f.md)\n```\n[g](missing.md)\n[h](../missing.md)\n";
    let known = ["docs/b.md", "c.md"].map(Path::new);
    let findings = check(&Source::new("docs/a.md", text), |path| {
        known.contains(&path)
    });
    let expected = [
        "docs/a.md:5: missing.md does not exist",
        "docs/a.md:6: ../missing.md does not exist",
    ];
    assert_eq!(findings, expected);
}

#[test]
fn finds_files_that_are_shown_wrongly() {
    let document = |block| Source::new("a.md", &format!("```\nx\n```\n{block}\n"));
    let file = Source::new("b.yaml", "b: 1\n");
    assert!(check_shown(&document("```yaml\nb: 1\n```"), &file).is_empty());
    for block in ["```yaml\nb: 2\n```", "b: 1", ""] {
        let finding = ["a.md: no code block is b.yaml to the letter"];
        assert_eq!(check_shown(&document(block), &file), finding, "{block}");
    }
}
