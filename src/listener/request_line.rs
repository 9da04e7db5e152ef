//! Finds a fragment in a request target (RFC 9112 section 3.2 knows none), which hyper would cut off: `DELETE /a/#b` would
//! delete `/a/`.

/// How much was read of a request line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RequestLine {
    /// At most empty lines, which may precede a request (RFC 9112 section 2.2).
    Awaited,
    Method,
    /// The space in front of the target.
    Space,
    /// The scheme of a target that is a URL.
    Scheme,
    Target,
    /// The target is complete. Or this is no request line: the beginning of the head, or of a body, came with the last
    /// request.
    Complete,
    /// Behind a `#` in what looks like a target.
    Fragment,
    /// So many bytes of [`VERSION`] are behind that.
    Version(usize),
    /// The target of a request has a `#`.
    HasFragment,
}

/// What is behind the target of a request, and hardly behind anything else that begins as a request line does.
const VERSION: &[u8] = b"HTTP/1.";

impl RequestLine {
    /// Goes on with the next bytes of the stream.
    pub(super) fn follow(&mut self, received: &[u8]) {
        for byte in received {
            *self = match (*self, byte) {
                (Self::Complete | Self::HasFragment, _) => return,
                (Self::Awaited, b'\r' | b'\n') => Self::Awaited,
                (Self::Awaited | Self::Method, byte) if is_of_method(*byte) => Self::Method,
                (Self::Method, b' ') => Self::Space,
                (Self::Space | Self::Target, b'#') => Self::Fragment,
                (Self::Fragment, b' ') => Self::Version(0),
                (Self::Fragment, byte) if *byte != b'\n' => Self::Fragment,
                (Self::Version(length), byte) if *byte == VERSION[length] => {
                    match length + 1 == VERSION.len() {
                        true => Self::HasFragment,
                        false => Self::Version(length + 1),
                    }
                }
                (Self::Space, b'/') | (Self::Space | Self::Scheme, b':') => Self::Target,
                (Self::Space | Self::Scheme, byte) if is_of_scheme(*byte) => Self::Scheme,
                (Self::Target, b' ' | b'\n') => Self::Complete,
                (Self::Target, _) => Self::Target,
                (
                    Self::Awaited
                    | Self::Method
                    | Self::Space
                    | Self::Scheme
                    | Self::Fragment
                    | Self::Version(_),
                    _,
                ) => Self::Complete,
            };
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_of_method(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 3986 section 3.1, and `~`, which hyper takes as well.
fn is_of_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(parts: &[&str]) -> bool {
        let mut line = RequestLine::Awaited;
        for part in parts {
            line.follow(part.as_bytes());
        }
        line == RequestLine::HasFragment
    }

    #[test]
    fn finds_a_fragment_in_the_target_alone() {
        assert!(finds(&["DELETE /a/#b HTTP/1.1\r\nHost: h\r\n\r\n"]));
        assert!(finds(&["\r\n", "\r\nGET /a?b=1", "#c HTTP/1.1\r\n"]));
        assert!(finds(&["M-SEARCH http://h#a HTTP/1.1\r\n"]));
        assert!(finds(&["G", "ET", " ", "/", "a", "#", " HT", "TP/1", "."]));
        assert!(finds(&["X_1 WS://h/a#b HTTP/1.1\r\n"]));
        assert!(finds(&["DELETE s3~", "+x://h/a#b HTTP/1.1\r\n"]));
        assert!(finds(&["DELETE ://h/a#b HTTP/1.1\r\n"]), "hyper takes it");
        assert!(finds(&["D#E /a#b HTTP/1.1\r\n"]));
        assert!(!finds(&["D#E /a HTTP/1.1\r\n"]));
        assert!(!finds(&["GET /a HTTP/1.1\r\n", "Referer: /#b\r\n\r\n#"]));
        assert!(!finds(&["rer: /#b\r\n\r\n"]));
        assert!(!finds(&["some text #1"]));
        // The middle of a head, whose beginning came with the last request.
        assert!(!finds(&["ee /doc#part\r\nHost: h\r\n\r\n"]));
        assert!(!finds(&["s urn:x#part HTTP, and more\r\n\r\n"]));
    }
}
