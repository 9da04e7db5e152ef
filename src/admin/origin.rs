//! Whether a browser sends a request for another site (cross-site request forgery).

use http::header::{HOST, ORIGIN};
use http::request::Parts;

/// Whether the request has an Origin that is not the admin side itself.
///
/// Browsers send Origin with every POST (Fetch, section 3.2), other programs send none. A page that has its
/// own name resolve to the admin address passes; against that helps an address that browsers cannot reach.
pub(super) fn is_cross_site(request: &Parts) -> bool {
    let mut origins = request.headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return false;
    };
    let same = origins.next().is_none()
        && origin
            .to_str()
            .ok()
            .and_then(authority)
            .is_some_and(|authority| {
                let host = request
                    .headers
                    .get(HOST)
                    .map_or(&[][..], |host| host.as_bytes());
                authority.as_bytes().eq_ignore_ascii_case(host)
            });
    !same
}

/// Host and port of an Origin such as `http://127.0.0.1:9901`. Default ports are written by neither side.
fn authority(origin: &str) -> Option<&str> {
    origin
        .split_once("://")
        .map(|(_scheme, authority)| authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cross_site(origins: &[&str]) -> bool {
        let mut request = http::Request::post("/reload").header(HOST, "127.0.0.1:9901");
        for origin in origins {
            request = request.header(ORIGIN, *origin);
        }
        is_cross_site(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn lets_in_programs_and_its_own_page() {
        assert!(!cross_site(&[]));
        assert!(!cross_site(&["http://127.0.0.1:9901"]));
    }

    #[test]
    fn keeps_out_every_other_page() {
        for origin in [
            "https://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:9902",
            "http://localhost:9901",
            "null",
            "",
            "127.0.0.1:9901",
        ] {
            assert!(cross_site(&[origin]), "{origin}");
        }
        assert!(cross_site(&[
            "http://127.0.0.1:9901",
            "https://evil.example"
        ]));
    }
}
