//! The limit of file descriptors, and the limit of sessions that follows from it.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::stream::{descriptors, for_connections};

/// Descriptors reserved for listeners, logs and runtimes.
const RESERVE: usize = 32;
/// Descriptors of a worker: its event queue, its ring, and the two ends of a pipe for splice.
const PER_WORKER: usize = 8;
/// A session has two sockets.
const PER_SESSION: usize = 2;

/// Raises the soft limit of descriptors to the hard limit.
pub(super) fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of descriptors could not be raised");
    }
}

/// The limit of sessions with this many workers: a session beyond it gets a proper refusal, which without descriptors it
/// would not.
pub(super) fn max_sessions(workers: usize) -> usize {
    sessions_within(descriptors(), workers)
}

fn sessions_within(descriptors: usize, workers: usize) -> usize {
    let for_connections = for_connections(descriptors);
    let reserve = RESERVE.saturating_add(workers.saturating_mul(PER_WORKER));
    (for_connections - reserve.min(for_connections / 2)) / PER_SESSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_need_is_kept_back() {
        assert_eq!(sessions_within(20_000, 2), 9_960);
        assert_eq!(sessions_within(20_000, 32), 9_840);
        // Two descriptors each: they stay below the limit for connections.
        assert_eq!((sessions_within(160, 2), for_connections(160)), (40, 128));
        assert_eq!(
            sessions_within(40, 2),
            7,
            "no more than half of them is reserved"
        );
    }
}
