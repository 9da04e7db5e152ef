//! Hosts and patterns for hosts, in one spelling.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A pattern for hosts, in lower case, without a port; an IPv6 address is in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HostPattern {
    /// This host only.
    Exact(String),
    /// One or more labels before this suffix; the suffix is written without the leading `*.`.
    Wildcard(String),
}

impl HostPattern {
    /// Reads `app.example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`.
    ///
    /// # Errors
    /// Says which rule for hosts is broken.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        let Some(suffix) = text.strip_prefix("*.") else {
            return spell(text).map(Self::Exact);
        };
        let suffix = spell(suffix)?;
        if suffix.starts_with('[') || suffix.parse::<Ipv4Addr>().is_ok() {
            return Err(HostFault::WildcardAddress);
        }
        Ok(Self::Wildcard(suffix))
    }

    /// Whether it matches a host, which is in lower case and without a port.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == host,
            Self::Wildcard(suffix) => host
                .strip_suffix(suffix.as_str())
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
        }
    }
}

/// As it is written in a configuration.
impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => formatter.write_str(host),
            Self::Wildcard(suffix) => write!(formatter, "*.{suffix}"),
        }
    }
}

/// Why a text is not a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HostFault {
    /// There is no host.
    #[error("the host is empty")]
    Empty,
    /// A name in another script than ASCII.
    #[error("the host must be ASCII: write an international name in its `xn--` form")]
    NotAscii,
    /// A label is empty or too long, or a character is not allowed in names.
    #[error("the host is not a name: labels of letters, digits, `-` and `_` with dots between")]
    Name,
    /// Numbers and dots that are not an IPv4 address.
    #[error("the host is not an IPv4 address: four numbers up to 255")]
    Ipv4,
    /// Not an IPv6 address in brackets.
    #[error("the host is not an IPv6 address in brackets, such as `[2001:db8::1]`")]
    Ipv6,
    /// `*.` before an address.
    #[error("`*.` is allowed before names only, not before addresses")]
    WildcardAddress,
    /// `*` elsewhere than at the beginning.
    #[error("`*` is allowed only as the whole first label, such as `*.example.com`")]
    Wildcard,
}

/// The canonical spelling of a host: names in lower case, IPv6 addresses in their short form.
pub(super) fn spell(host: &str) -> Result<String, HostFault> {
    /// RFC 1035 section 2.3.4, without the root label.
    const LONGEST: usize = 253;
    if host.is_empty() {
        return Err(HostFault::Empty);
    }
    if !host.is_ascii() {
        return Err(HostFault::NotAscii);
    }
    if host.starts_with('[') || host.contains(':') {
        return spell_ipv6(host);
    }
    if host.contains('*') {
        return Err(HostFault::Wildcard);
    }
    if host.len() > LONGEST || !host.split('.').all(is_label) {
        return Err(HostFault::Name);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
        return Err(HostFault::Ipv4);
    }
    Ok(host.to_ascii_lowercase())
}

fn spell_ipv6(host: &str) -> Result<String, HostFault> {
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: Ipv6Addr = address
        .and_then(|text| text.parse().ok())
        .ok_or(HostFault::Ipv6)?;
    Ok(format!("[{address}]"))
}

fn is_label(label: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty() && label.len() <= 63 && label.bytes().all(is_allowed)
}

/// Splits `host:port`; the port is `None` if there is none, an error if it is not a port.
pub(super) fn split_port(authority: &str) -> Result<(&str, Option<u16>), PortFault> {
    let colon = if authority.starts_with('[') {
        authority.find("]:").map(|bracket| bracket + 1)
    } else if authority.matches(':').count() > 1 {
        // An IPv6 address without brackets: reported as a bad host, not a bad port.
        None
    } else {
        authority.find(':')
    };
    let Some(colon) = colon else {
        return Ok((authority, None));
    };
    let port = &authority[colon + 1..];
    let is_plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    let port = port.parse().ok().filter(|_| is_plain).ok_or(PortFault)?;
    Ok((&authority[..colon], Some(port)))
}

/// The text after the colon is not a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the port must be a number from 1 to 65535")]
pub struct PortFault;
