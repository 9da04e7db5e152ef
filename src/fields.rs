//! Reading and writing header fields.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The names with this prefix are not in plain title case (RFC 6455 section 11.3).
const WEBSOCKET_PREFIX: &str = "sec-websocket-";

/// A field that may be given only once.
#[derive(Clone, Copy, Debug)]
pub enum Sole<'a> {
    /// There is none.
    Missing,
    /// There is exactly one.
    Value(&'a HeaderValue),
    /// There is more than one.
    Repeated,
}

impl<'a> Sole<'a> {
    /// Looks the field up in `headers`.
    #[must_use]
    pub fn of(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        let mut values = headers.get_all(name).into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Missing,
            (Some(value), None) => Self::Value(value),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

/// Whether a comma-separated list contains `token`, ignoring case, in any of the repeated fields
/// (RFC 9110 section 5.6.1).
///
/// Parameters are not split off: `websocket;x` does not match `websocket`.
#[must_use]
pub fn list_has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list_items(headers, name).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
}

/// Writes `name` with the capitals that the RFCs use: `Sec-WebSocket-Key`, `Content-Length`.
///
/// The `http` crate stores names in lower case, and some backends compare them case-sensitively.
pub fn write_name(name: &HeaderName, head: &mut Vec<u8>) {
    let mut rest = name.as_str();
    if let Some(ending) = rest.strip_prefix(WEBSOCKET_PREFIX) {
        head.extend_from_slice(b"Sec-WebSocket-");
        rest = ending;
    }
    let written = head.len();
    head.extend_from_slice(rest.as_bytes());
    let mut starts_word = true;
    for byte in &mut head[written..] {
        if starts_word {
            byte.make_ascii_uppercase();
        }
        starts_word = *byte == b'-';
    }
}

/// The items of a comma-separated list over all fields of this name: trimmed, without empty ones.
pub fn list_items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{CONNECTION, HeaderName};

    use super::*;

    fn connection(values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (CONNECTION, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn finds_a_token_in_any_case_list_and_field() {
        for values in [
            &["upgrade"][..],
            &["Upgrade"],
            &["keep-alive, UPGRADE"],
            &["keep-alive", "upgrade"],
            &[" ,,\tupgrade ,"],
        ] {
            assert!(
                list_has_token(&connection(values), &CONNECTION, "upgrade"),
                "{values:?}"
            );
        }
    }

    #[test]
    fn takes_no_part_of_a_token() {
        for values in [
            &[][..],
            &[""],
            &["upgrades"],
            &["up", "grade"],
            &["upgrade;x"],
            &["x y"],
        ] {
            assert!(
                !list_has_token(&connection(values), &CONNECTION, "upgrade"),
                "{values:?}"
            );
        }
    }

    #[test]
    fn spells_names_as_the_rfc_does() {
        for (name, spelling) in [
            ("sec-websocket-key", "Sec-WebSocket-Key"),
            ("sec-websocket-accept", "Sec-WebSocket-Accept"),
            ("sec-websocket-version", "Sec-WebSocket-Version"),
            ("sec-websocket-protocol", "Sec-WebSocket-Protocol"),
            ("sec-websocket-extensions", "Sec-WebSocket-Extensions"),
            ("sec-fetch-mode", "Sec-Fetch-Mode"),
            ("host", "Host"),
            ("x--y", "X--Y"),
        ] {
            let mut head = Vec::new();
            write_name(&HeaderName::from_static(name), &mut head);
            assert_eq!(String::from_utf8(head).unwrap(), spelling);
        }
    }
}
