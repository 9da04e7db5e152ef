//! Hosts of requests, in the form in which routes compare them.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// The longest DNS name, in bytes (RFC 1035 section 2.3.4). A longer host matches no pattern.
const NAME_LENGTH_MAX: usize = 253;

/// The host without port and trailing dot, in lower case; an IPv6 address in brackets and in its short form (RFC 5952).
///
/// An invalid authority (RFC 3986 section 3.2) becomes empty, and matches no pattern.
pub(super) fn normalize(authority: &str) -> Cow<'_, str> {
    let host = without_port(authority).unwrap_or_default();
    if let Some(literal) = host.strip_prefix('[') {
        let address = literal
            .strip_suffix(']')
            .and_then(|text| text.parse::<Ipv6Addr>().ok());
        return address.map_or_else(Cow::default, |address| Cow::Owned(format!("[{address}]")));
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.len() > NAME_LENGTH_MAX {
        return Cow::default();
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(host.to_ascii_lowercase());
    }
    Cow::Borrowed(host)
}

/// Whether it is a host (RFC 3986 section 3.2.2) with or without a port, or empty.
///
/// Percent-encoding and user information are not accepted: a backend that decodes or strips them would see the host of
/// another route.
#[must_use]
pub fn is_valid_authority(authority: &str) -> bool {
    let Some(host) = without_port(authority) else {
        return false;
    };
    match host.strip_prefix('[') {
        Some(_) => !normalize(host).is_empty(),
        // A port without a host is invalid.
        None => host.bytes().all(is_name_byte) && host.is_empty() == authority.is_empty(),
    }
}

/// Whether a registered name may contain it (RFC 3986 section 3.2.2).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

/// The suffixes that a wildcard may precede, longest first: `b.c` and `c` for `a.b.c`.
///
/// Stops at an empty label, which a wildcard does not match.
pub(super) fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |rest| {
        rest.split_once('.')
            .filter(|(label, _)| !label.is_empty())
            .map(|(_, suffix)| suffix)
    })
    .skip(1)
}

/// The host part of an authority, unchanged; `None` if a bracket is not closed, or what follows the host is not a port.
#[must_use]
pub fn without_port(authority: &str) -> Option<&str> {
    let after_literal = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        0
    };
    let mut behind = authority.as_bytes()[after_literal..].iter();
    let Some(colon) = behind.position(|byte| *byte == b':') else {
        return Some(authority);
    };
    let (host, port) = authority.split_at(after_literal + colon);
    is_port(&port[1..]).then_some(host)
}

/// Whether it is a port number, or empty.
fn is_port(text: &str) -> bool {
    // `parse` accepts a plus sign.
    text.is_empty() || !text.starts_with('+') && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_off_what_does_not_distinguish_hosts() {
        let cases = [
            ("chat.example.com", "chat.example.com"),
            ("chat.example.com:8443", "chat.example.com"),
            ("chat.example.com:", "chat.example.com"),
            ("Chat.Example.COM.", "chat.example.com"),
            ("chat.example.com.:443", "chat.example.com"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("[::1]", "[::1]"),
            ("[2001:DB8:0::1]:8443", "[2001:db8::1]"),
        ];
        for (authority, host) in cases {
            assert_eq!(normalize(authority), host, "{authority}");
        }
    }

    #[test]
    fn makes_nothing_of_what_is_no_authority() {
        let long = "a.".repeat(200);
        let cases = [
            "",
            ":80",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]]",
            "[a]",
            "[::1]x:80",
            "chat:80:80",
            "chat:x",
            &long,
        ];
        for authority in cases {
            assert_eq!(normalize(authority), "", "{authority}");
        }
    }

    #[test]
    fn tells_what_is_no_authority() {
        for sound in [
            "",
            "chat.example.com",
            "chat.example.com.:443",
            "under_score:",
            "192.0.2.1:65535",
            "[2001:DB8::1]:08443",
        ] {
            assert!(is_valid_authority(sound), "{sound}");
        }
        for unsound in [
            ":80",
            "chat:x",
            "chat:80:80",
            "chat:8x",
            "chat:65536",
            "chat:+80",
            "[::1]:99999999999999999999",
            "user@chat",
            "chat/",
            "chat?x",
            "a b",
            "chat%2etest",
            "chat\\x",
            "caf\u{e9}",
            "http://chat/",
            "::1",
            "[::1",
            "[a]",
        ] {
            assert!(!is_valid_authority(unsound), "{unsound}");
        }
    }

    #[test]
    fn lists_suffixes_up_to_an_empty_label() {
        let listed = |host| suffixes(host).collect::<Vec<_>>();
        assert_eq!(listed("a.b.c"), ["b.c", "c"]);
        assert_eq!(listed("a"), [""; 0]);
        assert_eq!(listed(".b.c"), [""; 0]);
        assert_eq!(listed("a..c"), [".c"]);
        assert_eq!(listed(""), [""; 0]);
    }

    #[test]
    fn allocates_only_for_capitals() {
        assert!(matches!(
            normalize("chat.example.com:8443"),
            Cow::Borrowed(_)
        ));
    }
}
