//! Which route answers a request: by host, path and listener, the most specific first.
//!
//! What a route leads to is not known here; the table is generic over it.

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

/// Routes, arranged so that the most specific one is found first.
///
/// The order, whatever the order in the file:
/// 1. an exact host, then the longest wildcard, then any host;
/// 2. within one host an exact path, then the longest prefix;
/// 3. within one path a route that names listeners, then one for all;
/// 4. of two that are the same in all of this, the one that the request suits.
///
/// Where no path of the best host fits, the next best host is asked: a route for one host adds
/// to what any host answers and hides only what it says itself. No two routes
/// of a configuration take the very same requests.
#[derive(Debug)]
pub struct RouteTable<T> {
    targets: Vec<T>,
    exact: HashMap<String, Vec<Rule>>,
    /// By the suffix, without the leading `*.`.
    wildcard: HashMap<String, Vec<Rule>>,
    any: Vec<Rule>,
}

impl<T> RouteTable<T> {
    /// Arranges routes and what they lead to.
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

    /// What the most specific fitting route leads to.
    ///
    /// `host` is the authority of the request: with or without a port, in any case, with or
    /// without a trailing dot, an IPv6 address in brackets. `path` is without the query. `suits` tells whether a target takes such
    /// a request; where none of the best does, the first of them is found.
    /// Allocates only for a host with capitals or an IPv6 address.
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
