//! That no two routes take the same requests.

use std::collections::HashMap;

use super::Context;
use crate::config::host::HostPattern;
use crate::config::model::{Name, RouteMatch};
use crate::config::problems::Place;

/// The routes so far, by what they take.
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

struct Taken {
    route: Name,
    listeners: Vec<Name>,
}

impl Matches {
    /// Adds a route, noting a problem where another one takes the same requests.
    pub(super) fn add(
        &mut self,
        route: &Name,
        matcher: &RouteMatch,
        place: &Place,
        context: &mut Context<'_>,
    ) {
        for key in keys(matcher) {
            let taken = self.taken.entry(key).or_default();
            let other = taken
                .iter()
                .find(|other| other.route != *route && share(&other.listeners, &matcher.listeners));
            if let Some(other) = other {
                let message = format!("takes the same requests as routes.{}", other.route);
                context.findings.add(place, message);
                return;
            }
            taken.push(Taken {
                route: Name::clone(route),
                listeners: matcher.listeners.clone(),
            });
        }
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
