//! Header fields towards backends and back: hop-by-hop fields are removed, most others pass unchanged.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, RANGE, TE, TRAILER, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use super::field_list::{FieldList, Fields};
use super::request_id::X_REQUEST_ID;
use super::{RequestContext, provenance};
use crate::config::{FieldRules, HeaderRules};
use crate::fields::{list_has_token, list_items, write_name};
use crate::snapshot::PoolTarget;
use crate::upstream::{RequestHead, without_cookie};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields that the gateway sets for the client. What the client itself sent there is dropped.
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

/// Fields that are not copied into an opening handshake: Host is written first, the others are about a body.
static NOT_COPIED: [HeaderName; 3] = [HOST, TRAILER, EXPECT];

/// Fields that are not allowed as trailers, as a server needs them before the body (RFC 9110 section 6.5.1). hyper drops
/// others, such as Authorization, by itself.
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

/// The most trailers of a request that are passed on: hyper's own limit for HTTP/1.1 clients.
const MAX_TRAILERS: usize = 100;

/// Writes the head of an opening handshake as it goes to a backend.
///
/// Upgrade and Connection are written anew. Sec-WebSocket-* is spelt as in RFC 6455, since some backends compare names
/// case-sensitively. There is no body, so fields about a body (Trailer, Expect) are dropped.
pub(super) fn opening_head(
    context: RequestContext<'_>,
    target: &PoolTarget,
    uri: &Uri,
) -> RequestHead {
    let fields: FieldList = fields(context, target);
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(b"GET ");
    // In absolute form the path may be missing before a query; `path()` gives a slash then.
    head.extend_from_slice(uri.path().as_bytes());
    if let Some(query) = uri.query() {
        head.push(b'?');
        head.extend_from_slice(query.as_bytes());
    }
    head.extend_from_slice(b" HTTP/1.1\r\n");
    let line = head.len();
    let host = fields.values(&HOST).next();
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
/// Of TE only `trailers` is passed on, as the gateway forwards trailers. Expect is dropped for HTTP/2 clients, whom hyper
/// cannot send a 100, and for HTTP/1.0 clients, who do not know it (RFC 9110 section 10.1.1): they send their bodies without
/// being asked.
pub(super) fn plain_fields(context: RequestContext<'_>, target: &PoolTarget) -> HeaderMap {
    let mut fields: HeaderMap = fields(context, target);
    if list_has_token(&context.request.headers, &TE, "trailers") {
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(CONNECTION, HeaderValue::from_static("TE"));
    }
    if context.request.version != Version::HTTP_11 {
        fields.remove(EXPECT);
    }
    fields
}

/// The fields of any request, except those that frame its body: first the client's fields without those that Connection
/// lists, then what the gateway says about the client, then the rules of the route. Host is left out if the backend's address
/// takes its place.
fn fields<F: Fields>(context: RequestContext<'_>, target: &PoolTarget) -> F {
    let RequestContext { request, id, .. } = context;
    let (given, rules) = (&request.headers, &target.headers);
    let mut fields = F::with_room_for(given.len() + 8);
    if let (true, Some(host)) = (rules.preserve_host, context.host_value()) {
        fields.add(HOST, host);
    }
    let listed = listed_among(given);
    for (name, value) in given {
        if is_dropped(name, rules) || listed.contains_key(name) {
            continue;
        }
        if let Some(value) = without_own_cookie(name, value, target.pool.sticky_cookie()) {
            fields.add(name.clone(), value);
        }
    }
    join_cookies(&mut fields);
    filter_trailer_field(&mut fields, given, rules);
    provenance::write(context, rules, &mut fields);
    if let (Some(prefix), true) = (&target.prefix, rules.forwarded.says_x_forwarded())
        && let Ok(prefix) = HeaderValue::from_str(prefix)
    {
        fields.add(X_FORWARDED_PREFIX, prefix);
    }
    fields.add(X_REQUEST_ID, id.value());
    apply_rules(Some(&rules.fields), &mut fields);
    fields
}

/// Whether a plain request asks to become something that it cannot become here, such as SPDY. Clients do without HTTP/2.
pub(super) fn asks_for_other_upgrade(given: &HeaderMap) -> bool {
    given
        .get(UPGRADE)
        .is_some_and(|wanted| !wanted.as_bytes().eq_ignore_ascii_case(b"h2c"))
}

/// Applies a route's rules to header fields. In answers this comes after hop-by-hop fields are removed, and before the
/// gateway adds its cookie and CORS fields.
pub(super) fn apply_rules(rules: Option<&FieldRules>, headers: &mut impl Fields) {
    let Some(rules) = rules else { return };
    for name in rules.remove.iter() {
        headers.delete(name);
    }
    for (name, value) in rules.set.iter() {
        headers.replace(name.clone(), value.clone());
    }
}

/// Adds to a refusal the fields that a route sets in its answers. Fields of the refusal itself stay, as they describe its
/// body.
pub(super) fn apply_rules_to_refusal(rules: Option<&FieldRules>, headers: &mut HeaderMap) {
    for (name, value) in rules.into_iter().flat_map(|rules| rules.set.iter()) {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

/// Joins the parts of Cookie into one field: HTTP/2 may split it, HTTP/1.1 may not (RFC 9113 section 8.2.3).
fn join_cookies(fields: &mut impl Fields) {
    let crumbs = fields.values(&COOKIE).map(HeaderValue::as_bytes);
    let crumbs: Vec<_> = crumbs.collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        fields.replace(COOKIE, whole);
    }
}

/// Removes from Trailer the names of fields that are dropped. hyper forwards exactly the trailers that Trailer names.
fn filter_trailer_field(fields: &mut impl Fields, given: &HeaderMap, rules: &HeaderRules) {
    if fields.values(&TRAILER).next().is_none() {
        return;
    }
    let names = list_items(given, &TRAILER).take(MAX_TRAILERS);
    let named = names.filter_map(|name| Some((HeaderName::from_bytes(name).ok()?, name)));
    let is_refused = |name: &HeaderName| HEAD_ONLY.contains(name) || is_dropped(name, rules);
    let mut passing: HeaderMap<&[u8]> = named.filter(|(name, _)| !is_refused(name)).collect();
    for name in listed(given.get_all(CONNECTION)) {
        passing.remove(name);
    }
    let passing: Vec<_> = passing.values().copied().collect();
    match HeaderValue::from_bytes(&passing.join(&b", "[..])) {
        Ok(names) if !names.is_empty() => fields.replace(TRAILER, names),
        Ok(_) | Err(_) => fields.delete(&TRAILER),
    }
}

/// A field's value without the gateway's own cookie; `None` if nothing else is left.
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

/// Removes the hop-by-hop fields of an answer.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most answers have at most one Connection and no other hop-by-hop field, so comparing names is cheaper than nine hash
    // look-ups.
    let repeated = headers.get_all(CONNECTION).iter().skip(1);
    let repeated: Vec<_> = repeated.cloned().collect();
    let connection = headers.remove(CONNECTION);
    let ending = headers.keys().filter(|name| is_hop_by_hop(name));
    for name in ending.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    for name in listed(connection.iter().chain(&repeated)) {
        headers.remove(name);
    }
}

/// Removes from an answer's trailers hop-by-hop fields, Content-Length (RFC 9110 section 6.5.1; it would break an HTTP/2
/// stream), and fields for which the route has rules.
pub(super) fn filter_trailers(rules: Option<&FieldRules>, trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    trailers.remove(CONTENT_LENGTH);
    for name in rules.into_iter().flat_map(FieldRules::names) {
        trailers.remove(name);
    }
}

/// The fields of a request that its Connection lists. Each name is looked up, as both lists may be as long as a head.
fn listed_among(given: &HeaderMap) -> HeaderMap<()> {
    let present = listed(given.get_all(CONNECTION)).filter(|name| given.contains_key(*name));
    let names = present.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    // Not collected, which would keep every repetition.
    let mut listed = HeaderMap::default();
    for name in names {
        listed.insert(name, ());
    }
    listed
}

/// The names that these values of Connection list, as far as that removes them.
fn listed<'a>(
    connection: impl IntoIterator<Item = &'a HeaderValue>,
) -> impl Iterator<Item = &'a str> {
    let lists = connection.into_iter().map(HeaderValue::as_bytes);
    let items = lists.flat_map(|list| list.split(|byte| *byte == b','));
    let names = items.filter_map(|item| str::from_utf8(item.trim_ascii()).ok());
    names.filter(|name| !is_end_to_end(name) && !is_mostly_listed(name))
}

/// Whether Connection cannot remove it, as both ends of a WebSocket need it.
fn is_end_to_end(name: &str) -> bool {
    let begins = |start: &str| {
        let beginning = name.get(..start.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
    };
    name.eq_ignore_ascii_case(HOST.as_str()) || begins("sec-websocket-")
}

/// Whether it is what Connection lists nearly always. These are removed wherever they stand.
fn is_mostly_listed(name: &str) -> bool {
    name.eq_ignore_ascii_case("upgrade") || name.eq_ignore_ascii_case("keep-alive")
}

/// Whether a field is hop-by-hop (RFC 9110 section 7.6.1). This runs for each field; matching the text rejects most names by
/// their length alone.
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

/// Whether a client's field is dropped, whatever Connection says. Proxy is not a field of HTTP, but CGI makes HTTP_PROXY of
/// it, which programs take for the proxy that they are to use (CVE-2016-5385).
fn is_dropped(name: &HeaderName, rules: &HeaderRules) -> bool {
    is_hop_by_hop(name)
        || *name == CONTENT_LENGTH
        || name.as_str() == "proxy"
        || is_overridden(name, rules)
}

/// Whether the gateway or the route sets this field itself, under this name or one that an application may take for the same.
fn is_overridden(name: &HeaderName, rules: &HeaderRules) -> bool {
    let mut ours = SET_BY_GATEWAY.iter().chain(rules.fields.names());
    *name == HOST || ours.any(|ours| are_same_variable(name.as_str(), ours.as_str()))
}

/// Whether applications that map fields to variables, as CGI does, could mistake one name for the other: `X_Forwarded_For` is
/// the same variable as X-Forwarded-For, `X.Forwarded.For` as well in PHP, and some servers replace any character but letters
/// and digits.
fn are_same_variable(one: &str, other: &str) -> bool {
    let is_alike = |(one, other): (u8, u8)| {
        one == other || !one.is_ascii_alphanumeric() && !other.is_ascii_alphanumeric()
    };
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(is_alike)
}

#[cfg(test)]
mod tests {
    use http::header::SEC_WEBSOCKET_KEY;

    use super::*;

    #[test]
    fn connection_removes_what_is_there_and_is_not_needed_end_to_end() {
        let given = [
            (CONNECTION, "X-A, , upgrade,X-Absent, x-a"),
            (CONNECTION, "Host, Sec-WebSocket-Key, close"),
            (HOST, "a"),
            (SEC_WEBSOCKET_KEY, "key"),
            (HeaderName::from_static("x-a"), "1"),
            (HeaderName::from_static("x-b"), "2"),
            (HeaderName::from_static("close"), "3"),
        ];
        let given = given.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let listed = listed_among(&given.into_iter().collect());
        let mut names: Vec<_> = listed.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["close", "x-a"]);
    }
}
