//! A path pattern of one host.

use std::cmp::Reverse;

use crate::config::{Name, RouteMatch};

/// The part of a route that is compared once the host has matched.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The exact path, or the prefix without trailing slashes.
    path: String,
    exact: bool,
    /// Empty for all listeners.
    listeners: Vec<Name>,
    /// The index of the target.
    pub(super) target: usize,
}

impl Rule {
    pub(super) fn new(matcher: &RouteMatch, target: usize) -> Self {
        // `/` becomes the empty prefix.
        let path = if matcher.exact {
            &matcher.path
        } else {
            matcher.path.trim_end_matches('/')
        };
        Self {
            path: path.to_owned(),
            exact: matcher.exact,
            listeners: matcher.listeners.clone(),
            target,
        }
    }

    /// The sort key: the more specific rule comes first.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (
            Reverse(self.exact),
            Reverse(self.path.len()),
            self.listeners.is_empty(),
        )
    }

    /// Whether it matches a request for this path on this listener.
    pub(super) fn takes(&self, path: &str, listener: &str) -> bool {
        let path_fits = match path.strip_prefix(&*self.path) {
            Some("") => true,
            Some(rest) => !self.exact && rest.starts_with('/'),
            None => false,
        };
        path_fits
            && (self.listeners.is_empty() || self.listeners.iter().any(|name| **name == *listener))
    }
}
