//! One backend with its live state, its place in a pool, and a session's claim on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::condition::{Change, Condition, LastCheck, Standing};
use super::connection::Resting;
use super::handshake::Failure;
use super::health::{Health, State};
use super::transport::Transport;
use crate::config::{BackendAddress, Name};
use crate::drain::{Drain, DrainWatch};
use crate::proxy_protocol::Ends;
use crate::stream::Stream;
use crate::telemetry::{BackendMetrics, BackendSession};

/// The live state of a backend. Its identity is the pool and the address; it outlives reloads.
#[derive(Debug)]
pub struct Backend {
    address: BackendAddress,
    sessions: AtomicUsize,
    condition: Condition,
    resting: Arc<Resting>,
}

impl Backend {
    /// A backend without sessions.
    #[must_use]
    pub fn new(address: BackendAddress) -> Self {
        Self {
            address,
            sessions: AtomicUsize::new(0),
            condition: Condition::new(),
            resting: Arc::default(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &BackendAddress {
        &self.address
    }

    /// Sessions open now, those that are being opened included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Its connections that wait for a plain request.
    pub(super) fn resting(&self) -> &Arc<Resting> {
        &self.resting
    }

    /// What ends the sessions that it has now.
    #[must_use]
    pub fn drain(&self) -> Arc<Drain> {
        self.condition.drain()
    }

    /// Whether it gets new sessions, and if not, why.
    #[must_use]
    pub fn state(&self) -> State {
        self.condition.state()
    }

    /// Its state, and how it came to it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.condition.standing()
    }

    /// Whether an attempt says something new of it even if it succeeds.
    pub(super) fn is_suspect(&self) -> bool {
        self.condition.is_suspect()
    }

    pub(super) fn note_check(&self, check: Option<LastCheck>) {
        self.condition.note_check(check);
    }

    /// Changes what is known of it; some when the state is another one now, because of `reason`.
    pub(super) fn alter(
        &self,
        change: impl FnOnce(&mut Health),
        reason: impl FnOnce(&Health) -> String,
    ) -> Option<Change> {
        self.condition.alter(change, reason)
    }
}

/// A backend as one configuration of its pool sees it.
#[derive(Clone)]
pub struct Member {
    name: Name,
    weight: u32,
    backend: Arc<Backend>,
    metrics: Arc<BackendMetrics>,
    transport: Arc<Transport>,
}

impl Member {
    /// `backend` under the name and with the weight that the configuration gives it, to be reached by the
    /// `transport` of its pool.
    #[must_use]
    pub fn new(
        name: Name,
        weight: u32,
        backend: Arc<Backend>,
        metrics: Arc<BackendMetrics>,
        transport: Arc<Transport>,
    ) -> Self {
        metrics.set_up(backend.state().is_up());
        Self {
            name,
            weight,
            backend,
            metrics,
            transport,
        }
    }

    /// The name that the configuration gives it.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whether it may be given new sessions.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.backend.condition.admits()
    }

    /// Its share of the sessions.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// The live state.
    #[must_use]
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &BackendAddress {
        &self.backend.address
    }

    /// What is counted of it.
    #[must_use]
    pub fn metrics(&self) -> &Arc<BackendMetrics> {
        &self.metrics
    }

    /// Opens a connection to it before `deadline`, on behalf of a client whose connection has these ends, or
    /// on the gateway's own.
    ///
    /// # Errors
    /// What the last address tried came to.
    pub async fn dial(&self, client: Option<Ends>, deadline: Instant) -> Result<Stream, Failure> {
        self.transport.dial(self.address(), client, deadline).await
    }

    /// Whether each connection is told whose it is, and so serves one client alone.
    pub(super) fn introduces_clients(&self) -> bool {
        self.transport.introduces_clients()
    }

    /// Claims a session on it.
    pub(super) fn lease(&self) -> Lease {
        self.backend.sessions.fetch_add(1, Ordering::Relaxed);
        Lease {
            backend: Arc::clone(&self.backend),
            session: self.metrics.session(),
        }
    }
}

/// One session's claim on a backend; given back on Drop.
pub struct Lease {
    backend: Arc<Backend>,
    session: BackendSession,
}

impl Lease {
    /// What is counted of the backend; it knows the backend's name.
    #[must_use]
    pub fn metrics(&self) -> &Arc<BackendMetrics> {
        self.session.backend()
    }

    /// Joins those who hear when the backend is drained or removed.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        self.backend.condition.watch()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.backend.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
