//! Origins (RFC 6454) and the patterns that allow them.
//!
//! Two origins are equal if scheme, host and port are equal: scheme and host ignoring case, default ports filled in.
//! What does not parse is never allowed.

use std::fmt;
use std::iter;
use std::ops::Deref;
use std::sync::Arc;

use super::host::{HostFault, HostPattern, PortFault, spell, split_port};

/// Which origins may open sessions on a route (RFC 6455 section 10.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origins {
    /// The check is off.
    Any,
    /// Only these.
    List(OriginList),
}

/// The origins that are allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginList {
    /// Patterns; one that matches suffices.
    pub allow: OriginPatterns,
    /// Whether pages are allowed that were loaded from the address that they connect to.
    pub allow_same: bool,
    /// Whether a request without Origin is allowed.
    pub allow_missing: bool,
    /// Whether `Origin: null` is allowed.
    pub allow_opaque: bool,
}

impl OriginList {
    /// Whether one of the patterns matches.
    #[must_use]
    pub fn allows(&self, origin: &Origin) -> bool {
        let mut matching = self.allow.matching_on_any_port(origin);
        matching.any(|pattern| pattern.port == origin.port)
    }
}

/// Patterns for origins, sorted to be looked up. There may be many, such as one for each customer; all routes that inherit
/// them share them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OriginPatterns(Arc<[OriginPattern]>);

impl OriginPatterns {
    /// The patterns that match an origin whatever its port.
    pub(super) fn matching_on_any_port<'o>(
        &'o self,
        origin: &'o Origin,
    ) -> impl Iterator<Item = &'o OriginPattern> {
        let Origin { scheme, host, .. } = origin;
        // What is left of the host behind one or more labels.
        let dots = host.match_indices('.').filter(|(dot, _)| *dot > 0);
        let wildcards = dots.map(|(dot, _)| (&**scheme, true, &host[dot + 1..]));
        let keys = iter::once((&**scheme, false, &**host)).chain(wildcards);
        keys.flat_map(|key| {
            let first = self.0.partition_point(|it| it.key() < key);
            let others = self.0[first..].iter();
            others.take_while(move |it| it.key() == key)
        })
    }
}

impl From<Vec<OriginPattern>> for OriginPatterns {
    fn from(mut patterns: Vec<OriginPattern>) -> Self {
        patterns.sort_by(|one, other| (one.key(), one.port).cmp(&(other.key(), other.port)));
        patterns.dedup();
        Self(patterns.into())
    }
}

impl Deref for OriginPatterns {
    type Target = [OriginPattern];

    fn deref(&self) -> &[OriginPattern] {
        &self.0
    }
}

/// An origin as a browser sends it: scheme, host and port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Reads the value of an Origin header (RFC 6454 section 6.2).
    ///
    /// # Errors
    /// [`OriginFault::Opaque`] for `null` and `file://`; else says which part is not that of an origin.
    pub fn parse(text: &str) -> Result<Self, OriginFault> {
        let (scheme, host, port) = split(text)?;
        Ok(Self {
            port: port.or(default_port(&scheme)),
            host: match has_dot_for_host(&scheme, host) {
                true => host.to_owned(),
                false => spell(host)?,
            },
            scheme,
        })
    }
}

/// As a browser writes it: without a default port.
impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.host)?;
        write_port(formatter, &self.scheme, self.port)
    }
}

/// A pattern for origins: scheme, host (exact, or `*.` and a suffix) and port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginPattern {
    scheme: String,
    host: HostPattern,
    port: Option<u16>,
}

impl OriginPattern {
    /// Reads `https://app.example.com`, `https://*.example.com:8443` and the like.
    ///
    /// # Errors
    /// Says which part is not that of an origin.
    pub fn parse(text: &str) -> Result<Self, OriginFault> {
        let (scheme, host, port) = split(text)?;
        let host = match has_dot_for_host(&scheme, host) {
            true => HostPattern::Exact(host.to_owned()),
            false => HostPattern::parse(host)?,
        };
        Ok(Self {
            port: port.or(default_port(&scheme)),
            host,
            scheme,
        })
    }

    /// Whether an origin matches; `*.` stands for one or more labels, never for none.
    #[must_use]
    pub fn matches(&self, origin: &Origin) -> bool {
        let is_alike = self.port == origin.port && self.scheme == origin.scheme;
        is_alike && self.host.matches(&origin.host)
    }

    /// By what it is looked up: the scheme, whether it is a wildcard, and the host or its suffix.
    fn key(&self) -> (&str, bool, &str) {
        match &self.host {
            HostPattern::Exact(host) => (&self.scheme, false, host),
            HostPattern::Wildcard(suffix) => (&self.scheme, true, suffix),
        }
    }

    /// For a `ws` or `wss` origin, which no page has: the origin of pages on the same host. A wildcard stays one.
    pub(super) fn page_of_socket(&self) -> Option<Origin> {
        let scheme = match &*self.scheme {
            "ws" => "http",
            "wss" => "https",
            _ => return None,
        };
        Some(Origin {
            scheme: scheme.to_owned(),
            host: self.host.to_string(),
            port: self.port,
        })
    }
}

/// As it is written in a configuration.
impl fmt::Display for OriginPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.host)?;
        write_port(formatter, &self.scheme, self.port)
    }
}

/// Why a text is not an origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OriginFault {
    /// `null`, or `file://` as Electron and Android write it: the origin of sandboxed documents and local files, which names
    /// nobody.
    #[error("`{0}` is an opaque origin, which no pattern can name: see `opaque`")]
    Opaque(&'static str),
    /// No `scheme://` at the beginning.
    #[error("an origin begins with its scheme, such as `https://`")]
    Scheme,
    /// Something follows the port, even if only a slash.
    #[error("an origin ends after host and port, without a slash or a path")]
    Path,
    /// A user name or password.
    #[error("an origin holds no user name and no password")]
    UserInfo,
    /// White space, or several origins in a row.
    #[error("an origin holds no white space: one origin at a time")]
    WhiteSpace,
    /// Not a host.
    #[error(transparent)]
    Host(#[from] HostFault),
    /// Not a port.
    #[error(transparent)]
    Port(#[from] PortFault),
}

/// What browsers send for opaque origins, which have no scheme, host and port to compare (RFC 6454 section 4).
const OPAQUE: [&str; 2] = ["null", "file://"];

/// Splits a text into scheme (in lower case), host as written, and port as written.
fn split(text: &str) -> Result<(String, &str, Option<u16>), OriginFault> {
    if let Some(opaque) = OPAQUE.into_iter().find(|opaque| *opaque == text) {
        return Err(OriginFault::Opaque(opaque));
    }
    if text
        .bytes()
        .any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
    {
        return Err(OriginFault::WhiteSpace);
    }
    let (scheme, authority) = text.split_once("://").ok_or(OriginFault::Scheme)?;
    if !is_scheme(scheme) {
        return Err(OriginFault::Scheme);
    }
    if authority.contains(['/', '\\', '?', '#']) {
        return Err(OriginFault::Path);
    }
    if authority.contains('@') {
        return Err(OriginFault::UserInfo);
    }
    let (host, port) = split_port(authority)?;
    Ok((scheme.to_ascii_lowercase(), host, port))
}

/// Whether it is the origin of a page such as `app://./index.html`, as many Electron applications load it.
fn has_dot_for_host(scheme: &str, host: &str) -> bool {
    host == "." && default_port(scheme).is_none()
}

/// RFC 3986 section 3.1.
fn is_scheme(scheme: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_allowed)
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

fn write_port(formatter: &mut fmt::Formatter<'_>, scheme: &str, port: Option<u16>) -> fmt::Result {
    match port {
        Some(port) if default_port(scheme) != Some(port) => write!(formatter, ":{port}"),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, origin: &str) -> bool {
        let pattern = OriginPattern::parse(pattern).expect(pattern);
        Origin::parse(origin).is_ok_and(|origin| pattern.matches(&origin))
    }

    proptest! {
        #[test]
        fn a_list_allows_what_one_of_its_patterns_matches(
            patterns in vec("(https?|app)://(\\*\\.)?[a-b](\\.[a-b]){0,2}(:8[01])?", 0..20),
            origin in "(https?|app)://[a-b](\\.[a-b]){0,3}(:8[01])?",
        ) {
            let patterns = patterns.iter().map(|text| OriginPattern::parse(text).expect("a pattern"));
            let patterns: Vec<_> = patterns.collect();
            let origin = Origin::parse(&origin).expect("an origin");
            let matches = patterns.iter().any(|pattern| pattern.matches(&origin));
            let list = OriginList {
                allow: patterns.into(),
                allow_same: false,
                allow_missing: false,
                allow_opaque: false,
            };
            prop_assert_eq!(list.allows(&origin), matches);
        }
    }

    #[test]
    fn scheme_host_and_port_must_be_equal() {
        assert!(matches(
            "https://app.example.com",
            "https://app.example.com"
        ));
        assert!(!matches(
            "https://app.example.com",
            "http://app.example.com"
        ));
        assert!(!matches(
            "https://app.example.com",
            "https://app.example.com:8443"
        ));
        assert!(!matches("https://app.example.com", "https://example.com"));
        assert!(!matches(
            "https://app.example.com",
            "https://app.example.com.evil.test"
        ));
        assert!(!matches(
            "https://app.example.com",
            "https://evilapp.example.com"
        ));
        assert!(!matches(
            "https://app.example.com",
            "https://app-example.com"
        ));
        assert!(!matches("https://app.example.com", "wss://app.example.com"));
    }

    #[test]
    fn case_and_default_ports_make_no_difference() {
        assert!(matches(
            "HTTPS://App.Example.com",
            "https://app.example.COM:443"
        ));
        assert!(matches("http://localhost:80", "http://localhost"));
        assert!(matches("ws://localhost", "ws://localhost:80"));
        assert!(matches("wss://localhost:443", "wss://localhost"));
        assert!(!matches("http://localhost:443", "http://localhost"));
    }

    #[test]
    fn applications_may_have_a_dot_for_a_host() {
        assert!(matches("app://.", "app://."));
        assert!(!matches("app://.", "app://a"));
        assert!(!matches("app://.", "other://."));
        assert_eq!(
            OriginPattern::parse("app://.").unwrap().to_string(),
            "app://."
        );
        assert!(OriginPattern::parse("https://.").is_err());
        assert!(OriginPattern::parse("app://..").is_err());
    }

    #[test]
    fn a_wildcard_takes_one_label_or_more_but_never_none() {
        assert!(matches("https://*.example.com", "https://a.example.com"));
        assert!(matches("https://*.example.com", "https://a.b.example.com"));
        assert!(!matches("https://*.example.com", "https://example.com"));
        assert!(!matches("https://*.example.com", "https://.example.com"));
        assert!(!matches("https://*.example.com", "https://aexample.com"));
        assert!(!matches(
            "https://*.example.com",
            "https://a.example.com.evil.test"
        ));
        assert!(!matches(
            "https://*.example.com",
            "https://a.example.com:8443"
        ));
        assert!(matches(
            "https://*.example.com:8443",
            "https://a.example.com:8443"
        ));
    }

    #[test]
    fn addresses_and_schemes_of_applications_are_origins_too() {
        assert!(matches(
            "http://[::1]:3000",
            "http://[0:0:0:0:0:0:0:1]:3000"
        ));
        assert!(matches("http://127.0.0.1:3000", "http://127.0.0.1:3000"));
        assert!(matches(
            "chrome-extension://abcdef",
            "chrome-extension://abcdef"
        ));
        assert!(!matches(
            "chrome-extension://abcdef",
            "moz-extension://abcdef"
        ));
        assert!(matches("app://x", "app://x"));
    }

    #[test]
    fn what_is_no_origin_says_why() {
        let host = OriginFault::Host;
        let cases = [
            ("null", OriginFault::Opaque("null")),
            ("file://", OriginFault::Opaque("file://")),
            ("", OriginFault::Scheme),
            ("app.example.com", OriginFault::Scheme),
            ("https:app.example.com", OriginFault::Scheme),
            ("://app.example.com", OriginFault::Scheme),
            ("1https://app.example.com", OriginFault::Scheme),
            ("https://app.example.com/", OriginFault::Path),
            ("https://app.example.com/path", OriginFault::Path),
            ("https://app.example.com?query", OriginFault::Path),
            ("https://app.example.com#fragment", OriginFault::Path),
            ("https://app.example.com\\@evil.test", OriginFault::Path),
            ("https://app.example.com@evil.test", OriginFault::UserInfo),
            (" https://app.example.com", OriginFault::WhiteSpace),
            (
                "https://a.example.com https://b.example.com",
                OriginFault::WhiteSpace,
            ),
            ("https://a.example.com\0", OriginFault::WhiteSpace),
            ("https://", host(HostFault::Empty)),
            ("https://:443", host(HostFault::Empty)),
            ("https://a..example.com", host(HostFault::Name)),
            ("https://example.com.", host(HostFault::Name)),
            ("https://a,https", host(HostFault::Name)),
            ("https://%61.example.com", host(HostFault::Name)),
            ("https://b\u{fc}cher.example", host(HostFault::NotAscii)),
            ("https://256.0.0.1", host(HostFault::Ipv4)),
            ("https://[::1", host(HostFault::Ipv6)),
            ("https://[::g]", host(HostFault::Ipv6)),
            ("https://[fe80::1%25eth0]", host(HostFault::Ipv6)),
            ("https://app.example.com:", OriginFault::Port(PortFault)),
            ("https://app.example.com:0", OriginFault::Port(PortFault)),
            ("https://app.example.com:0443", OriginFault::Port(PortFault)),
            ("https://app.example.com:+443", OriginFault::Port(PortFault)),
            (
                "https://app.example.com:65536",
                OriginFault::Port(PortFault),
            ),
            ("https://a:1:2", host(HostFault::Ipv6)),
            ("https://::1", host(HostFault::Ipv6)),
            ("https://[::1]443", host(HostFault::Ipv6)),
            ("https://*.example.com", host(HostFault::Wildcard)),
        ];
        for (text, fault) in cases {
            assert_eq!(Origin::parse(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn patterns_have_their_star_at_the_beginning_only() {
        let cases = [
            ("https://*", HostFault::Wildcard),
            ("https://a*.example.com", HostFault::Wildcard),
            ("https://a.*.example.com", HostFault::Wildcard),
            ("https://*.*.example.com", HostFault::Wildcard),
            ("https://*.", HostFault::Empty),
            ("https://*.127.0.0.1", HostFault::WildcardAddress),
            ("https://*.[::1]", HostFault::WildcardAddress),
        ];
        for (text, fault) in cases {
            assert_eq!(
                OriginPattern::parse(text),
                Err(OriginFault::Host(fault)),
                "{text:?}"
            );
        }
    }
}
