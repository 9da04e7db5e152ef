//! Checks a request head of HTTP/2 and gives it the form that it would have in HTTP/1.1.
//!
//! h2 has refused malformed pseudo-header fields and connection-specific fields already (RFC 9113 section 8.2.2).

use http::header::{COOKIE, HOST};
use http::{HeaderValue, Method, request};

use super::super::refusal::Fault;

/// The most fields of a head: hyper's limit for HTTP/1.1. Cookie is counted apart, as clients may split it (RFC 9113 section
/// 8.2.3).
const MAX_FIELDS: usize = 100;
/// The most parts of Cookie. Browsers send up to 180; each may take a byte in the connection and a hundred in memory.
const MAX_COOKIES: usize = 1000;

/// The size of a field beyond its name and value (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Writes the authority into Host.
///
/// # Errors
/// If the head has more than `max_bytes` bytes or too many fields, if the scheme is empty, if there is no authority or Host
/// differs from it, or if the path does not begin with a slash.
pub(super) fn normalize(request: &mut request::Parts, max_bytes: usize) -> Result<(), Fault> {
    if list_size(request) > max_bytes {
        return Err(Fault::HEAD_TOO_LARGE);
    }
    let cookies = request.headers.get_all(COOKIE).iter().count();
    if cookies > MAX_COOKIES || request.headers.len() - cookies > MAX_FIELDS {
        return Err(Fault::HEAD_TOO_LARGE);
    }
    check_scheme(request)?;
    normalize_host(request)?;
    check_path(request)
}

/// h2 takes an empty scheme, which is none (RFC 3986 section 3.1), and drops it where there is no
/// `:authority`.
fn check_scheme(request: &request::Parts) -> Result<(), Fault> {
    if request.uri.scheme_str() == Some("") {
        return Err(Fault::bad("The scheme is empty."));
    }
    Ok(())
}

/// The size of the head, target and authority included (RFC 9113 section 6.5.2).
fn list_size(request: &request::Parts) -> usize {
    let fields = request.headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len());
    let target = request.uri.path_and_query();
    let authority = request.uri.authority();
    let others = [
        target.map(|target| target.as_str().len()),
        authority.map(|authority| authority.as_str().len()),
    ];
    let sizes = fields.chain(others.into_iter().flatten());
    sizes.map(|size| size + FIELD_OVERHEAD).sum()
}

/// Host and `:authority` must agree; either may be missing (RFC 9113 section 8.3.1).
fn normalize_host(request: &mut request::Parts) -> Result<(), Fault> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Fault::bad("Host is given more than once."));
    }
    match (request.uri.authority(), host) {
        (None, None) => Err(Fault::bad("The authority is missing.")),
        (None, Some(host)) if host.is_empty() => Err(Fault::bad("The authority is missing.")),
        (None, Some(_)) => Ok(()),
        (Some(authority), Some(host))
            if !host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(Fault::bad("Host differs from :authority."))
        }
        (Some(authority), _) => {
            let host = HeaderValue::from_str(authority.as_str())
                .map_err(|_| Fault::bad("The authority is not a host."))?;
            request.headers.insert(HOST, host);
            Ok(())
        }
    }
}

fn check_path(request: &request::Parts) -> Result<(), Fault> {
    let Some(target) = request.uri.path_and_query() else {
        return Ok(());
    };
    let is_whole = target.as_str() == "*" && request.method == Method::OPTIONS;
    if is_whole || target.as_str().starts_with('/') {
        return Ok(());
    }
    Err(Fault::bad("The path does not begin with a slash."))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Builder;

    use super::*;
    use crate::session::Rejection;

    fn settled(request: Builder) -> Result<request::Parts, Fault> {
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        normalize(&mut parts, 1 << 20).map(|()| parts)
    }

    #[test]
    fn takes_the_authority_for_the_host() {
        for request in [
            Request::get("https://a.test:8443/x"),
            Request::get("https://a.test:8443/x").header("host", "A.test:8443"),
            Request::get("/x").header("host", "a.test:8443"),
        ] {
            let parts = settled(request).unwrap();
            let hosts: Vec<_> = parts.headers.get_all(HOST).iter().collect();
            assert_eq!(hosts, ["a.test:8443"]);
        }
    }

    #[test]
    fn refuses_too_many_fields_but_not_a_cookie_in_many_parts() {
        let with = |count: usize, name: fn(usize) -> String| {
            let request = Request::get("https://a.test/x");
            settled((0..count).fold(request, |request, index| request.header(name(index), "1")))
        };
        let is_refused = |settled: Result<_, Fault>| {
            settled.is_err_and(|fault| fault.rejection == Rejection::HeadTooLarge)
        };
        assert!(is_refused(with(101, |index| format!("x-{index}"))));
        assert!(is_refused(with(101, |_| "x".to_owned())));
        assert!(with(100, |index| format!("x-{index}")).is_ok());
        assert!(with(1000, |_| "cookie".to_owned()).is_ok());
        assert!(is_refused(with(1001, |_| "cookie".to_owned())));
    }

    #[test]
    fn counts_the_authority() {
        let with = |length: usize| {
            let request = Request::get(format!("https://{}/x", "a".repeat(length)));
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            normalize(&mut parts, 1 << 10)
        };
        assert!(with(900).is_ok());
        assert_eq!(
            with(1 << 10).unwrap_err().rejection,
            Rejection::HeadTooLarge
        );
    }

    #[test]
    fn refuses_no_authority_and_two_that_differ() {
        for request in [
            Request::get("/x"),
            Request::get("/x").header("host", ""),
            Request::get("https://a.test/x").header("host", "b.test"),
            Request::get("https://a.test/x").header("host", "a.test:1"),
            Request::get("https://a.test/x")
                .header("host", "a.test")
                .header("host", "a.test"),
        ] {
            let fault = settled(request).unwrap_err();
            assert!(matches!(fault.rejection, Rejection::BadRequest(_)));
        }
    }
}
