//! Paths that a backend may interpret differently from the route table.

/// Whether a segment of the path is `..`, written plainly or in percent-encoding.
///
/// Paths are forwarded as they came. A backend that resolves `..` (RFC 3986 section 5.2.4) would see another path than the
/// one that was routed, and a client could get around a route with stricter rules; so such paths are refused. Backslashes and
/// encoded slashes separate segments here, as some backends treat them so. What follows a semicolon is ignored, as some
/// remove it before they resolve.
#[must_use]
pub fn has_parent_segment(path: &str) -> bool {
    let mut segment = Segment::Dots(0);
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = decode_first(rest) {
        rest = after;
        segment = match (byte, segment) {
            (b'/' | b'\\' | b';', Segment::Dots(2)) => return true,
            (b'/' | b'\\', _) => Segment::Dots(0),
            (b'.', Segment::Dots(dots)) => Segment::Dots(dots + 1),
            _ => Segment::Name,
        };
    }
    matches!(segment, Segment::Dots(2))
}

/// Whether the path contains an encoded zero byte, at which some backends cut it off.
#[must_use]
pub fn has_zero_byte(path: &str) -> bool {
    path.as_bytes().windows(3).any(|bytes| bytes == b"%00")
}

/// Whether two hexadecimal digits follow each `%` (RFC 3986 section 2.1). Backends treat other sequences, such as `%u0061`,
/// in different ways.
#[must_use]
pub fn has_valid_encoding(path: &str) -> bool {
    let mut encoded = path.split('%').skip(1).map(str::as_bytes);
    encoded.all(
        |it| matches!(it, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()),
    )
}

/// The other ways in which backends may interpret the path: normalized, without a host if it begins like a network-path
/// reference, and without bytes that are not UTF-8. Most paths have none.
pub fn interpretations(path: &str) -> impl Iterator<Item = String> {
    let whole = (!is_plain(path)).then_some(path);
    whole
        .into_iter()
        .chain(path_behind_host(path))
        .flat_map(|path| {
            let has_parameter = path.contains(';') || path.contains("%3b") || path.contains("%3B");
            let fewest = if has_parameter { 0 } else { border::ANY };
            (fewest..=border::ANY).flat_map(move |ends| texts(&normalized(path, ends)))
        })
}

/// Whether it contains nothing that a backend would normalize.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let mut pairs = bytes.windows(2);
    !bytes.iter().any(|byte| b"%\\;".contains(byte))
        && !pairs.any(|pair| matches!(pair, b"//" | b"/."))
}

/// The path behind the host, if `//` begins one: that is how URL parsers read a reference, such as `new URL` in Node (RFC
/// 3986 section 4.2, WHATWG URL).
fn path_behind_host(path: &str) -> Option<&str> {
    let rest = path.trim_start_matches(['/', '\\']);
    let is_host = path.len() - rest.len() > 1;
    let path = || rest.find(['/', '\\']).map_or("/", |end| &rest[end..]);
    is_host.then(path)
}

/// The path with everything normalized that some backend normalizes: percent-encoding, backslashes, parameters of segments,
/// empty and `.` segments; and without trailing blanks and control characters, as `$` in a regular expression of Python or
/// PHP also matches before a final line feed.
///
/// `ends` are the separators that end a parameter, beside a plain slash: Tomcat removes parameters before it decodes, others
/// do so in another order.
fn normalized(path: &str, ends: u8) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut is_parameter = false;
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = decode_first(rest) {
        let is_written = rest.len() - after.len() == 1;
        rest = after;
        match (byte, border::of(byte, is_written)) {
            (_, Some(border)) if !is_parameter || border & ends == border => {
                is_parameter = false;
                drop_dot_segment(&mut plain);
                if plain.last() != Some(&b'/') {
                    plain.push(b'/');
                }
            }
            (b';', _) => is_parameter = true,
            _ if is_parameter => {}
            _ => plain.push(byte),
        }
    }
    drop_dot_segment(&mut plain);
    while plain.last().is_some_and(|last| *last <= b' ') {
        plain.pop();
    }
    plain
}

/// The path as text, with each sequence that is not UTF-8 replaced, as the result is only compared; and without them, as
/// Bottle reads it.
fn texts(path: &[u8]) -> impl Iterator<Item = String> + use<> {
    let replaced = String::from_utf8_lossy(path).into_owned();
    let valid = path.utf8_chunks().map(|chunk| chunk.valid());
    let without = str::from_utf8(path).is_err().then(|| {
        let valid: String = valid.collect();
        valid.trim_end_matches(|last| last <= ' ').to_owned()
    });
    [Some(replaced), without].into_iter().flatten()
}

/// Separators of segments. Each but the plain slash has a bit.
mod border {
    pub(super) const ANY: u8 = 0b111;

    /// The bit of a separator; `None` for other bytes.
    pub(super) fn of(byte: u8, is_written: bool) -> Option<u8> {
        match (byte, is_written) {
            (b'/', true) => Some(0),
            (b'\\', true) => Some(0b001),
            (b'/', false) => Some(0b010),
            (b'\\', false) => Some(0b100),
            _ => None,
        }
    }
}

/// Removes a last segment that is `.`.
fn drop_dot_segment(plain: &mut Vec<u8>) {
    if plain.ends_with(b"/.") {
        plain.pop();
    }
}

/// What a segment contains so far.
#[derive(Clone, Copy)]
enum Segment {
    /// Only dots; how many.
    Dots(usize),
    /// Anything else.
    Name,
}

/// The first byte, decoded (RFC 3986 section 2.1), and the rest.
fn decode_first(path: &[u8]) -> Option<(u8, &[u8])> {
    let (&first, rest) = path.split_first()?;
    if let (b'%', [high, low, after @ ..]) = (first, rest)
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        return Some((high << 4 | low, after));
    }
    Some((first, rest))
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_parent_segments_in_every_spelling() {
        let cases = [
            "/..",
            "/chat/../admin",
            "/chat/..%2fadmin",
            "/chat/%2e%2E/admin",
            "/chat/.%2e\\admin",
            "/chat%2F..%5Cadmin",
            "/chat/..;/admin",
            "/chat/..%3bx=1/admin",
            "/chat/%2e%2e;/admin",
            "/..;x/y",
        ];
        for path in cases {
            assert!(has_parent_segment(path), "{path}");
        }
    }

    #[test]
    fn lets_other_dots_be() {
        for path in [
            "",
            "/",
            "/chat",
            "/a.b",
            "/.well-known/x",
            "/./x/.",
            "/...",
            "/..a",
            "/a..",
            "/a;../b",
            "/...;/b",
            "/%2",
            "/a%",
        ] {
            assert!(!has_parent_segment(path), "{path}");
        }
    }

    #[test]
    fn undoes_what_backends_may_undo() {
        for (path, plain) in [
            ("/%63hat", "/chat"),
            ("//chat", "/chat"),
            ("/x//chat", "/x/chat"),
            ("/./chat/./x/.", "/chat/x/"),
            ("/x/%2e/.//./y", "/x/y"),
            ("/x/.;a=1/y", "/x/y"),
            ("/.well-known/a.", "/.well-known/a."),
            ("/.", "/"),
            ("/chat;x=1/y", "/chat/y"),
            ("/chat%3bx", "/chat"),
            ("/chat%2Fx", "/chat/x"),
            ("/chat%5cx", "/chat/x"),
            ("/chat\\x", "/chat/x"),
            ("/100%", "/100%"),
            ("/%e9", "/\u{fffd}"),
            ("/chat%0a", "/chat"),
            ("/chat%20%0D%0a", "/chat"),
            ("/a%0ab", "/a\nb"),
        ] {
            let read = normalized(path, border::ANY);
            assert_eq!(String::from_utf8_lossy(&read), plain, "{path}");
        }
    }

    #[test]
    fn reads_parameters_in_every_order() {
        for path in [
            "/;x/chat",
            "/;%2fx/chat",
            "/;x%5cy/chat",
            "/.;%2fx/chat",
            "/%3b\\x/chat",
            "/;\\x%2fchat",
            "/;%2fx\\chat",
            "/;%5cx%2Fchat",
            "//x/;%2fy/chat",
        ] {
            assert!(interpretations(path).any(|read| read == "/chat"), "{path}");
        }
    }

    #[test]
    fn leaves_out_what_is_not_utf8() {
        for path in ["/chat%85", "/ch%ffat", "/chat%c0%af", "/chat%0a%85"] {
            assert!(interpretations(path).any(|read| read == "/chat"), "{path}");
        }
        assert_eq!(interpretations("/%c3%a9").collect::<Vec<_>>(), ["/é"]);
    }

    #[test]
    fn knows_what_is_encoded_soundly() {
        for path in ["", "/", "/%2f%2F", "/%e9x%41"] {
            assert!(has_valid_encoding(path), "{path}");
        }
        for path in ["%", "/%2", "/100%", "/%u0061", "/%2%66", "/%%41", "/%4é"] {
            assert!(!has_valid_encoding(path), "{path}");
        }
    }

    #[test]
    fn reads_no_host_as_some_do() {
        for (path, rest) in [
            ("/chat", None),
            ("/x//chat", None),
            ("//", Some("/")),
            ("//x", Some("/")),
            ("//x/chat", Some("/chat")),
            ("///x/chat", Some("/chat")),
            ("/\\x\\chat", Some("\\chat")),
            ("//x//y/chat", Some("//y/chat")),
        ] {
            assert_eq!(path_behind_host(path), rest, "{path}");
        }
        let read: Vec<String> = interpretations("//x\\%63hat").collect();
        assert_eq!(read, ["/x/chat", "/chat"]);
    }
}
