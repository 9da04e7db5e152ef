//! Enough of Rust's grammar to tell code from comments and literals.

/// Replaces comments and literals by spaces of the same length, so that offsets and lines do not change.
pub(crate) fn blank(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let blanked = blanked_length(rest, code.chars().next_back());
        let length = blanked.unwrap_or(first.len_utf8());
        let (taken, after) = rest.split_at(length);
        if blanked.is_some() {
            code.extend(
                taken
                    .bytes()
                    .map(|byte| if byte == b'\n' { '\n' } else { ' ' }),
            );
        } else {
            code.push(first);
        }
        rest = after;
    }
    code
}

/// The bytes of the comment or literal that begins here, if one does.
fn blanked_length(rest: &str, before: Option<char>) -> Option<usize> {
    let is_in_word = before.is_some_and(|before| before.is_alphanumeric() || before == '_');
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if rest.starts_with('"') {
        return Some(string_length(rest));
    }
    if rest.starts_with("r\"") || rest.starts_with("r#") || rest.starts_with("br") {
        return if is_in_word {
            None
        } else {
            raw_string_length(rest)
        };
    }
    if rest.starts_with('\'') {
        char_length(rest)
    } else {
        None
    }
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        (depth, at) = match here {
            [b'/', b'*', ..] => (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth - 1, at + 2),
            _ => (depth, at + 1),
        };
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `None` where a raw name such as `r#type` begins.
fn raw_string_length(rest: &str) -> Option<usize> {
    let marks = rest.trim_start_matches('b').strip_prefix('r')?;
    let hashes = marks.len() - marks.trim_start_matches('#').len();
    let content = marks[hashes..].strip_prefix('"')?;
    let start = rest.len() - content.len();
    let end = format!("\"{}", "#".repeat(hashes));
    Some(
        content
            .find(&end)
            .map_or(rest.len(), |found| start + found + end.len()),
    )
}

/// `None` where a lifetime begins.
fn char_length(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        characters.next()?;
        return rest[3..].find('\'').map(|found| found + 4);
    }
    characters
        .next()
        .filter(|(_, second)| *second == '\'')
        .map(|(at, _)| at + 1)
}

#[test]
fn leaves_code_and_takes_the_rest() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("a \" b") g"#, "f(        ) g"),
        ("r\"a\" b", "     b"),
        ("r#\"a\"b\"# c", "         c"),
        ("br\"a\" b", "      b"),
        ("r#type", "r#type"),
        ("'a' b", "    b"),
        (r"'\'' b", "     b"),
        (r"'\u{1F}' b", "         b"),
        ("&'a str", "&'a str"),
        ("'\"' b", "    b"),
        ("'é' b", "     b"),
        ("\"//\" b", "     b"),
    ];
    for (source, code) in cases {
        assert_eq!(blank(source), code, "{source}");
    }
}
