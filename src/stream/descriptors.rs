//! How many descriptors the process may have, and which of them connections may not use.

use std::os::fd::RawFd;

use rustix::process::{Resource, getrlimit};

/// Descriptors that connections may not use: the admin side needs some, most of all when the others have run out, and so do a
/// reload and the log files.
const SPARE: usize = 32;

/// The limit of the process.
#[must_use]
pub fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(usize::MAX)
}

/// How many of the process's `descriptors` connections may use.
#[must_use]
pub fn for_connections(descriptors: usize) -> usize {
    descriptors - SPARE.min(descriptors / 4)
}

/// The highest descriptor that a connection may have. The system always assigns the lowest free one.
#[must_use]
pub fn last_descriptor() -> RawFd {
    for_connections(descriptors())
        .try_into()
        .unwrap_or(RawFd::MAX)
}
