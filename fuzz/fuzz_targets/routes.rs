//! Any routes and any request: the table finds what a slow search finds; and a path that a backend could read as that of
//! another route is told apart.

#![no_main]

use std::collections::BTreeSet;

use http::uri::PathAndQuery;
use libfuzzer_sys::fuzz_target;
use wsgate::config::{HostPattern, RouteMatch};
use wsgate::route::{
    RouteTable, has_parent_segment, has_valid_encoding, has_zero_byte, interpretations,
};

const LISTENERS: [&str; 2] = ["public", "internal"];
/// More routes make a run slow and find nothing more.
const MOST_ROUTES: usize = 6;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let (Some(host), Some(path)) = (lines.next(), lines.next()) else {
        return;
    };
    let routes: Vec<RouteMatch> = lines.filter_map(route).take(MOST_ROUTES).collect();
    let table = RouteTable::new(routes.iter().cloned().zip(0..));
    for listener in LISTENERS {
        let found = table.find(host, path, listener, |_| true).copied();
        assert_eq!(found, search(&routes, host, path, listener));
    }
    check_readings(path, &table);
});

/// A line is a path, with `=` before it if it is exact; then a host pattern, and then the number of a listener.
fn route(line: &str) -> Option<RouteMatch> {
    let mut words = line.split(' ');
    let path = words.next()?;
    let exact = path.strip_prefix('=');
    let hosts = match words.next() {
        None | Some("") => Vec::new(),
        Some(text) => vec![HostPattern::parse(text).ok()?],
    };
    let listener = words.next().and_then(|word| word.parse::<usize>().ok());
    let listener = listener.and_then(|number| LISTENERS.get(number));
    let path = exact.unwrap_or(path);
    // A path that backends normalize is another path for them, whatever the gateway does.
    let is_plain = !path.contains([';', '%', '\\']) && !path.contains("//") && !path.contains("/.");
    (path.starts_with('/') && is_plain).then(|| RouteMatch {
        hosts,
        path: path.to_owned(),
        exact: exact.is_some(),
        listeners: listener.into_iter().map(|name| (*name).into()).collect(),
    })
}

/// The first of the most specific routes that take the request.
fn search(routes: &[RouteMatch], host: &str, path: &str, listener: &str) -> Option<usize> {
    let host = plain_host(host);
    let takes = |route: &&(usize, &RouteMatch)| {
        let (_, route) = route;
        let fits =
            route.hosts.is_empty() || route.hosts.iter().any(|pattern| fits_host(pattern, &host));
        let heard =
            route.listeners.is_empty() || route.listeners.iter().any(|name| **name == *listener);
        fits && heard && fits_path(route, path)
    };
    let routes: Vec<_> = routes.iter().enumerate().collect();
    let best = routes.iter().filter(takes).max_by_key(|(number, route)| {
        let host = match route.hosts.first() {
            Some(HostPattern::Exact(_)) => (2, 0),
            Some(HostPattern::Wildcard(suffix)) => (1, suffix.len()),
            None => (0, 0),
        };
        let path = route.path.trim_end_matches('/').len();
        let path = if route.exact { route.path.len() } else { path };
        (
            host,
            route.exact,
            path,
            !route.listeners.is_empty(),
            usize::MAX - number,
        )
    });
    best.map(|(number, _)| *number)
}

fn fits_path(route: &RouteMatch, path: &str) -> bool {
    if route.exact {
        return path == route.path;
    }
    let prefix = route.path.trim_end_matches('/');
    let segments = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    segments(path).starts_with(&segments(prefix)) && (path.starts_with('/') || path.is_empty())
}

fn fits_host(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => !host.is_empty() && name == host,
        HostPattern::Wildcard(suffix) => {
            let (host, suffix): (Vec<_>, Vec<_>) =
                (host.split('.').collect(), suffix.split('.').collect());
            let labels = host.len().saturating_sub(suffix.len());
            labels > 0
                && host[labels..] == suffix
                && host[..labels].iter().all(|label| !label.is_empty())
        }
    }
}

/// The host of an authority as routes compare it; empty if it is none.
fn plain_host(authority: &str) -> String {
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((literal, port)) => {
            let Ok(address) = literal.parse::<std::net::Ipv6Addr>() else {
                return String::new();
            };
            (format!("[{address}]"), port.to_owned())
        }
        None if authority.starts_with('[') => return String::new(),
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            (host, port.to_owned())
        }
    };
    let digits = port.strip_prefix(':').unwrap_or_default();
    let is_port = port.is_empty()
        || port.starts_with(':')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.is_empty() || digits.parse::<u16>().is_ok());
    if is_port && host.len() <= 253 {
        host
    } else {
        String::new()
    }
}

/// A path that the gateway takes leads to one route, however a backend reads it.
fn check_readings(path: &str, table: &RouteTable<usize>) {
    let is_refused = !path.starts_with('/')
        || has_parent_segment(path)
        || has_zero_byte(path)
        || !has_valid_encoding(path)
        // No request has this path.
        || !PathAndQuery::try_from(path).is_ok_and(|target| target.path() == path);
    let find = |path: &str| table.find("", path, LISTENERS[0], |_| true);
    let written = find(path);
    if is_refused || !interpretations(path).all(|read| find(&read) == written) {
        return;
    }
    for read in readings(path) {
        let read = String::from_utf8_lossy(&read);
        assert_eq!(find(&read), written, "{path:?} may be read as {read:?}");
    }
}

type Step = fn(&[u8]) -> Vec<u8>;

/// What backends do to paths; each does some of it, once, in an order of its own.
const STEPS: [Step; 5] = [
    decode,
    without_parameters,
    with_slashes,
    merge_slashes,
    resolve_dots,
];

/// The path after every sequence of steps.
fn readings(path: &str) -> BTreeSet<Vec<u8>> {
    let mut reached = BTreeSet::new();
    let mut open = vec![(path.as_bytes().to_vec(), [false; STEPS.len()])];
    while let Some((path, done)) = open.pop() {
        for (number, step) in STEPS
            .iter()
            .enumerate()
            .filter(|(number, _)| !done[*number])
        {
            let read = step(&path);
            let mut done = done;
            done[number] = true;
            if read != path {
                open.push((read.clone(), done));
                reached.insert(read);
            }
        }
    }
    reached
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let digits = path
            .get(at + 1..at + 3)
            .and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if path[at] == b'%' && path[at + 1] != b'+' => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(path[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn by_segment(path: &[u8], change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    segments.filter_map(change).collect::<Vec<_>>().join(&b'/')
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    by_segment(path, |segment| {
        segment
            .split(|byte| *byte == b';')
            .next()
            .map(<[u8]>::to_vec)
    })
}

fn with_slashes(path: &[u8]) -> Vec<u8> {
    path.iter()
        .map(|byte| if *byte == b'\\' { b'/' } else { *byte })
        .collect()
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|next, last| *next == b'/' && *last == b'/');
    merged
}

/// RFC 3986 section 5.2.4, with empty segments as they are.
fn resolve_dots(path: &[u8]) -> Vec<u8> {
    let mut output: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    for (number, segment) in segments.iter().enumerate() {
        let is_last = number + 1 == segments.len();
        match *segment {
            b"." if is_last => output.push(b""),
            b"." => {}
            b".." => {
                if output.len() > 1 {
                    output.pop();
                }
                if is_last {
                    output.push(b"");
                }
            }
            other => output.push(other),
        }
    }
    output.join(&b'/')
}
