//! The route table against examples, and against a slow and obvious reference.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::RouteTable;
use crate::config::{HostPattern, Name, RouteMatch};

/// A route as the examples write it: hosts, path (`=` before an exact one), listeners.
fn route(hosts: &[&str], path: &str, listeners: &[&str]) -> RouteMatch {
    let pattern = |host: &&str| match host.strip_prefix("*.") {
        Some(suffix) => HostPattern::Wildcard(suffix.to_owned()),
        None => HostPattern::Exact((*host).to_owned()),
    };
    RouteMatch {
        hosts: hosts.iter().map(pattern).collect(),
        path: path.trim_start_matches('=').to_owned(),
        exact: path.starts_with('='),
        listeners: listeners.iter().map(|&name| Name::from(name)).collect(),
    }
}

fn table(routes: &[RouteMatch]) -> RouteTable<usize> {
    RouteTable::new(routes.iter().cloned().zip(0..))
}

#[test]
fn a_prefix_ends_at_the_border_of_a_segment() {
    for prefix in ["/chat", "/chat/"] {
        let table = table(&[route(&[], prefix, &[])]);
        for path in ["/chat", "/chat/", "/chat/x", "/chat//x"] {
            assert_eq!(
                table.find("a", path, "public", |_| true),
                Some(&0),
                "{path}"
            );
        }
        for path in [
            "/chatter",
            "/cha",
            "/",
            "",
            "//chat",
            "/chat;x",
            "/CHAT",
            "/chat%2fx",
        ] {
            assert_eq!(table.find("a", path, "public", |_| true), None, "{path}");
        }
    }
}

#[test]
fn the_root_takes_all_and_an_exact_path_itself() {
    let table = table(&[
        route(&[], "/", &[]),
        route(&[], "=/chat", &[]),
        route(&[], "=/", &[]),
    ]);
    assert_eq!(table.find("a", "/chat", "public", |_| true), Some(&1));
    assert_eq!(table.find("a", "/chat/", "public", |_| true), Some(&0));
    assert_eq!(table.find("a", "/x", "public", |_| true), Some(&0));
    assert_eq!(table.find("a", "/", "public", |_| true), Some(&2));
}

#[test]
fn the_more_specific_host_answers() {
    let table = table(&[
        route(&[], "/", &[]),
        route(&["*.example.com"], "/", &[]),
        route(&["*.chat.example.com"], "/", &[]),
        route(&["a.chat.example.com", "[2001:db8::1]"], "/", &[]),
    ]);
    let cases = [
        ("a.chat.example.com", 3),
        ("A.Chat.Example.com.:8443", 3),
        ("[2001:DB8::1]:80", 3),
        ("b.chat.example.com", 2),
        ("x.y.chat.example.com", 2),
        ("chat.example.com", 1),
        ("example.com", 0),
        (".example.com", 0),
        ("notexample.com", 0),
        ("", 0),
    ];
    for (host, target) in cases {
        assert_eq!(
            table.find(host, "/", "public", |_| true),
            Some(&target),
            "{host}"
        );
    }
}

#[test]
fn the_next_best_host_is_asked_where_no_path_fits() {
    let table = table(&[
        route(&["chat.example.com"], "/chat", &[]),
        route(&["*.example.com"], "/news", &[]),
        route(&[], "/", &[]),
    ]);
    assert_eq!(
        table.find("chat.example.com", "/chat", "public", |_| true),
        Some(&0)
    );
    assert_eq!(
        table.find("chat.example.com", "/news", "public", |_| true),
        Some(&1)
    );
    assert_eq!(
        table.find("chat.example.com", "/else", "public", |_| true),
        Some(&2)
    );
}

#[test]
fn a_route_answers_on_its_listeners_only() {
    let table = table(&[
        route(&[], "/", &["inside"]),
        route(&[], "/chat", &["public", "inside"]),
    ]);
    assert_eq!(table.find("a", "/", "inside", |_| true), Some(&0));
    assert_eq!(table.find("a", "/", "public", |_| true), None);
    assert_eq!(table.find("a", "/chat", "public", |_| true), Some(&1));
}

#[test]
fn a_route_that_names_the_listener_goes_before_one_for_all() {
    let table = table(&[route(&[], "/", &[]), route(&[], "/", &["inside"])]);
    assert_eq!(table.find("a", "/", "inside", |_| true), Some(&1));
    assert_eq!(table.find("a", "/", "public", |_| true), Some(&0));
}

#[test]
fn of_two_that_are_the_same_the_one_that_suits_answers() {
    let table = table(&[
        route(&[], "/a", &[]),
        route(&[], "/a", &[]),
        route(&[], "/", &[]),
    ]);
    let find = |path, suits: usize| table.find("a", path, "public", |target| *target == suits);
    assert_eq!(find("/a", 0), Some(&0));
    assert_eq!(find("/a", 1), Some(&1));
    assert_eq!(find("/a", 2), Some(&0), "a less specific one is not asked");
    assert_eq!(find("/b", 0), Some(&2));
}

/// Every fitting route, judged one by one: the best in the order that the table promises.
fn obvious(routes: &[RouteMatch], host: &str, path: &str, listener: &str) -> Option<usize> {
    let mut best = None;
    for (index, route) in routes.iter().enumerate() {
        let Some(host) = host_rank(route, host) else {
            continue;
        };
        let listed = route.listeners.iter().any(|name| **name == *listener);
        let fits = path_fits(route, path) && (listed || route.listeners.is_empty());
        let length = route.path.trim_end_matches('/').len();
        let rank = (
            host,
            route.exact,
            if route.exact { 0 } else { length },
            listed,
        );
        if fits && best.is_none_or(|(highest, _)| rank > highest) {
            best = Some((rank, index));
        }
    }
    best.map(|(_, index)| index)
}

/// The length of the longest wildcard that fits; all of it and more for an exact host.
fn host_rank(route: &RouteMatch, host: &str) -> Option<usize> {
    let rank = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(name) => (name == host).then_some(usize::MAX),
        HostPattern::Wildcard(suffix) => {
            let fits = host.ends_with(&format!(".{suffix}")) && !host.starts_with('.');
            fits.then_some(suffix.len())
        }
    };
    if route.hosts.is_empty() {
        Some(0)
    } else {
        route.hosts.iter().filter_map(rank).max()
    }
}

fn path_fits(route: &RouteMatch, path: &str) -> bool {
    let prefix = route.path.trim_end_matches('/');
    let below = format!("{prefix}/");
    if route.exact {
        path == route.path
    } else {
        path == prefix || path.starts_with(&below)
    }
}

/// Hosts and paths of few letters, so that patterns and requests meet often.
fn any_host() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "c"]), 1..5).prop_map(|labels| labels.join("."))
}

fn any_path() -> impl Strategy<Value = String> {
    vec(select(vec!["/", "/a", "/b", "/ab", "a"]), 0..5)
        .prop_map(|parts| format!("/{}", parts.concat()))
}

fn any_listeners() -> impl Strategy<Value = Vec<Name>> {
    vec(select(vec!["public", "inside"]).prop_map(Name::from), 0..2)
}

fn any_pattern() -> impl Strategy<Value = HostPattern> {
    prop_oneof![
        any_host().prop_map(HostPattern::Exact),
        any_host().prop_map(HostPattern::Wildcard)
    ]
}

fn any_route() -> impl Strategy<Value = RouteMatch> {
    (
        vec(any_pattern(), 0..3),
        any_path(),
        any::<bool>(),
        any_listeners(),
    )
        .prop_map(|(hosts, path, exact, listeners)| RouteMatch {
            hosts,
            path,
            exact,
            listeners,
        })
}

proptest! {
    #[test]
    fn agrees_with_the_obvious_search(
        routes in vec(any_route(), 0..12),
        host in any_host(),
        path in any_path(),
        inside in any::<bool>(),
        port in option::of(any::<u16>()),
    ) {
        let listener = if inside { "inside" } else { "public" };
        let expected = obvious(&routes, &host, &path, listener);
        let authority = port.map_or(host.clone(), |port| format!("{}.:{port}", host.to_uppercase()));
        prop_assert_eq!(table(&routes).find(&authority, &path, listener, |_| true).copied(), expected);
    }

    #[test]
    fn the_order_of_routes_does_not_matter(
        routes in vec(any_route(), 0..12),
        host in any_host(),
        path in any_path(),
    ) {
        let turned: Vec<_> = routes.iter().rev().cloned().collect();
        let (forwards, backwards) = (table(&routes), table(&turned));
        let one = forwards.find(&host, &path, "public", |_| true).map(|&index| &routes[index]);
        let other = backwards.find(&host, &path, "public", |_| true).map(|&index| &turned[index]);
        let rank = |route: &RouteMatch| {
            let length = route.path.trim_end_matches('/').len();
            (host_rank(route, &host), route.exact, length, route.listeners.is_empty())
        };
        prop_assert_eq!(one.map(rank), other.map(rank));
    }

    #[test]
    fn nothing_from_the_network_panics(host in ".*", path in ".*") {
        let table = table(&[route(&["*.a", "b"], "/a", &[])]);
        let _ = table.find(&host, &path, "public", |_| true);
        let _ = super::has_parent_segment(&path);
    }
}
