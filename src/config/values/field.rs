//! Names and values of header fields, methods, and where a redirect leads.

use http::{HeaderName, HeaderValue, Method};

use crate::config::host::{spell, split_port};
use crate::config::model::Piece;
use crate::config::problems::Complaint;
use crate::config::reading::{FromScalar, FromText};
use crate::config::tree::{Kind, Scalar, quote};

impl FromText for HeaderName {
    type Value = Self;

    const WANTED: &'static str = "the name of a header field";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let complaint = || format!("{} is not the name of a header field", quote(text)).into();
        Self::from_bytes(text.as_bytes()).map_err(|_| complaint())
    }
}

impl FromScalar for HeaderValue {
    type Value = Self;

    const WANTED: &'static str = "one line of visible ASCII";

    fn written() -> Vec<serde_json::Value> {
        String::written()
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        let read = String::from_scalar(scalar)?;
        Some(read.and_then(|text| {
            let complaint = "the value of a header field is one line of visible ASCII";
            let mut value = Self::from_str(&text).map_err(|_| Complaint::from(complaint))?;
            // It may be a secret.
            value.set_sensitive(scalar.kind == Kind::Expanded);
            Ok(value)
        }))
    }
}

impl FromText for Method {
    type Value = Self;

    const WANTED: &'static str = "a method such as `PUT`";
    const PATTERN: &'static str = "^[A-Z-]+$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let is_sound = text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        let method = Self::from_bytes(text.as_bytes()).ok();
        let complaint = || format!("{} is not a method: write it in capitals", quote(text)).into();
        method.filter(|_| is_sound).ok_or_else(complaint)
    }
}

/// Where a redirect leads.
pub(in crate::config) enum Destination {}

impl FromText for Destination {
    type Value = Vec<Piece>;

    const WANTED: &'static str = "a URL such as `https://{host}{path}{query}`";

    fn from_text(text: &str) -> Result<Vec<Piece>, Complaint> {
        parse_destination(text).map_err(Complaint::from)
    }
}

fn parse_destination(text: &str) -> Result<Vec<Piece>, String> {
    let mut schemes = ["https://", "http://"].into_iter();
    let scheme = schemes.find(|scheme| text.starts_with(scheme));
    // `{path}` at the beginning, or after one slash, could name another host: `//host`.
    let is_path = text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/{");
    if scheme.is_none() && !is_path {
        return Err(format!(
            "{} must begin with `https://`, `http://`, or a slash and a name",
            quote(text)
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a URL is visible ASCII".to_owned());
    }
    if text.contains('\\') {
        return Err("must not contain `\\`, which browsers take for a slash".to_owned());
    }
    let pieces = pieces(text)?;
    if let Some(scheme) = scheme {
        check_authority(&pieces, scheme)?;
    }
    Ok(pieces)
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a `{` is not closed")?;
        let piece = match name {
            "host" => Piece::Host,
            "path" => Piece::Path,
            "query" => Piece::Query,
            _ => {
                return Err(format!(
                    "{} is none of `host`, `path`, `query`",
                    quote(name)
                ));
            }
        };
        pieces.extend([Piece::Text(before.to_owned()), piece]);
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// Refuses a URL without a valid host. Browsers skip any number of slashes behind `https:`, so that the path of a request
/// would name the host in `https://{path}`.
fn check_authority(pieces: &[Piece], scheme: &str) -> Result<(), String> {
    let mut authority = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                let text = text.strip_prefix(scheme).unwrap_or(text);
                let end = text.find(['/', '?', '#']);
                authority.push_str(&text[..end.unwrap_or(text.len())]);
                if end.is_some() {
                    break;
                }
            }
            Piece::Host => authority.push_str("host"),
            Piece::Path | Piece::Query => break,
        }
    }
    if authority.contains(['$', '%']) {
        return Err("the host contains a variable: that of the request is `{host}`".to_owned());
    }
    let (host, _) = split_port(&authority).map_err(|fault| fault.to_string())?;
    spell(host).map(drop).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_and_their_pieces() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let pieces = parse_destination("https://{host}{path}{query}").expect("a URL");
        let empty = || text("");
        assert_eq!(
            pieces,
            [
                text("https://"),
                Piece::Host,
                empty(),
                Piece::Path,
                empty(),
                Piece::Query,
                empty()
            ]
        );
        for sound in [
            "https://a.test/b",
            "/new",
            "/new{path}",
            "http://a.test{path}",
            "https://a.test:8443{query}",
            "https://{host}:8443{path}",
            "https://www.{host}?from={path}",
            "https://[::1]/x",
            "https://a.test/odata?$filter=x",
        ] {
            assert!(parse_destination(sound).is_ok(), "{sound}");
        }
    }

    #[test]
    fn what_is_no_destination() {
        for text in [
            "",
            "a.test",
            "{path}",
            "/{path}",
            "//a.test",
            "javascript:x",
            "https://a/{x}",
            "https://a/{path",
            "https://a b",
            "https://$host/",
            "https://{path}",
            "https:///x",
            "https://",
            "https://{query}",
            "https://?{path}",
            "https://:443{path}",
            "https://a.test$request_uri",
            "https://a.test%[path]",
            "https://a.test:99999/x",
            "https://a.test:{query}",
            "https://[::1/",
            "https://user@a.test/",
            "http://*.a.test/",
            "https://a b.test/",
            "https://a.test\\@b.test/",
            "/\\a.test",
            "/\\{path}",
        ] {
            assert!(parse_destination(text).is_err(), "{text}");
        }
        let message = parse_destination("https://a.test$request_uri").expect_err("a variable");
        assert!(message.contains("`{host}`"), "{message}");
    }
}
