//! The texts of a request for the log. They are limited and stored compactly, as they stay in memory as long as the session.

use http::Method;
use http::header::{ORIGIN, USER_AGENT};
use http::uri::PathAndQuery;

use super::super::line::Line;
use super::Request;

/// Capacity for the texts of a typical request, to avoid reallocation.
const USUAL_LENGTH: usize = 512;

/// Separates the values. No header value and no target can contain it (RFC 9110 section 5.5).
const SEPARATOR: char = '\0';

/// Marks the end of a truncated value.
const CUT: char = '…';

const METHOD_LIMIT: usize = 32;
const HOST_LIMIT: usize = 256;
const PATH_LIMIT: usize = 1024;
const ORIGIN_LIMIT: usize = 256;
const USER_AGENT_LIMIT: usize = 256;

/// The texts of a request in one allocation; empty if no line will be written.
#[derive(Default)]
pub(super) struct Facts(Box<str>);

impl Facts {
    pub(super) fn of(request: &Request<'_>, redact_query: bool) -> Self {
        let header = |name| {
            request
                .headers
                .get(name)
                .map_or(&[][..], |value| value.as_bytes())
        };
        let host = request.host;
        // Without userinfo, which may contain a password (RFC 9110 section 4.2.4).
        let host = host.rsplit(|byte| *byte == b'@').next().unwrap_or(host);
        let target = request.target.map_or("", PathAndQuery::as_str);
        let mut texts = String::with_capacity(USUAL_LENGTH);
        push(&mut texts, request.id.as_bytes(), usize::MAX);
        let method = request.method.map_or("", Method::as_str);
        push(&mut texts, method.as_bytes(), METHOD_LIMIT);
        push(&mut texts, host, HOST_LIMIT);
        match target.split_once('?') {
            Some((path, query)) if redact_query => {
                push(&mut texts, redacted(path, query).as_bytes(), PATH_LIMIT);
            }
            Some(_) | None => push(&mut texts, target.as_bytes(), PATH_LIMIT),
        }
        push(&mut texts, header(ORIGIN), ORIGIN_LIMIT);
        push(&mut texts, header(USER_AGENT), USER_AGENT_LIMIT);
        Self(texts.into_boxed_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `request_id`.
    pub(super) fn write_identity(&self, line: &mut Line) {
        self.write(line, &["request_id"], 0);
    }

    /// Adds those of `host`, `path`, `origin` and `user_agent` that are not empty.
    pub(super) fn write_request(&self, line: &mut Line) {
        self.write(line, &["host", "path", "origin", "user_agent"], 2);
    }

    /// The same with the query redacted, of texts in which it is not.
    pub(super) fn write_redacted_request(&self, line: &mut Line) {
        self.write(line, &["host"], 2);
        let target = self.0.split(SEPARATOR).nth(3).unwrap_or_default();
        match target.split_once('?') {
            Some((path, query)) => line.text("path", &redacted(path, query)),
            None => self.write(line, &["path"], 3),
        }
        self.write(line, &["origin", "user_agent"], 4);
    }

    /// Adds the `method` of a plain request.
    pub(super) fn write_method(&self, line: &mut Line) {
        self.write(line, &["method"], 1);
    }

    fn write(&self, line: &mut Line, keys: &[&str], first: usize) {
        for (key, value) in keys.iter().zip(self.0.split(SEPARATOR).skip(first)) {
            if !value.is_empty() {
                line.text(key, value);
            }
        }
    }
}

/// Appends a value, truncated to `limit` bytes, and the separator.
fn push(texts: &mut String, value: &[u8], limit: usize) {
    let kept = &value[..value.len().min(limit)];
    match str::from_utf8(kept) {
        Ok(kept) => texts.push_str(kept),
        // Only if needed, as this takes many times as long as the check, even for valid UTF-8.
        Err(_) => texts.push_str(&String::from_utf8_lossy(kept)),
    }
    if value.len() > limit {
        texts.push(CUT);
    }
    texts.push(SEPARATOR);
}

/// The target with the values of its query replaced. Names stay; a pair without a name or a value is replaced as a whole, as
/// it may be a token.
fn redacted(path: &str, query: &str) -> String {
    let mut target = String::with_capacity(path.len() + query.len() + 16);
    target.push_str(path);
    for (place, pair) in query.split('&').enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() => target.extend([name, "=***"]),
            Some(_) | None => target.push_str("***"),
        }
    }
    target
}
