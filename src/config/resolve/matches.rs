//! Checks that no two routes take the same requests.

use std::collections::HashMap;
use std::sync::Arc;

use super::http::Protocols;
use crate::config::host::HostPattern;
use crate::config::model::{Name, Route, RouteMatch};
use crate::config::problems::{Findings, Place};

/// The routes so far, by what they match.
#[derive(Default)]
pub(super) struct Matches {
    taken: HashMap<Key, Vec<Taken>>,
}

/// What decides which route is the more specific.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// `None` for any host.
    host: Option<HostPattern>,
    path: String,
    exact: bool,
}

#[derive(Clone)]
struct Taken {
    /// The path of the route, which is fit to be shown also if its name is invalid.
    route: Arc<str>,
    listeners: Vec<Name>,
    protocols: Protocols,
}

impl Matches {
    /// Adds a route, noting a problem where another one takes the same requests.
    pub(super) fn add(
        &mut self,
        Route {
            matcher, target, ..
        }: &Route,
        place: &Place,
        findings: &mut Findings,
    ) {
        let route = Taken {
            route: place.path.as_str().into(),
            listeners: matcher.listeners.clone(),
            protocols: Protocols::of(target),
        };
        for key in keys(matcher) {
            let taken = self.taken.entry(key).or_default();
            let mut others = taken.iter().filter(|other| *other.route != *place.path);
            if let Some(other) = others.find(|other| other.conflicts_with(&route)) {
                let message = format!("takes the same requests as {}", other.route);
                findings.add(place, message);
                return;
            }
            taken.push(route.clone());
        }
    }
}

impl Taken {
    /// Whether there are requests for which neither is more specific.
    fn conflicts_with(&self, other: &Self) -> bool {
        let (one, two) = (self.protocols, other.protocols);
        share(&self.listeners, &other.listeners)
            && (one.websocket && two.websocket || one.http && two.http)
    }
}

fn keys(matcher: &RouteMatch) -> Vec<Key> {
    let key = |host| Key {
        host,
        path: matcher.path.clone(),
        exact: matcher.exact,
    };
    if matcher.hosts.is_empty() {
        return vec![key(None)];
    }
    matcher
        .hosts
        .iter()
        .map(|host| key(Some(host.clone())))
        .collect()
}

/// Whether neither is more specific. An empty list stands for all listeners, and yields to one that names some.
fn share(one: &[Name], other: &[Name]) -> bool {
    one.is_empty() && other.is_empty() || one.iter().any(|name| other.contains(name))
}
