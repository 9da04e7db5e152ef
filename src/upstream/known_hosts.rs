//! Hosts with which a backend answers, for what the gateway asks of its own accord.
//!
//! Many servers end a connection without a word for hosts that they do not serve, and their own address is one of them. Others
//! serve a host at some paths only, which is why several are kept: a stranger may have chosen any of them, but takes no other
//! away.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mutex::lock;

/// How many are kept.
const MOST: usize = 4;

/// The Hosts of requests that a backend has answered.
#[derive(Default, Debug)]
pub(super) struct KnownHosts {
    /// So that requests take no lock where there is nothing to keep.
    is_any: AtomicBool,
    /// The oldest first; none in place of the backend's address.
    hosts: Mutex<Vec<Option<String>>>,
}

impl KnownHosts {
    /// Whether one is kept; one atomic load.
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// Keeps this one too, if there is room.
    pub(super) fn keep(&self, host: Option<String>) {
        let mut hosts = lock(&self.hosts);
        if hosts.len() < MOST && !hosts.contains(&host) {
            hosts.push(host);
        }
        self.is_any.store(true, Ordering::Relaxed);
    }

    /// None of them is answered any more: makes room, as backends change.
    pub(super) fn doubt(&self) {
        let mut hosts = lock(&self.hosts);
        if hosts.len() == MOST {
            hosts.remove(0);
        }
    }

    /// Those that are kept; the backend's address if there are none.
    pub(super) fn all(&self) -> Vec<Option<String>> {
        let hosts = lock(&self.hosts);
        if hosts.is_empty() {
            return vec![None];
        }
        hosts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gives_way_only_when_none_is_answered() {
        let known = KnownHosts::default();
        assert_eq!(known.all(), [None], "the address");
        let host = |number: usize| Some(number.to_string());
        for number in [0, 0, 1, 2, 3, 4, 5] {
            known.keep(host(number));
        }
        assert_eq!(known.all(), [0, 1, 2, 3].map(host));
        known.doubt();
        known.doubt();
        known.keep(host(5));
        assert_eq!(known.all(), [1, 2, 3, 5].map(host));
    }
}
