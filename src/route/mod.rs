//! Which route answers a request: by host, path and listener, the most specific first.
//!
//! The table is generic over what a route leads to.

mod host;
mod path;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use self::host::{is_valid_authority, without_port};
pub use self::path::{has_parent_segment, has_valid_encoding, has_zero_byte, interpretations};
use self::rule::Rule;
use crate::config::{HostPattern, RouteMatch};

/// Routes, indexed so that the most specific one is found first.
///
/// The order, whatever the order in the file:
/// 1. an exact host, then the longest wildcard, then any host;
/// 2. within one host an exact path, then the longest prefix;
/// 3. within one path a route that names listeners, then one for all;
/// 4. of two that are equal in all of this, the one whose target suits the request.
///
/// If no path of the best host matches, the next best host is tried: a route for one host adds to the routes for any host,
/// and hides only the paths that it has itself. No two routes of a configuration match exactly the same requests.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    targets: Vec<T>,
    exact: HashMap<String, Vec<Rule>>,
    /// Keyed by the suffix, without the leading `*.`.
    wildcard: HashMap<String, Vec<Rule>>,
    any: Vec<Rule>,
}

impl<T> RouteTable<T> {
    /// Builds the table from routes and their targets.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = (RouteMatch, T)>) -> Self {
        let mut table = Self {
            targets: Vec::new(),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: Vec::new(),
        };
        for (matcher, target) in routes {
            table.add(&matcher);
            table.targets.push(target);
        }
        for rules in table.exact.values_mut().chain(table.wildcard.values_mut()) {
            rules.sort_by_key(Rule::rank);
        }
        table.any.sort_by_key(Rule::rank);
        table
    }

    /// The target of the most specific route that matches.
    ///
    /// `host` is the authority of the request: with or without a port, in any case, with or without a trailing dot, an IPv6
    /// address in brackets. `path` is without the query. Of several equally specific routes, the first one whose target
    /// `suits` is found, or else the first one. Allocates only for a host with capitals or an IPv6 address.
    #[must_use]
    pub fn find(
        &self,
        host: &str,
        path: &str,
        listener: &str,
        suits: impl Fn(&T) -> bool,
    ) -> Option<&T> {
        let host = host::normalize(host);
        let fitting = |rules: &[Rule]| {
            let mut fitting = rules.iter().filter(|rule| rule.takes(path, listener));
            let first = fitting.next()?;
            let others = fitting.take_while(|rule| rule.rank() == first.rank());
            let mut best = std::iter::once(first).chain(others).map(|rule| rule.target);
            Some(
                best.find(|target| suits(&self.targets[*target]))
                    .unwrap_or(first.target),
            )
        };
        let by_name = || self.exact.get(&*host).and_then(|rules| fitting(rules));
        let by_suffix = || {
            if self.wildcard.is_empty() {
                return None;
            }
            host::suffixes(&host)
                .filter_map(|suffix| self.wildcard.get(suffix))
                .find_map(|rules| fitting(rules))
        };
        let target = by_name()
            .or_else(by_suffix)
            .or_else(|| fitting(&self.any))?;
        self.targets.get(target)
    }

    fn add(&mut self, matcher: &RouteMatch) {
        let rule = Rule::new(matcher, self.targets.len());
        for pattern in &matcher.hosts {
            let rules = match pattern {
                HostPattern::Exact(name) => self
                    .exact
                    .entry(host::normalize(name).into_owned())
                    .or_default(),
                HostPattern::Wildcard(suffix) => self.wildcard.entry(suffix.clone()).or_default(),
            };
            rules.push(rule.clone());
        }
        if matcher.hosts.is_empty() {
            self.any.push(rule);
        }
    }
}
