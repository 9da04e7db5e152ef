//! The Origin allowlist (RFC 6455 section 10.2): a page of another site may not open sessions with the cookies of its
//! visitor.

use http::HeaderMap;
use http::header::ORIGIN;

use crate::config::{Origin, OriginFault, OriginList, Origins};
use crate::fields::Sole;
use crate::session::Rejection;

// The texts for clients. None names an allowed origin, which would help attackers only.
const MISSING: &str = "The Origin header is missing.";
const OPAQUE: &str = "The opaque origin is not allowed here.";
const REPEATED: &str = "The Origin header is repeated.";
const UNREADABLE: &str = "The Origin header is not a valid origin.";
const NOT_ALLOWED: &str = "This origin is not allowed here.";

/// Lets a request pass if the route allows its Origin. `own` returns the Origin of pages at the requested address, if there can
/// be such pages.
///
/// # Errors
/// [`Rejection::OriginDenied`], saying whether the header is missing, opaque, repeated, not an origin, or not in the list.
pub fn check(
    headers: &HeaderMap,
    origins: &Origins,
    own: impl FnOnce() -> Option<Origin>,
) -> Result<(), Rejection> {
    match origins {
        Origins::Any => Ok(()),
        Origins::List(list) => check_list(headers, list, own).map_err(Rejection::OriginDenied),
    }
}

fn check_list(
    headers: &HeaderMap,
    list: &OriginList,
    own: impl FnOnce() -> Option<Origin>,
) -> Result<(), &'static str> {
    let value = match Sole::of(headers, &ORIGIN) {
        Sole::Missing => return allow_if(list.allow_missing, MISSING),
        // The backend might look at another one than the gateway.
        Sole::Repeated => return Err(REPEATED),
        Sole::Value(value) => value,
    };
    let text = value.to_str().map_err(|_| UNREADABLE)?;
    match Origin::parse(text) {
        Ok(origin) => {
            let is_same = || list.allow_same && own().is_some_and(|own| own == origin);
            allow_if(list.allows(&origin) || is_same(), NOT_ALLOWED)
        }
        Err(OriginFault::Opaque(_)) => allow_if(list.allow_opaque, OPAQUE),
        Err(_) => Err(UNREADABLE),
    }
}

fn allow_if(allowed: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if allowed { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::config::OriginPattern;

    fn list(allow: &[&str]) -> OriginList {
        let allow = allow.iter().map(|text| OriginPattern::parse(text).unwrap());
        OriginList {
            allow: allow.collect::<Vec<_>>().into(),
            allow_same: false,
            allow_missing: false,
            allow_opaque: false,
        }
    }

    fn headers(origins: &[&[u8]]) -> HeaderMap {
        let values = origins
            .iter()
            .map(|origin| HeaderValue::from_bytes(origin).unwrap());
        values.map(|value| (ORIGIN, value)).collect()
    }

    /// What is wrong with one origin, if anything.
    fn fault(list: OriginList, origins: &[&str]) -> Option<&'static str> {
        let origins: Vec<_> = origins.iter().map(|origin| origin.as_bytes()).collect();
        let own = || Origin::parse("https://own.test:8443").ok();
        match check(&headers(&origins), &Origins::List(list), own) {
            Err(Rejection::OriginDenied(fault)) => Some(fault),
            Err(other) => panic!("{other:?}"),
            Ok(()) => None,
        }
    }

    #[test]
    fn lets_listed_origins_pass() {
        let patterns = [
            "https://app.example.com",
            "https://*.example.org",
            "http://[::1]:8080",
        ];
        for origin in [
            "https://app.example.com",
            "HTTPS://App.Example.COM:443",
            "https://a.example.org",
            "https://a.b.example.org",
            "http://[::1]:8080",
        ] {
            assert_eq!(fault(list(&patterns), &[origin]), None, "{origin}");
        }
    }

    #[test]
    fn denies_origins_that_only_look_alike() {
        let patterns = ["https://app.example.com", "https://*.example.org"];
        for origin in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
            "https://evilapp.example.com",
            "https://example.org",
            "https://evilexample.org",
            "wss://app.example.com",
        ] {
            assert_eq!(
                fault(list(&patterns), &[origin]),
                Some(NOT_ALLOWED),
                "{origin}"
            );
        }
    }

    #[test]
    fn denies_what_is_no_origin() {
        for origin in [
            "",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://user@app.example.com",
            "https://app.example.com https://app.example.com",
            "https://app.example.com, https://app.example.com",
            "https://app.example.com:0x1bb",
            "NULL",
            "*",
        ] {
            assert_eq!(
                fault(list(&["https://app.example.com"]), &[origin]),
                Some(UNREADABLE),
                "{origin}"
            );
        }
        let bytes = headers(&[b"https://\xff.example.com"]);
        let list = Origins::List(list(&["https://app.example.com"]));
        let denied = check(&bytes, &list, || None);
        assert_eq!(denied, Err(Rejection::OriginDenied(UNREADABLE)));
    }

    #[test]
    fn missing_and_opaque_pass_only_where_the_list_says_so() {
        let strict = list(&["https://app.example.com"]);
        assert_eq!(fault(strict.clone(), &[]), Some(MISSING));
        assert_eq!(fault(strict.clone(), &["null"]), Some(OPAQUE));
        let missing = OriginList {
            allow_missing: true,
            ..strict.clone()
        };
        assert_eq!(fault(missing.clone(), &[]), None);
        for opaque in ["null", "file://"] {
            assert_eq!(fault(missing.clone(), &[opaque]), Some(OPAQUE));
        }
        let opaque = OriginList {
            allow_opaque: true,
            ..strict
        };
        assert_eq!(fault(opaque.clone(), &["null"]), None);
        assert_eq!(fault(opaque.clone(), &["file://"]), None);
        assert_eq!(fault(opaque.clone(), &["file:///a"]), Some(UNREADABLE));
        assert_eq!(fault(opaque, &[]), Some(MISSING));
    }

    #[test]
    fn the_address_itself_passes_only_where_the_list_says_so() {
        let same = OriginList {
            allow_same: true,
            ..list(&["https://app.example.com"])
        };
        for (origin, denied) in [
            ("https://own.test:8443", None),
            ("HTTPS://OWN.test:8443", None),
            ("https://app.example.com", None),
            ("http://own.test:8443", Some(NOT_ALLOWED)),
            ("https://own.test", Some(NOT_ALLOWED)),
            ("https://a.own.test:8443", Some(NOT_ALLOWED)),
            ("null", Some(OPAQUE)),
        ] {
            assert_eq!(fault(same.clone(), &[origin]), denied, "{origin}");
        }
        let own = ["https://own.test:8443"];
        assert_eq!(fault(list(&[]), &own), Some(NOT_ALLOWED));
        let nowhere = check(&headers(&[own[0].as_bytes()]), &Origins::List(same), || {
            None
        });
        assert_eq!(nowhere, Err(Rejection::OriginDenied(NOT_ALLOWED)));
    }

    #[test]
    fn repeated_is_denied_even_when_each_is_allowed() {
        let lenient = OriginList {
            allow_missing: true,
            allow_opaque: true,
            ..list(&["https://a.example"])
        };
        for origins in [
            ["https://a.example"; 2],
            ["null", "null"],
            ["https://a.example", "null"],
        ] {
            assert_eq!(fault(lenient.clone(), &origins), Some(REPEATED));
        }
    }

    #[test]
    fn any_looks_at_nothing() {
        for origins in [&[][..], &[b"null".as_slice()], &[b"x", b"y"]] {
            assert_eq!(check(&headers(origins), &Origins::Any, || None), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn only_the_origin_itself_passes(text in "[a-z:/.*@ ]{0,24}|https?://[a-c.]{0,8}(:[0-9]{0,6})?") {
            let list = OriginList { allow_missing: true, allow_opaque: true, ..list(&["https://a.b"]) };
            let allowed = ["https://a.b", "https://a.b:443"].contains(&&*text);
            prop_assert_eq!(fault(list, &[&text]).is_none(), allowed || ["null", "file://"].contains(&&*text));
        }
    }
}
