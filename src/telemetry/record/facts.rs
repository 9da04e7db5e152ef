//! The texts of a request for the log. They are limited and rendered once for all lines of the session, and stay in memory as
//! long as it.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, header};

use super::super::line::{Key, Line};
use super::{Request, key};
use crate::config::LogFormat;

/// The length of the keys, of what stands between them and of usual methods.
const KEYS_LENGTH: usize = 96;

/// Marks the end of a truncated value.
const CUT: &str = "…";

/// A field of a request with the maximum length of its value in bytes.
struct Field(&'static Key, usize);

const REQUEST_ID: Field = Field(key!("request_id"), usize::MAX);
const CLIENT: Field = Field(key!("client"), usize::MAX);
const METHOD: Field = Field(key!("method"), 32);
const HOST: Field = Field(key!("host"), 256);
const PATH: Field = Field(key!("path"), 1024);
const ORIGIN: Field = Field(key!("origin"), 256);
const USER_AGENT: Field = Field(key!("user_agent"), 256);

/// The rendered fields of a request in one allocation; empty if no line will be written.
#[derive(Default)]
pub(super) struct Facts {
    rendered: Box<str>,
    /// Where each part ends: `request_id` and `client`; `method`; `host`; `path`, if its query may be told; `path` with the query redacted;
    /// `origin` and `user_agent`. The limits of the values keep all this far below 64 KiB.
    ends: [u16; 6],
}

impl Facts {
    pub(super) fn of(request: &Request<'_>, format: LogFormat, redact_query: bool) -> Self {
        let value_of = |name| (request.headers.get(name)).map_or(&[][..], HeaderValue::as_bytes);
        let (origin, user_agent) = (value_of(header::ORIGIN), value_of(header::USER_AGENT));
        // Without userinfo, which may contain a password (RFC 9110 section 4.2.4).
        let host = request.host.rsplit(|byte| *byte == b'@').next();
        let host = host.unwrap_or(request.host);
        let client = request.peer.to_string();
        let method = request.method.map_or("", Method::as_str).as_bytes();
        let target = request.target.map_or("", PathAndQuery::as_str);
        let path = if redact_query { "" } else { target };
        // In any case: a reload may ask for it.
        let redacted = redacted(target);

        let parts: [&[(Field, &[u8])]; 6] = [
            &[
                (REQUEST_ID, request.id.as_bytes()),
                (CLIENT, client.as_bytes()),
            ],
            &[(METHOD, method)],
            &[(HOST, host)],
            &[(PATH, path.as_bytes())],
            &[(PATH, redacted.as_bytes())],
            &[(ORIGIN, origin), (USER_AGENT, user_agent)],
        ];
        let values = parts.iter().copied().flatten();
        let length: usize = values.map(|(_, value)| value.len().min(PATH.1)).sum();
        let mut line = Line::fields(format, length + KEYS_LENGTH);
        let ends = parts.map(|part| {
            for (field, value) in part {
                add(&mut line, field, value);
            }
            u16::try_from(line.len()).unwrap_or(u16::MAX)
        });
        let rendered = line.into_fields().into_boxed_str();
        Self { rendered, ends }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rendered.is_empty()
    }

    /// Adds `request_id` and `client`.
    pub(super) fn write_identity(&self, line: &mut Line) {
        let [identity, ..] = self.parts();
        line.rendered(identity);
    }

    /// Adds those of `host`, `path`, `origin` and `user_agent` that are not empty.
    pub(super) fn write_request(&self, redact_query: bool, line: &mut Line) {
        let [_, _, host, path, redacted_path, agents] = self.parts();
        line.rendered(host);
        line.rendered(match redact_query || path.is_empty() {
            true => redacted_path,
            false => path,
        });
        line.rendered(agents);
    }

    /// Adds the `method` of a plain request.
    pub(super) fn write_method(&self, line: &mut Line) {
        let [_, method, ..] = self.parts();
        line.rendered(method);
    }

    fn parts(&self) -> [&str; 6] {
        let mut begin = 0;
        self.ends.map(|end| {
            let part = begin..usize::from(end);
            begin = part.end;
            self.rendered.get(part).unwrap_or_default()
        })
    }
}

/// Adds a value, truncated if it is too long, unless it is empty.
fn add(fields: &mut Line, &Field(key, limit): &Field, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    let kept = &value[..value.len().min(limit)];
    let mut text = match str::from_utf8(kept) {
        Ok(kept) => Cow::Borrowed(kept),
        // Only if needed, as this takes many times as long as the check, even for valid UTF-8.
        Err(_) => String::from_utf8_lossy(kept),
    };
    if value.len() > limit {
        text += CUT;
    }
    fields.text(key, &text);
}

/// The target with the values of its query replaced. Names stay; a pair without a name or a value is replaced as a whole, as
/// it may be a token.
fn redacted(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else {
        return Cow::Borrowed(target);
    };
    let mut redacted = String::with_capacity(target.len() + 16);
    redacted.push_str(path);
    for (place, pair) in query.split('&').enumerate() {
        redacted.push(if place == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() => redacted.extend([name, "=***"]),
            Some(_) | None => redacted.push_str("***"),
        }
    }
    Cow::Owned(redacted)
}
