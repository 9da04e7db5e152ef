//! Who the client is, and what backends are told about it.
//!
//! Anybody can send X-Forwarded-For. It is believed only as far as trusted proxies wrote it: read from its end, each
//! trusted hop vouches for the one before it.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::RequestContext;
use super::field_list::Fields;
use super::headers::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP,
};
use crate::config::HeaderRules;
use crate::fields::Sole;
use crate::listener::Client;
use crate::route::without_port;
use crate::session::Peer;

/// Between two hops.
const SEPARATOR: &[u8] = b", ";

/// The client of a request: the last hop that is not a trusted proxy, or the first hop if all are trusted.
pub(super) fn client_of(client: &Client, headers: &HeaderMap) -> Peer {
    let peer = client.connection.peer;
    if !client.is_trusted_proxy {
        return peer;
    }
    last_untrusted_hop(headers, |hop| client.trusts(hop)).map_or(peer, Peer::Behind)
}

/// Walks X-Forwarded-For backwards until a hop that is not trusted, or that is not an address. `None` if there is no hop.
fn last_untrusted_hop(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let hops = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    let mut found = None;
    for hop in hops {
        let Some(address) = parse_hop(hop).filter(|_| found.is_none_or(&is_trusted)) else {
            break;
        };
        found = Some(address);
    }
    found
}

/// A hop as proxies write it: an address, with or without a port; IPv6 with or without brackets.
fn parse_hop(text: &[u8]) -> Option<IpAddr> {
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

/// Whether the client speaks TLS: to a trusted proxy in front of the gateway, if that says so or the contrary, otherwise to the
/// gateway.
pub(super) fn is_secure(context: RequestContext<'_>) -> bool {
    let RequestContext {
        request, client, ..
    } = context;
    match request.headers.get(X_FORWARDED_PROTO) {
        Some(scheme) if client.is_trusted_proxy => is_tls(scheme),
        _ => client.connection.tls_version.is_some(),
    }
}

/// Adds X-Forwarded-*, X-Real-IP and Forwarded, as `rules` say. What a trusted proxy sent is continued; what any other peer
/// sent is replaced.
pub(super) fn write(context: RequestContext<'_>, rules: &HeaderRules, fields: &mut impl Fields) {
    let RequestContext {
        request, client, ..
    } = context;
    let trusted = client.is_trusted_proxy.then_some(&request.headers);
    let style = rules.forwarded;
    if style.says_x_forwarded() {
        write_x_forwarded(context, trusted, rules, fields);
    }
    if style.says_forwarded() {
        let earlier = trusted.map_or_else(Vec::new, earlier_elements);
        let elements = [earlier, own_element(context).into_bytes()].concat();
        if let Ok(value) = HeaderValue::try_from(elements) {
            fields.add(FORWARDED, value);
        }
    }
}

fn write_x_forwarded(
    context: RequestContext<'_>,
    trusted: Option<&HeaderMap>,
    rules: &HeaderRules,
    fields: &mut impl Fields,
) {
    let client = context.client;
    let mut append = |name: HeaderName, value: Option<HeaderValue>| {
        if let Some(value) = value {
            fields.add(name, value);
        }
    };
    // A route may set the protocol or the host itself; a port that is not named is derived from what the backend gets.
    let set_by_route = |name: &HeaderName| rules.fields.set.iter().find(|(set, _)| set == name);
    let kept = |name: &HeaderName| match set_by_route(name) {
        Some((_, value)) => Some(value.clone()),
        None => trusted?.get(name).cloned(),
    };
    let own = || HeaderValue::from_static(protocol(client));
    let protocol = kept(&X_FORWARDED_PROTO).unwrap_or_else(own);
    let host = kept(&X_FORWARDED_HOST).or_else(|| context.host_value());
    let own = || port(host.as_ref(), &protocol);
    let port = kept(&X_FORWARDED_PORT).unwrap_or_else(own);
    append(X_FORWARDED_PORT, Some(port));
    append(X_FORWARDED_PROTO, Some(protocol));
    append(X_FORWARDED_HOST, host);
    let hop = client.address.clone();
    // If X-Forwarded-For named no client, a trusted peer may still have named its client in X-Real-IP.
    let real = match context.peer == client.connection.peer {
        true => trusted.and_then(real_ip).or_else(|| hop.clone()),
        false => context.peer.ip_value(),
    };
    let earlier = trusted.map_or_else(Vec::new, |headers| joined(headers.get_all(X_FORWARDED_FOR)));
    let hops = match (hop, &*earlier) {
        (hop, []) => hop,
        (Some(hop), earlier) => HeaderValue::try_from([earlier, hop.as_bytes()].concat()).ok(),
        // A peer on a unix socket has no address to append.
        (None, earlier) => {
            HeaderValue::from_bytes(earlier.strip_suffix(SEPARATOR).unwrap_or(earlier)).ok()
        }
    };
    append(X_FORWARDED_FOR, hops);
    append(X_REAL_IP, real);
}

/// X-Real-IP, if it is a single address.
fn real_ip(trusted: &HeaderMap) -> Option<HeaderValue> {
    match Sole::of(trusted, &X_REAL_IP) {
        Sole::Value(value) => {
            let text = value.to_str().ok()?;
            text.parse::<IpAddr>().ok().map(|_| value.clone())
        }
        Sole::Missing | Sole::Repeated => None,
    }
}

/// The port of `host`, or else the default of the protocol. The gateway's own port may differ from the one that the client
/// used, as ports can be mapped in between.
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

/// The elements of Forwarded for the earlier hops, with a trailing comma. They come from X-Forwarded-* if that names the client:
/// a proxy that writes X-Forwarded-* mostly passes on a Forwarded that the client may have forged.
fn earlier_elements(trusted: &HeaderMap) -> Vec<u8> {
    let names_client = trusted.contains_key(X_FORWARDED_FOR) || real_ip(trusted).is_some();
    match names_client || !trusted.contains_key(FORWARDED) {
        true => elements_from_x_forwarded(trusted).into_bytes(),
        false => joined(
            trusted
                .get_all(FORWARDED)
                .iter()
                .filter(|field| has_closed_quotes(field)),
        ),
    }
}

/// Whether all quotes are closed. An open one would swallow what is appended.
fn has_closed_quotes(field: &HeaderValue) -> bool {
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

/// The gateway's own element of Forwarded (RFC 7239 section 4).
fn own_element(context: RequestContext<'_>) -> String {
    let node = node(context.client.connection.peer.ip());
    let host = match context.host() {
        "" => String::new(),
        host => format!("host={};", quoted(host)),
    };
    format!("for={node};{host}proto={}", protocol(context.client))
}

/// Translates X-Forwarded-* into elements of Forwarded (RFC 7239 section 7.4), with a trailing comma. Host and protocol go
/// into the first element, as they are what the first hop was asked for.
fn elements_from_x_forwarded(trusted: &HeaderMap) -> String {
    let fields = trusted.get_all(X_FORWARDED_FOR).iter();
    let named = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    let real = real_ip(trusted).filter(|_| !trusted.contains_key(X_FORWARDED_FOR));
    let hops = named.chain(real.as_ref().map(HeaderValue::as_bytes));
    let mut elements: Vec<String> = hops
        .filter(|hop| !hop.trim_ascii().is_empty())
        .map(|hop| format!("for={}", node(parse_hop(hop))))
        .collect();
    for (key, name) in [("host", X_FORWARDED_HOST), ("proto", X_FORWARDED_PROTO)] {
        let value = trusted.get(name).and_then(|value| value.to_str().ok());
        let first = value
            .and_then(|value| value.split(',').next())
            .map(str::trim);
        let Some(first) = first.filter(|first| !first.is_empty()) else {
            continue;
        };
        let pair = format!("{key}={}", quoted(first));
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

/// A hop as Forwarded writes it (RFC 7239 section 6).
fn node(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("\"[{address}]\""),
        None => "unknown".to_owned(),
    }
}

/// A value of Forwarded: in quotes unless it is a token.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    match text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace(['"', '\\'], "")),
    }
}

/// All values as one list, with a trailing comma.
fn joined<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<u8> {
    let mut list = Vec::new();
    for field in fields {
        list.extend_from_slice(field.as_bytes());
        list.extend_from_slice(SEPARATOR);
    }
    list
}

fn protocol(client: &Client) -> &'static str {
    match client.connection.tls_version {
        Some(_) => "https",
        None => "http",
    }
}

/// Whether it names a protocol over TLS; case does not matter (RFC 3986 section 3.1). In a list, the first entry is from the
/// proxy that the client spoke to.
fn is_tls(protocol: &HeaderValue) -> bool {
    let mut list = protocol.as_bytes().split(|byte| *byte == b',');
    let first = list.next().unwrap_or_default().trim_ascii();
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
        let is_trusted = |hop: IpAddr| hop.to_string().starts_with("10.");
        last_untrusted_hop(&headers, is_trusted).map(|address| address.to_string())
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
    fn translates_x_forwarded_into_forwarded() {
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
            let headers = fields.map(|(name, text)| (name, HeaderValue::from_static(text)));
            assert_eq!(elements_from_x_forwarded(&headers.collect()), expected);
        }
    }

    #[test]
    fn believes_hops_as_far_as_proxies_are_trusted() {
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
