//! Cookies of a request (RFC 6265 section 5.4): finding one, and leaving one out.

use http::HeaderValue;

/// A cookie of a request.
pub(super) struct Pair<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

/// The cookies of one Cookie field. Parts without a name are skipped.
pub(super) fn pairs(field: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    field.split(|byte| *byte == b';').filter_map(pair)
}

/// A Cookie field without the cookies of this name; `None` if no others are left. The rest is not changed.
#[must_use]
pub fn without_cookie(field: &HeaderValue, name: &str) -> Option<HeaderValue> {
    let is_other = |part: &&[u8]| pair(part).is_none_or(|pair| pair.name != name.as_bytes());
    let parts = field.as_bytes().split(|byte| *byte == b';');
    let kept: Vec<&[u8]> = parts.filter(is_other).collect();
    let left = kept.join(&b';');
    let left = left.trim_ascii();
    HeaderValue::from_bytes(left)
        .ok()
        .filter(|left| !left.is_empty())
}

fn pair(part: &[u8]) -> Option<Pair<'_>> {
    let middle = part.iter().position(|byte| *byte == b'=')?;
    let value = part[middle + 1..].trim_ascii();
    let quoted = value.strip_prefix(b"\"");
    let unquoted = quoted.and_then(|value| value.strip_suffix(b"\""));
    Some(Pair {
        name: part[..middle].trim_ascii(),
        value: unquoted.unwrap_or(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_one_out_and_the_rest_as_it_was() {
        let cases = [
            ("wsgate=x", None),
            ("a=b; wsgate=x; c=\"d e\"", Some("a=b; c=\"d e\"")),
            ("wsgate=x; a=b", Some("a=b")),
            ("a=b;wsgate=x", Some("a=b")),
            ("wsgate=x; wsgate=y", None),
            ("xwsgate=x; lone; wsgate", Some("xwsgate=x; lone; wsgate")),
        ];
        for (field, left) in cases {
            let without = without_cookie(&HeaderValue::from_static(field), "wsgate");
            assert_eq!(without, left.map(HeaderValue::from_static), "{field}");
        }
    }
}
