//! Who the client is, and what a backend is told of that.
//!
//! Anybody can write X-Forwarded-For. It is believed as far as proxies wrote it that the listener trusts:
//! read from its end, each hop vouches for the one before.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::RequestContext;
use super::headers::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP,
};
use crate::config::HeaderRules;
use crate::listener::Client;
use crate::route::without_port;
use crate::session::Peer;
use crate::websocket::Sole;

/// Between two hops.
const BETWEEN: &[u8] = b", ";

/// The client of a request: the last hop that no trusted proxy is, otherwise the first one that is named.
pub(super) fn client_of(client: &Client, headers: &HeaderMap) -> Peer {
    let peer = client.connection.client;
    if !client.speaks_for_many {
        return peer;
    }
    furthest(headers, |hop| client.trusts(hop)).map_or(peer, Peer::Behind)
}

/// Walks back from a peer that is vouched for; none where it names nobody.
fn furthest(headers: &HeaderMap, vouched: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let named = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    let mut found = None;
    for name in named {
        let Some(address) = read_hop(name).filter(|_| found.is_none_or(&vouched)) else {
            break;
        };
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

/// Whether the client speaks TLS, to the gateway or to a trusted proxy in front of it.
pub(super) fn is_secure(context: RequestContext<'_>) -> bool {
    let RequestContext {
        request, client, ..
    } = context;
    let is_told = || request.headers.get(X_FORWARDED_PROTO).is_some_and(is_tls);
    client.connection.tls_version.is_some() || client.speaks_for_many && is_told()
}

/// Adds the fields in which the gateway speaks for the client. What a peer that is not trusted says there of
/// itself is replaced.
pub(super) fn write(context: RequestContext<'_>, rules: &HeaderRules, fields: &mut HeaderMap) {
    let RequestContext {
        request, client, ..
    } = context;
    let heard = client.speaks_for_many.then_some(&request.headers);
    let style = rules.forwarded;
    if style.says_x_forwarded() {
        x_forwarded(context, heard, rules, fields);
    }
    if style.says_forwarded() {
        let before = heard.map_or_else(Vec::new, forwarded);
        let element = [before, element(context).into_bytes()].concat();
        fields.extend(HeaderValue::try_from(element).map(|value| (FORWARDED, value)));
    }
}

fn x_forwarded(
    context: RequestContext<'_>,
    heard: Option<&HeaderMap>,
    rules: &HeaderRules,
    fields: &mut HeaderMap,
) {
    let client = context.client;
    let mut say = |name: HeaderName, value: Option<HeaderValue>| {
        if let Some(value) = value {
            fields.append(name, value);
        }
    };
    // The port that nobody says goes with the protocol and the host that the backend gets.
    let set = |name: &HeaderName| rules.fields.set.iter().find(|(set, _)| set == name);
    let kept = |name: &HeaderName| match set(name) {
        Some((_, value)) => Some(value.clone()),
        None => heard?.get(name).cloned(),
    };
    let own = || HeaderValue::from_static(protocol(client));
    let protocol = kept(&X_FORWARDED_PROTO).unwrap_or_else(own);
    let host = kept(&X_FORWARDED_HOST).or_else(|| context.host_value());
    let own = || port(host.as_ref(), &protocol);
    say(
        X_FORWARDED_PORT,
        Some(kept(&X_FORWARDED_PORT).unwrap_or_else(own)),
    );
    say(X_FORWARDED_PROTO, Some(protocol));
    say(X_FORWARDED_HOST, host);
    let hop = client.address.clone();
    // Mostly the two are one. Then a trusted peer may have named its client here alone.
    let real = match context.peer == client.connection.client {
        true => heard.and_then(real_ip).or_else(|| hop.clone()),
        false => context.peer.ip_value(),
    };
    let before = heard.map_or_else(Vec::new, |headers| chain(headers.get_all(X_FORWARDED_FOR)));
    let hops = match (hop, &*before) {
        (hop, []) => hop,
        (Some(hop), before) => HeaderValue::try_from([before, hop.as_bytes()].concat()).ok(),
        // A peer on a unix socket has no address to be added.
        (None, before) => {
            HeaderValue::from_bytes(before.strip_suffix(BETWEEN).unwrap_or(before)).ok()
        }
    };
    say(X_FORWARDED_FOR, hops);
    say(X_REAL_IP, real);
}

/// X-Real-IP, where it is one address.
fn real_ip(heard: &HeaderMap) -> Option<HeaderValue> {
    match Sole::of(heard, &X_REAL_IP) {
        Sole::Value(value) => {
            let text = value.to_str().ok()?;
            text.parse::<IpAddr>().ok().map(|_| value.clone())
        }
        Sole::Missing | Sole::Repeated => None,
    }
}

/// The port at which the client asks for `host`. Where it came in says nothing of that: between the two, ports are mapped.
fn port(host: Option<&HeaderValue>, protocol: &HeaderValue) -> HeaderValue {
    let given = host.and_then(|host| {
        let host = host.to_str().ok()?;
        let port = host.strip_prefix(without_port(host)?)?.strip_prefix(':')?;
        port.parse::<u16>().ok()
    });
    match given {
        Some(port) => port.into(),
        None if is_tls(protocol) => HeaderValue::from_static("443"),
        None => HeaderValue::from_static("80"),
    }
}

/// What was heard of the hops before in the words of Forwarded, up to the comma behind it. A proxy that names its client
/// otherwise mostly leaves a client's own Forwarded as it is.
fn forwarded(heard: &HeaderMap) -> Vec<u8> {
    let names_client = heard.contains_key(X_FORWARDED_FOR) || real_ip(heard).is_some();
    match names_client || !heard.contains_key(FORWARDED) {
        true => translated(heard).into_bytes(),
        false => chain(
            heard
                .get_all(FORWARDED)
                .iter()
                .filter(|field| is_closed(field)),
        ),
    }
}

/// Whether no quotes are open at its end, which would swallow what follows.
fn is_closed(field: &HeaderValue) -> bool {
    let mut bytes = field.as_bytes().iter();
    let mut is_quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => _ = bytes.next(),
            _ => {}
        }
    }
    !is_quoted
}

/// What RFC 7239 section 4 lets a proxy say of its client.
fn element(context: RequestContext<'_>) -> String {
    let node = node(context.client.connection.client.ip());
    let host = match context.host() {
        "" => String::new(),
        host => format!("host={};", value(host)),
    };
    format!("for={node};{host}proto={}", protocol(context.client))
}

/// What was heard as X-Forwarded-* in the words of Forwarded (RFC 7239 section 7.4), up to the comma behind it. Host and
/// protocol are what the first of the hops asked for.
fn translated(heard: &HeaderMap) -> String {
    let fields = heard.get_all(X_FORWARDED_FOR).iter();
    let named = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    let real = real_ip(heard).filter(|_| !heard.contains_key(X_FORWARDED_FOR));
    let hops = named.chain(real.as_ref().map(HeaderValue::as_bytes));
    let mut elements: Vec<String> = hops
        .filter(|hop| !hop.trim_ascii().is_empty())
        .map(|hop| format!("for={}", node(read_hop(hop))))
        .collect();
    for (key, name) in [("host", X_FORWARDED_HOST), ("proto", X_FORWARDED_PROTO)] {
        let told = heard.get(name).and_then(|told| told.to_str().ok());
        let first = told.and_then(|told| told.split(',').next()).map(str::trim);
        let Some(first) = first.filter(|first| !first.is_empty()) else {
            continue;
        };
        let pair = format!("{key}={}", value(first));
        match elements.first_mut() {
            Some(element) => element.extend([";", &pair]),
            None => elements.push(pair),
        }
    }
    elements
        .iter()
        .flat_map(|element| [element, ", "])
        .collect()
}

/// How Forwarded names a hop (RFC 7239 section 6).
fn node(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("\"[{address}]\""),
        None => "unknown".to_owned(),
    }
}

/// A value of Forwarded: in quotes where it is no token.
fn value(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    match text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace(['"', '\\'], "")),
    }
}

/// What these fields say of the hops before, up to the comma behind them.
fn chain<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<u8> {
    let mut chain = Vec::new();
    for field in fields {
        chain.extend_from_slice(field.as_bytes());
        chain.extend_from_slice(BETWEEN);
    }
    chain
}

fn protocol(client: &Client) -> &'static str {
    match client.connection.tls_version {
        Some(_) => "https",
        None => "http",
    }
}

/// Whether it names a protocol over TLS, in whatever case (RFC 3986 section 3.1). Of several proxies in a row the first has spoken to the client.
fn is_tls(protocol: &HeaderValue) -> bool {
    let mut told = protocol.as_bytes().split(|byte| *byte == b',');
    let first = told.next().unwrap_or_default();
    let first = first.trim_ascii();
    first.eq_ignore_ascii_case(b"https") || first.eq_ignore_ascii_case(b"wss")
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
        let vouched = |hop: IpAddr| hop.to_string().starts_with("10.");
        furthest(&headers, vouched).map(|address| address.to_string())
    }

    #[test]
    fn names_the_port_of_the_host_or_of_the_protocol() {
        for (host, protocol, expected) in [
            (Some("a.test"), "http", "80"),
            (Some("a.test"), "https", "443"),
            (Some("a.test"), "wss", "443"),
            (Some("a.test"), "HTTPS", "443"),
            (Some("a.test"), "https, http", "443"),
            (Some("a.test"), "http, https", "80"),
            (Some("a.test:8443"), "https", "8443"),
            (Some("[2001:db8::1]:81"), "http", "81"),
            (Some("[2001:db8::1]"), "http", "80"),
            (Some("a.test:"), "http", "80"),
            (Some("a.test:65536"), "http", "80"),
            (Some("a.test:81, b.test:82"), "https", "443"),
            (None, "http", "80"),
        ] {
            let given = host.map(HeaderValue::from_static);
            let port = port(given.as_ref(), &HeaderValue::from_static(protocol));
            assert_eq!(port, expected, "{host:?} {protocol}");
        }
    }

    #[test]
    fn tells_in_the_words_of_forwarded() {
        for (fields, expected) in [
            (&[][..], ""),
            (&[(X_FORWARDED_FOR, "192.0.2.1")], "for=192.0.2.1, "),
            (
                &[
                    (X_FORWARDED_FOR, "192.0.2.1, nobody, 2001:db8::1"),
                    (X_FORWARDED_HOST, "a.test:8443, b.test"),
                    (X_FORWARDED_PROTO, "https"),
                ],
                "for=192.0.2.1;host=\"a.test:8443\";proto=https, for=unknown, for=\"[2001:db8::1]\", ",
            ),
            (
                &[(X_FORWARDED_FOR, "192.0.2.1, ,"), (X_FORWARDED_HOST, "")],
                "for=192.0.2.1, ",
            ),
            (&[(X_FORWARDED_PROTO, "https")], "proto=https, "),
            (&[(X_FORWARDED_HOST, "a\"b")], "host=\"ab\", "),
            (&[(X_REAL_IP, "192.0.2.1")], "for=192.0.2.1, "),
            (
                &[(X_REAL_IP, "192.0.2.1"), (X_FORWARDED_FOR, "192.0.2.2")],
                "for=192.0.2.2, ",
            ),
        ] {
            let fields = fields.iter().cloned();
            let heard = fields.map(|(name, text)| (name, HeaderValue::from_static(text)));
            assert_eq!(translated(&heard.collect()), expected);
        }
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
