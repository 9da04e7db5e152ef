//! Patterns: hosts, paths and origins.

use std::net::Ipv6Addr;

use crate::config::host::HostPattern;
use crate::config::origin::{OriginFault, OriginPattern};
use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::quote;

impl FromText for HostPattern {
    type Value = Self;

    const WANTED: &'static str = "a host such as `chat.example.com`";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        parse_host(text).map_err(Complaint::from)
    }
}

fn parse_host(text: &str) -> Result<HostPattern, String> {
    if text.contains('/') {
        return Err(format!(
            "{} has a slash: a host has neither scheme nor path",
            quote(text)
        ));
    }
    if text == "*" || text == "_" {
        return Err("leave `hosts` out to match any host".to_owned());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address needs brackets: `[{text}]`"));
    }
    if text.contains(':') && !text.ends_with(']') {
        return Err(format!(
            "{} has a port: hosts are compared without",
            quote(text)
        ));
    }
    HostPattern::parse(text).map_err(|fault| fault.to_string())
}

impl FromText for OriginPattern {
    type Value = Self;

    const WANTED: &'static str = "an origin such as `https://app.example.com`";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        Self::parse(text).map_err(|fault| explain(text, fault))
    }
}

fn explain(text: &str, fault: OriginFault) -> Complaint {
    let suggestion = match fault {
        OriginFault::Path => text.strip_suffix('/').and_then(spelt),
        OriginFault::Scheme => spelt(&format!("https://{text}")),
        _ => None,
    };
    if text == "*" || text.eq_ignore_ascii_case("any") {
        return "every origin is allowed by `origins: any`".into();
    }
    if text == "same" {
        return "the address that is asked for is allowed by `same: allow` beside `allow`".into();
    }
    Complaint {
        message: format!("{}: {fault}", quote(text)),
        suggestion,
    }
}

/// A text in its canonical form, if it is a pattern.
fn spelt(text: &str) -> Option<String> {
    OriginPattern::parse(text)
        .ok()
        .map(|pattern| pattern.to_string())
}

/// The path of a route, as written.
pub(in crate::config) enum PathText {}

impl FromText for PathText {
    type Value = String;

    const WANTED: &'static str = "a path such as `/chat`";
    const PATTERN: &'static str = "^/([^?#%;\\\\<>`]*[^?#%;\\\\<>`*])?$";

    fn from_text(text: &str) -> Result<String, Complaint> {
        parse_path(text).map_err(Complaint::from)
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("{} must begin with a slash", quote(text)));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a path is visible ASCII".to_owned());
    }
    // Requests with these in their path are refused if another route would answer without them.
    if text.contains(['%', ';', '\\']) {
        return Err(
            "a path with `%`, `;` or `\\` can be read in two ways: take the part before it"
                .to_owned(),
        );
    }
    if text.contains(['?', '#']) {
        return Err("a path ends before the query".to_owned());
    }
    if text.contains(['<', '>', '`']) {
        return Err("no request has `<`, `>` or a backtick in its path".to_owned());
    }
    if text.ends_with('*') {
        let path = match text.trim_end_matches('*').trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        return Err(format!("a path takes all that is below it: write `{path}`"));
    }
    if text.contains("//") || text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("a path holds no empty segment and no `.` or `..`".to_owned());
    }
    Ok(text.to_owned())
}
