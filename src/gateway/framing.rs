//! Refuses requests whose host or body length is ambiguous (request smuggling), and TRACE.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Method, Version, request};

use crate::fields::Sole;
use crate::session::Rejection;

/// Requires exactly one Host (RFC 9112 section 3.2); HTTP/1.0 and HTTP/2 may omit it. Checked before routing, as the host
/// chooses the route, so it also covers opening handshakes.
pub(super) fn check_host(request: &request::Parts) -> Result<(), Rejection> {
    match Sole::of(&request.headers, &HOST) {
        Sole::Missing if request.version == Version::HTTP_11 => {
            Err(Rejection::BadRequest("Host is missing."))
        }
        Sole::Missing | Sole::Value(_) => Ok(()),
        Sole::Repeated => Err(Rejection::BadRequest("Host is given more than once.")),
    }
}

/// Checks a plain request before anything answers it.
///
/// hyper has refused invalid HTTP already. What it accepts but normalizes is refused here: it drops a second transfer coding
/// with its name, and a backend could read two lengths differently (RFC 9112 section 6.3). If both a length and chunks are
/// given, hyper drops the length; should it ever keep both, that is refused, too.
pub(super) fn check(request: &request::Parts) -> Result<(), Rejection> {
    let headers = &request.headers;
    // The answer would echo what browsers hide from pages: cookies, and the fields that the gateway adds.
    if request.method == Method::TRACE {
        return Err(Rejection::MethodNotAllowed);
    }
    let length = Sole::of(headers, &CONTENT_LENGTH);
    match (Sole::of(headers, &TRANSFER_ENCODING), length) {
        (Sole::Missing, Sole::Missing | Sole::Value(_)) => Ok(()),
        (Sole::Missing, Sole::Repeated) => Err(Rejection::BadRequest(
            "Content-Length is given more than once.",
        )),
        (_, Sole::Value(_) | Sole::Repeated) => Err(Rejection::BadRequest(
            "Content-Length and Transfer-Encoding are both given.",
        )),
        (Sole::Value(coding), _) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Sole::Value(_) | Sole::Repeated, _) => Err(Rejection::NotImplemented(
            "The only transfer coding accepted is chunked.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Builder;

    use super::*;

    fn checked(request: Builder) -> Result<(), Rejection> {
        let request = request.body(()).expect("a request");
        check(&request.into_parts().0)
    }

    #[test]
    fn wants_one_host_where_there_has_to_be_one() {
        for (version, hosts, is_sound) in [
            (Version::HTTP_11, &["a.test"][..], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &["a.test", "a.test"], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_2, &[], true),
            (Version::HTTP_2, &["a.test", "b.test"], false),
        ] {
            let request = Request::get("/").version(version);
            let request = hosts
                .iter()
                .fold(request, |it, host| it.header(HOST, *host));
            let head = request.body(()).expect("a request").into_parts().0;
            assert_eq!(check_host(&head).is_ok(), is_sound, "{version:?} {hosts:?}");
        }
    }

    #[test]
    fn takes_what_has_one_meaning() {
        for (name, value) in [
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Transfer-Encoding", "Chunked"),
            ("X", "y"),
        ] {
            let request = Request::post("/").header(name, value);
            assert_eq!(checked(request), Ok(()), "{name}: {value}");
        }
    }

    #[test]
    fn refuses_what_has_two() {
        let post = || Request::post("/");
        for request in [
            post()
                .header("Content-Length", "5")
                .header("Content-Length", "5"),
            post()
                .header("Content-Length", "5")
                .header("Transfer-Encoding", "chunked"),
            post().header("Transfer-Encoding", "gzip, chunked"),
            post().header("Transfer-Encoding", "chunked, chunked"),
            post()
                .header("Transfer-Encoding", "gzip")
                .header("Transfer-Encoding", "chunked"),
            Request::trace("/"),
        ] {
            assert!(checked(request).is_err());
        }
    }
}
