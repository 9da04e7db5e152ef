//! Who the client is, and what a backend is told of that.
//!
//! Anybody can write X-Forwarded-For. It is believed as far as proxies wrote it that the listener trusts:
//! read from its end, each hop vouches for the one before.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Asked;
use super::headers::host;
use crate::listener::Client;
use crate::session::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The client of a request: the last hop that no trusted proxy is, otherwise the first one that is named.
pub(super) fn client_of(connection: &Client, headers: &HeaderMap) -> Peer {
    let peer = connection.facts.client;
    let vouched = |hop: IpAddr| connection.trusts(hop);
    match peer.ip() {
        Some(hop) if vouched(hop) => furthest(hop, headers, vouched).map_or(peer, Peer::Behind),
        Some(_) | None => peer,
    }
}

/// Walks back from `hop`, which is vouched for; none where it names nobody.
fn furthest(hop: IpAddr, headers: &HeaderMap, vouched: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let named = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    let mut last = hop;
    let mut found = None;
    for name in named {
        let Some(address) = read_hop(name).filter(|_| vouched(last)) else {
            break;
        };
        last = address;
        found = Some(address);
    }
    found
}

/// A hop as proxies write it: an address, some with a port, IPv6 in brackets or without.
fn read_hop(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let address = match text.parse::<SocketAddr>() {
        Ok(address) => address.ip(),
        Err(_) => {
            let bracketed = text
                .strip_prefix('[')
                .and_then(|text| text.strip_suffix(']'));
            bracketed.unwrap_or(text).parse().ok()?
        }
    };
    Some(address.to_canonical())
}

/// The fields in which the gateway speaks for the client. What a peer that is not trusted says there of
/// itself is replaced.
pub(super) fn fields(asked: Asked<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let Asked {
        request, client, ..
    } = asked;
    let peer = client.facts.client.ip();
    let heard = peer
        .filter(|peer| client.trusts(*peer))
        .map(|_| &request.headers);
    let kept = |name: &HeaderName| heard.and_then(|headers| headers.get(name)).cloned();
    let mut fields = Vec::with_capacity(5);
    let mut say = |name: HeaderName, own: Option<HeaderValue>| {
        fields.extend(kept(&name).or(own).map(|value| (name, value)));
    };
    say(X_FORWARDED_PROTO, Some(protocol(client)));
    say(X_FORWARDED_HOST, HeaderValue::from_str(host(request)).ok());
    say(
        X_FORWARDED_PORT,
        client.local.map(|local| local.port().into()),
    );
    fields.extend(peer.and_then(|peer| {
        let chain = chain(heard, peer);
        Some((X_FORWARDED_FOR, HeaderValue::from_bytes(&chain).ok()?))
    }));
    fields.extend(asked.peer.ip().and_then(|ip| {
        let value = HeaderValue::try_from(ip.to_string());
        Some((X_REAL_IP, value.ok()?))
    }));
    fields
}

/// What was heard of the hops before, and the peer behind them.
fn chain(heard: Option<&HeaderMap>, peer: IpAddr) -> Vec<u8> {
    let mut chain = Vec::with_capacity(64);
    for field in heard
        .into_iter()
        .flat_map(|headers| headers.get_all(X_FORWARDED_FOR))
    {
        chain.extend_from_slice(field.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.to_string().as_bytes());
    chain
}

fn protocol(client: &Client) -> HeaderValue {
    HeaderValue::from_static(match client.facts.tls_version {
        Some(_) => "https",
        None => "http",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(fields: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(
                X_FORWARDED_FOR,
                HeaderValue::from_str(field).expect("a value"),
            );
        }
        let hop = "10.0.0.1".parse().expect("an address");
        let vouched = |hop: IpAddr| hop.to_string().starts_with("10.");
        furthest(hop, &headers, vouched).map(|address| address.to_string())
    }

    #[test]
    fn believes_as_far_as_trust_reaches() {
        let cases: [(&[&str], Option<&str>); 10] = [
            (&[], None),
            (&["192.0.2.1"], Some("192.0.2.1")),
            (&["192.0.2.9, 192.0.2.1"], Some("192.0.2.1")),
            (&["192.0.2.9, 192.0.2.1, 10.0.0.2"], Some("192.0.2.1")),
            (&["192.0.2.9", "192.0.2.1,10.0.0.2"], Some("192.0.2.1")),
            (&["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            (&["192.0.2.1:4711"], Some("192.0.2.1")),
            (&["[2001:db8::1]:80"], Some("2001:db8::1")),
            (&["192.0.2.9, unknown, 10.0.0.2"], Some("10.0.0.2")),
            (&["unknown"], None),
        ];
        for (fields, client) in cases {
            assert_eq!(walk(fields).as_deref(), client, "{fields:?}");
        }
    }
}
