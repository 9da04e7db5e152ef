//! What goes to the backend and what comes back: hop-by-hop fields end here, the rest passes untouched.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, RANGE, TE, TRAILER, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use super::request_id::X_REQUEST_ID;
use super::{RequestContext, provenance};
use crate::config::{FieldRules, HeaderRules};
use crate::snapshot::PoolTarget;
use crate::upstream::{RequestHead, without_cookie};
use crate::websocket::{list_has_token, list_items, write_name};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields in which the gateway speaks for the client. What a client says there of itself is not believed.
static SET_BY_GATEWAY: [HeaderName; 8] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_FORWARDED_PREFIX,
    X_REAL_IP,
    X_REQUEST_ID,
];

/// Fields that are not among the rest of an opening handshake: Host comes first, the others speak of a body.
static NOT_COPIED: [HeaderName; 3] = [HOST, TRAILER, EXPECT];

/// Fields that a server has to know before it acts, so that they are never without_own_cookie on behind a body (RFC 9110 section
/// 6.5.1); beside those that hyper leaves out, such as Authorization.
static HEAD_ONLY: [HeaderName; 9] = [
    COOKIE,
    EXPECT,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    ORIGIN,
    RANGE,
];

/// The most trailers of a request that are without_own_cookie on: as many as hyper takes of a client of HTTP/1.1.
const MAX_TRAILERS: usize = 100;

/// Writes the head of an opening handshake as it goes to a backend.
///
/// The upgrade pair is written afresh; names of Sec-WebSocket-* are spelt as in the RFC, since some backends
/// compare them to the letter. It has no body, so nothing is left of what speaks of one: neither Trailer nor Expect.
pub(super) fn opening_head(
    context: RequestContext<'_>,
    target: &PoolTarget,
    uri: &Uri,
) -> RequestHead {
    let fields = fields(context, target);
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(b"GET ");
    // In absolute form a path may be missing before a query; then it is a slash, which this knows.
    head.extend_from_slice(uri.path().as_bytes());
    if let Some(query) = uri.query() {
        head.push(b'?');
        head.extend_from_slice(query.as_bytes());
    }
    head.extend_from_slice(b" HTTP/1.1\r\n");
    let line = head.len();
    let host = fields.get(HOST);
    if let Some(host) = host {
        write_field(&mut head, &HOST, host.as_bytes());
    }
    write_field(&mut head, &UPGRADE, b"websocket");
    write_field(&mut head, &CONNECTION, b"Upgrade");
    let rest = fields.iter().filter(|(name, _)| !NOT_COPIED.contains(name));
    for (name, value) in rest {
        write_field(&mut head, name, value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    match host {
        Some(_) => RequestHead::whole(head),
        None => RequestHead::without_host(head, line),
    }
}

/// The fields of a plain request as they go to a backend.
///
/// Of TE only `trailers` is without_own_cookie on: that is what the client understands, and nothing here stands in its way. Expect
/// ends here for a client of HTTP/2, which hyper cannot tell to go on, and for one of HTTP/1.0, which cannot be told (RFC
/// 9110 section 10.1.1): its body comes without.
pub(super) fn plain_fields(context: RequestContext<'_>, target: &PoolTarget) -> HeaderMap {
    let mut fields = fields(context, target);
    if list_has_token(&context.request.headers, &TE, "trailers") {
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(CONNECTION, HeaderValue::from_static("TE"));
    }
    if context.request.version != Version::HTTP_11 {
        fields.remove(EXPECT);
    }
    fields
}

/// What any request says to a backend, without what bounds its body: the client's fields, then what the
/// gateway says of the client, which no Connection field can take away, then the rules of the route. No Host
/// where it is to be the backend's address.
fn fields(context: RequestContext<'_>, target: &PoolTarget) -> HeaderMap {
    let RequestContext { request, id, .. } = context;
    let (given, rules) = (&request.headers, &target.headers);
    let mut fields = HeaderMap::with_capacity(given.keys_len() + 8);
    if let (true, Some(host)) = (rules.preserve_host, context.host_value()) {
        fields.append(HOST, host);
    }
    for (name, value) in given {
        if is_dropped(name, rules) {
            continue;
        }
        if let Some(value) = without_own_cookie(name, value, target.pool.sticky_cookie()) {
            fields.append(name, value);
        }
    }
    remove_listed(&mut fields, given.get_all(CONNECTION));
    join_cookies(&mut fields);
    filter_trailer_field(&mut fields, given, rules);
    provenance::write(context, rules, &mut fields);
    if let (Some(prefix), true) = (&target.prefix, rules.forwarded.says_x_forwarded()) {
        fields.extend(HeaderValue::from_str(prefix).map(|prefix| (X_FORWARDED_PREFIX, prefix)));
    }
    fields.insert(X_REQUEST_ID, id.value());
    apply_rules(Some(&rules.fields), &mut fields);
    fields
}

/// Writes into the head of an answer what the route says of it. That comes after what ends here, which `Connection` may
/// name, and before what the gateway says itself of cookies and scripts.
pub(super) fn apply_rules(rules: Option<&FieldRules>, headers: &mut HeaderMap) {
    let Some(rules) = rules else { return };
    for name in &rules.remove {
        headers.remove(name);
    }
    for (name, value) in &rules.set {
        headers.insert(name, value.clone());
    }
}

/// Adds what a route sets in its answers to a refusal. What that says itself stays: it is true of this moment, and of its
/// own body.
pub(super) fn apply_rules_to_refusal(rules: Option<&FieldRules>, headers: &mut HeaderMap) {
    for (name, value) in rules.into_iter().flat_map(|rules| &rules.set) {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

/// HTTP/2 may split Cookie, HTTP/1.1 may not (RFC 9113 section 8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let crumbs: Vec<_> = fields
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        fields.insert(COOKIE, whole);
    }
}

/// hyper passes those trailers on that Trailer names, so it names none that would end here in the head, or belong there.
fn filter_trailer_field(fields: &mut HeaderMap, given: &HeaderMap, rules: &HeaderRules) {
    if !fields.contains_key(TRAILER) {
        return;
    }
    let names = list_items(fields, &TRAILER).take(MAX_TRAILERS);
    let named = names.filter_map(|name| Some((HeaderName::from_bytes(name).ok()?, name)));
    let is_refused = |name: &HeaderName| HEAD_ONLY.contains(name) || is_dropped(name, rules);
    let mut passing: HeaderMap<&[u8]> = named.filter(|(name, _)| !is_refused(name)).collect();
    remove_listed(&mut passing, given.get_all(CONNECTION));
    let passing: Vec<_> = passing.values().copied().collect();
    match HeaderValue::from_bytes(&passing.join(&b", "[..])) {
        Ok(names) if !names.is_empty() => fields.insert(TRAILER, names),
        Ok(_) | Err(_) => fields.remove(TRAILER),
    };
}

/// A field's value as a backend gets it; none where it was the gateway's cookie alone.
fn without_own_cookie(
    name: &HeaderName,
    value: &HeaderValue,
    own_cookie: Option<&str>,
) -> Option<HeaderValue> {
    match own_cookie {
        Some(own) if *name == COOKIE => without_cookie(value, own),
        Some(_) | None => Some(value.clone()),
    }
}

fn write_field(head: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    write_name(name, head);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// Takes out of an answer what concerns only the connection to the backend.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most answers have one Connection at most, and none of the others: comparing their names takes less than hashing these.
    let repeated = headers.get_all(CONNECTION).iter().skip(1);
    let repeated: Vec<_> = repeated.cloned().collect();
    let connection = headers.remove(CONNECTION);
    let ending = headers.keys().filter(|name| is_hop_by_hop(name));
    for name in ending.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    remove_listed(headers, connection.iter().chain(&repeated));
}

/// Takes out of the trailers of an answer what concerns only the connection to the backend, or would bound a body
/// (RFC 9110 section 6.5.1): for HTTP/2 it breaks the stream. So goes what the route speaks of.
pub(super) fn filter_trailers(rules: Option<&FieldRules>, trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    trailers.remove(CONTENT_LENGTH);
    for name in rules.into_iter().flat_map(FieldRules::names) {
        trailers.remove(name);
    }
}

/// Takes out what Connection names. Each name is looked up, as either side may be as long as a head.
fn remove_listed<'a, T>(
    fields: &mut HeaderMap<T>,
    connection: impl IntoIterator<Item = &'a HeaderValue>,
) {
    let lists = connection.into_iter().map(HeaderValue::as_bytes);
    let names = lists.flat_map(|list| list.split(|byte| *byte == b','));
    for name in names.filter_map(|name| str::from_utf8(name.trim_ascii()).ok()) {
        if !is_end_to_end(name) {
            fields.remove(name);
        }
    }
}

/// Whether Connection cannot name it, as both ends of a WebSocket must see it.
fn is_end_to_end(name: &str) -> bool {
    let begins = |start: &str| {
        let beginning = name.get(..start.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
    };
    name.eq_ignore_ascii_case(HOST.as_str()) || begins("sec-websocket-")
}

/// Whether a field concerns one connection only (RFC 9110 section 7.6.1). It is asked of each, so by text: by its length that
/// is told from nearly all others at once.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "http2-settings"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether a field of a client ends here, whatever Connection names.
fn is_dropped(name: &HeaderName, rules: &HeaderRules) -> bool {
    is_hop_by_hop(name) || *name == CONTENT_LENGTH || is_overridden(name, rules)
}

/// Whether a client's field is left out because the gateway or the route speaks there, under this name or under one that
/// an application takes for the same.
fn is_overridden(name: &HeaderName, rules: &HeaderRules) -> bool {
    let mut ours = SET_BY_GATEWAY.iter().chain(rules.fields.names());
    *name == HOST || ours.any(|ours| are_same_variable(name.as_str(), ours.as_str()))
}

/// Whether an application that takes fields for variables, as CGI does, could read both as one: for such a one
/// `X_Forwarded_For` is X-Forwarded-For, for PHP `X.Forwarded.For`, and for some servers any sign that is no letter or digit.
fn are_same_variable(one: &str, other: &str) -> bool {
    let is_alike = |(one, other): (u8, u8)| {
        one == other || !one.is_ascii_alphanumeric() && !other.is_ascii_alphanumeric()
    };
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(is_alike)
}
