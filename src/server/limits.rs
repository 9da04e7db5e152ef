//! How many descriptors the process may have, and what follows from that.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors kept back for what is no session: listeners, logs, the admin side, runtimes.
const RESERVE: u64 = 64;
/// A session has two sockets.
const PER_SESSION: u64 = 2;

/// Raises the soft limit of descriptors to the hard limit and returns how many sessions fit, so that they are
/// refused in words before descriptors run out.
pub(super) fn max_sessions() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of descriptors could not be raised");
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let reserve = RESERVE.min(descriptors / 4);
    usize::try_from((descriptors - reserve) / PER_SESSION).unwrap_or(usize::MAX)
}
