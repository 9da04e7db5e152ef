//! Connections to a backend that are idle until the next plain request.
//!
//! A connection stays with the worker that opened it, as its task, timers and socket belong to that runtime. So every worker has
//! a list of idle connections of its own.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::transport::Transport;
use crate::mutex::lock;

/// How long a connection may be idle. Shorter than the keep-alive of common servers (Node and Apache: 5 s), so that a request
/// is seldom sent over a connection that is just being closed.
pub(super) const IDLE: Duration = Duration::from_secs(4);
/// The most idle connections of a backend on one worker. As many as requests in progress at once, or else connections are
/// opened and closed all the time, and each that is closed keeps a local port for a minute.
const MOST_IDLE: usize = 4096;
/// The same for connections that have a high descriptor, so that others do not lack them.
const MOST_IDLE_HIGH: usize = 256;
/// How many idle connections are closed in order at once. The side that closes first keeps a port for a minute, and others
/// must not lack them, so the rest is reset.
const MOST_CLOSED_IN_ORDER: usize = 256;

/// The idle connections of one backend.
#[derive(Debug, Default)]
pub(super) struct IdleConnections(Mutex<Vec<Shelf>>);

/// The idle connections of one backend on one worker.
#[derive(Debug)]
struct Shelf {
    worker: ThreadId,
    /// Since when each is idle. The last one is reused first, so that those that are not needed expire.
    connections: Vec<(Instant, Connection)>,
    /// Whether a task closes those that expire.
    is_swept: bool,
}

impl IdleConnections {
    /// Takes a connection of this worker that is ready for a request `now` and was opened by `transport`. Those that were opened
    /// by another one, before a reload, are left to expire.
    pub(super) fn take(&self, transport: &Arc<Transport>, now: Instant) -> Option<Connection> {
        let mut shelves = self.shelves();
        let shelf = shelf_of(thread::current().id(), &mut shelves);
        let is_fit = |(since, connection): &(Instant, Connection)| {
            connection.is_ready_for(transport) && now.saturating_duration_since(*since) < IDLE
        };
        let index = shelf.connections.iter().rposition(is_fit)?;
        let (_, connection) = shelf.connections.remove(index);
        connection.steering().set_idle(false);
        Some(connection)
    }

    /// Keeps a connection whose last answer has ended, if it may serve another request.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        let now = Instant::now();
        if !connection.is_reusable() {
            return;
        }
        if connection.is_retired(now) {
            connection.steering().set_idle(true);
            return;
        }
        let worker = thread::current().id();
        let mut shelves = self.shelves();
        let shelf = shelf_of(worker, &mut shelves);
        let most = match connection.is_high() {
            true => MOST_IDLE_HIGH,
            false => MOST_IDLE,
        };
        if shelf.connections.len() >= most {
            return;
        }
        connection.steering().set_idle(true);
        shelf.connections.push((now, connection));
        if !shelf.is_swept {
            shelf.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), worker));
        }
    }

    /// Closes the connections that have expired; whether any are left.
    fn close_expired(&self, worker: ThreadId) -> bool {
        let mut shelves = self.shelves();
        let shelf = shelf_of(worker, &mut shelves);
        let mut closed = 0;
        shelf.connections.retain(|(since, connection)| {
            let is_kept = since.elapsed() < IDLE && !connection.is_closed();
            if !is_kept {
                closed += 1;
                let is_in_order = closed <= MOST_CLOSED_IN_ORDER;
                connection.steering().set_idle(is_in_order);
            }
            is_kept
        });
        shelf.is_swept = !shelf.connections.is_empty();
        shelf.is_swept
    }

    fn shelves(&self) -> MutexGuard<'_, Vec<Shelf>> {
        lock(&self.0)
    }
}

/// The shelf of `worker`. There is one for each thread at most, so a linear search is faster than hashing.
fn shelf_of(worker: ThreadId, shelves: &mut Vec<Shelf>) -> &mut Shelf {
    let found = shelves.iter().position(|shelf| shelf.worker == worker);
    let place = found.unwrap_or_else(|| {
        shelves.push(Shelf {
            worker,
            connections: Vec::new(),
            is_swept: false,
        });
        shelves.len() - 1
    });
    &mut shelves[place]
}

/// Closes expired connections of a shelf periodically, until it is empty.
async fn sweep(idle: Weak<IdleConnections>, worker: ThreadId) {
    loop {
        sleep(IDLE / 2).await;
        let are_left = idle.upgrade().is_some_and(|it| it.close_expired(worker));
        if !are_left {
            return;
        }
    }
}
