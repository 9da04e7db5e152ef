//! One path of one host, and where it leads.

use std::cmp::Reverse;

use crate::config::{Name, RouteMatch};

/// What is left of a route once its host is known.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// An exact path as written; a prefix without slashes at its end.
    path: String,
    exact: bool,
    /// Empty stands for all.
    listeners: Vec<Name>,
    /// The index of what it leads to.
    pub(super) target: usize,
}

impl Rule {
    pub(super) fn new(matcher: &RouteMatch, target: usize) -> Self {
        // `/` is the empty prefix; no other ends with a slash.
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

    /// Sorts the more specific rule before the less specific one.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (
            Reverse(self.exact),
            Reverse(self.path.len()),
            self.listeners.is_empty(),
        )
    }

    /// Whether it takes a request for this path on this listener.
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
