//! Which part of a request is hashed.

use std::net::IpAddr;

use http::header::COOKIE;
use http::{HeaderMap, Uri};
use sha2::{Digest, Sha256};

use super::hash::number_at;
use crate::config::HashKey;
use crate::upstream::Hints;
use crate::upstream::cookie;

/// The hash of a request: the first eight bytes of the SHA-256 of its key. Gateways of all versions must compute the same.
///
/// A request without the key is hashed by the client's address, one without an address (on a unix socket) gets a random number.
pub(in crate::upstream) fn key_of(key: &HashKey, hints: &Hints<'_>) -> u64 {
    let named = match key {
        HashKey::Client => None,
        HashKey::Path => Some(hints.uri.path().as_bytes()),
        HashKey::PathSegment(number) => path_segment(hints.uri, *number),
        HashKey::Header(name) => hints.headers.get(name).map(|value| value.as_bytes()),
        HashKey::Cookie(name) => cookie_value(hints.headers, name),
        HashKey::Query(name) => query_value(hints.uri, name),
    };
    match (named.filter(|value| !value.is_empty()), hints.client) {
        (Some(value), _) => hashed(value),
        // The whole IPv6 address: a /64 may be a household, or a data centre.
        (None, Some(IpAddr::V4(client))) => hashed(&client.octets()),
        (None, Some(IpAddr::V6(client))) => hashed(&client.octets()),
        (None, None) => fastrand::u64(..),
    }
}

fn hashed(value: &[u8]) -> u64 {
    number_at(&Sha256::digest(value), 0)
}

fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(COOKIE).into_iter();
    fields
        .flat_map(|field| cookie::pairs(field.as_bytes()))
        .find(|pair| pair.name == name.as_bytes())
        .map(|pair| pair.value)
}

fn query_value<'a>(uri: &'a Uri, name: &str) -> Option<&'a [u8]> {
    let mut parameters = uri.query()?.split('&');
    parameters.find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        (found == name).then_some(value.as_bytes())
    })
}

/// The path begins with a slash, so what the split finds before the first segment is empty.
fn path_segment(uri: &Uri, number: usize) -> Option<&[u8]> {
    uri.path().split('/').nth(number).map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    /// The hash of a request with this query and these cookies.
    fn key(key: HashKey, client: Option<IpAddr>, query: &str, cookies: &str) -> u64 {
        let uri: Uri = format!("/chat{query}").parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, cookies.parse().unwrap());
        headers.append("x-user", "ada".parse().unwrap());
        key_of(&key, &Hints::new(client, &headers, &uri))
    }

    /// It must never change: gateways of different versions run side by side during an upgrade.
    #[test]
    fn the_hash_is_the_same_for_ever() {
        assert_eq!(hashed(b""), 0xe3b0_c442_98fc_1c14);
        assert_eq!(hashed(b"abc"), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn finds_the_key_where_it_is_said_to_be() {
        let ada = hashed(b"ada");
        let header = HashKey::Header("x-user".parse().unwrap());
        assert_eq!(key(header, CLIENT, "", ""), ada);
        for cookies in [
            "user=ada",
            "a=b; user=ada",
            "a; user=ada;b=c",
            "user=\"ada\"",
        ] {
            let cookie = HashKey::Cookie("user".to_owned());
            assert_eq!(key(cookie, CLIENT, "", cookies), ada, "{cookies}");
        }
        for query in ["?user=ada", "?a=b&user=ada&c", "?xuser=b&user=ada"] {
            let parameter = HashKey::Query("user".to_owned());
            assert_eq!(key(parameter, CLIENT, query, ""), ada, "{query}");
        }
    }

    #[test]
    fn finds_the_path_and_its_segments() {
        let path = |key| {
            key_of(
                &key,
                &Hints::new(
                    CLIENT,
                    &HeaderMap::new(),
                    &"/rooms/a%20b/ws?x=/y".parse().unwrap(),
                ),
            )
        };
        assert_eq!(path(HashKey::Path), hashed(b"/rooms/a%20b/ws"));
        let address = hashed(&[127, 0, 0, 1]);
        for (number, expected) in [
            (1, hashed(b"rooms")),
            (2, hashed(b"a%20b")),
            (3, hashed(b"ws")),
            (4, address),
        ] {
            assert_eq!(path(HashKey::PathSegment(number)), expected, "{number}");
        }
    }

    #[test]
    fn falls_back_to_the_address_and_then_to_the_lot() {
        let address = hashed(&[127, 0, 0, 1]);
        assert_eq!(key(HashKey::Client, CLIENT, "", ""), address);
        for query in ["", "?", "?user", "?user=", "?users=ada"] {
            let parameter = HashKey::Query("user".to_owned());
            assert_eq!(key(parameter, CLIENT, query, ""), address, "{query}");
        }
        let lots: Vec<u64> = (0..8).map(|_| key(HashKey::Client, None, "", "")).collect();
        assert!(lots.iter().any(|lot| *lot != lots[0]));
    }
}
