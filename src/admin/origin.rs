//! Detects requests that a browser sends for a page of another site (cross-site request forgery).

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::request::Parts;

/// Whether the request has an Origin other than the admin side itself.
///
/// Browsers send Origin with every POST (Fetch, section 3.2), other programs do not. A name other than localhost is never
/// accepted: its owner can make it resolve to the admin address (DNS rebinding).
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
                if !is_address_or_localhost(authority) {
                    return false;
                }
                let host = request
                    .headers
                    .get(HOST)
                    .map_or(&[][..], |host| host.as_bytes());
                authority.as_bytes().eq_ignore_ascii_case(host)
            });
    !same
}

/// Host and port of an Origin such as `http://127.0.0.1:9901`. Neither Origin nor Host contains a default port.
fn authority(origin: &str) -> Option<&str> {
    origin
        .split_once("://")
        .map(|(_scheme, authority)| authority)
}

/// Whether the host is an IP address or localhost, and so no name in the DNS.
fn is_address_or_localhost(authority: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        _ => authority,
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_address = address.unwrap_or(host).parse::<IpAddr>().is_ok();
    is_address || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cross_site(origins: &[&str]) -> bool {
        cross_site_at("127.0.0.1:9901", origins)
    }

    fn cross_site_at(host: &str, origins: &[&str]) -> bool {
        let mut request = http::Request::post("/reload").header(HOST, host);
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
    fn lets_in_pages_at_addresses_alone() {
        for (host, origin) in [
            ("localhost:9901", "http://localhost:9901"),
            ("[::1]:9901", "http://[::1]:9901"),
            ("10.0.0.1", "http://10.0.0.1"),
        ] {
            assert!(!cross_site_at(host, &[origin]), "{host}");
        }
        // A name that its owner has resolve to the admin address.
        assert!(cross_site_at(
            "evil.example:9901",
            &["http://evil.example:9901"]
        ));
        assert!(cross_site_at("evil.example", &["http://evil.example"]));
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
