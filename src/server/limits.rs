//! How many descriptors the process may have, and what follows from that.

use std::os::fd::RawFd;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors kept back for what is no session: listeners, logs, runtimes.
const RESERVE: usize = 32;
/// A worker has its event queue, its ring, and both ends of a pipe once it has moved a large payload.
const PER_WORKER: usize = 8;
/// Descriptors that the connections of listeners leave: for the admin side, which is asked most when they run out, and for
/// files that are read or opened anew.
const SPARE: usize = 32;
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

/// How many sessions there may be beside so many workers, so that they are refused in words before descriptors run out.
pub(super) fn max_sessions(workers: usize) -> usize {
    sessions_within(descriptors(), workers)
}

/// Above which no descriptor is for the connection of a listener. The system gives the lowest that is free.
pub(super) fn last_descriptor() -> RawFd {
    for_listeners(descriptors())
        .try_into()
        .unwrap_or(RawFd::MAX)
}

fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(usize::MAX)
}

fn for_listeners(descriptors: usize) -> usize {
    descriptors - SPARE.min(descriptors / 4)
}

fn sessions_within(descriptors: usize, workers: usize) -> usize {
    let for_listeners = for_listeners(descriptors);
    let reserve = RESERVE.saturating_add(workers.saturating_mul(PER_WORKER));
    (for_listeners - reserve.min(for_listeners / 2)) / PER_SESSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_need_is_kept_back() {
        assert_eq!(sessions_within(20_000, 2), 9_960);
        assert_eq!(sessions_within(20_000, 32), 9_840);
        // With two descriptors each they stay below the last one that connections are given.
        assert_eq!((sessions_within(160, 2), for_listeners(160)), (40, 128));
        assert_eq!(
            sessions_within(40, 2),
            7,
            "half of what listeners have at most"
        );
    }
}
