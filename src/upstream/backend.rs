//! A backend with its live state, the backend as one configuration of its pool sees it, and the claim of a session on it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::Instant;

use super::balancer::Purpose;
use super::condition::{Altered, Change, Condition, LastCheck, Standing};
use super::failure::Failure;
use super::health::{Health, State};
use super::idle::IdleConnections;
use super::known_hosts::KnownHosts;
use super::progress::HandshakeProgress;
use super::queue::Queue;
use super::slow_start::Rise;
use super::transport::Transport;
use crate::config::{self, BackendAddress, Name};
use crate::drain::{Drain, DrainWatch};
use crate::proxy_protocol::Ends;
use crate::stream::Stream;
use crate::telemetry::{BackendMetrics, BackendSession, MemberMetrics};
use crate::tls::TlsSessions;

/// The effective weight for each unit of configured weight; a slow start counts a part of it.
pub(super) const FULL_WEIGHT: u32 = 1000;

/// The live state of a backend. It is identified by pool and address, and survives reloads.
#[derive(Debug)]
pub struct Backend {
    address: BackendAddress,
    sessions: AtomicUsize,
    requests: AtomicUsize,
    handshakes: HandshakeProgress,
    questioned: AtomicBool,
    known_hosts: KnownHosts,
    rise: Rise,
    condition: Condition,
    /// How often it has [recovered](Self::recovered).
    recoveries: AtomicU64,
    /// Held while it is being checked.
    checking: tokio::sync::Mutex<()>,
    idle: Arc<IdleConnections>,
    tls_sessions: TlsSessions,
    /// The queue of its pool.
    queue: Arc<Queue>,
}

impl Backend {
    /// A backend without sessions and without a slow start. `queue` is that of its pool.
    #[must_use]
    pub fn new(address: BackendAddress, queue: &Arc<Queue>) -> Self {
        Self {
            address,
            sessions: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            handshakes: HandshakeProgress::default(),
            questioned: AtomicBool::new(false),
            known_hosts: KnownHosts::default(),
            rise: Rise::new(),
            condition: Condition::new(),
            recoveries: AtomicU64::new(0),
            checking: tokio::sync::Mutex::default(),
            idle: Arc::default(),
            tls_sessions: TlsSessions::default(),
            queue: Arc::clone(queue),
        }
    }

    /// It may have sessions from now on, and might not before: a slow start begins.
    pub fn became_ready(&self, now: Instant) {
        self.rise.begin(now);
        self.queue.call_all();
    }

    /// It was found well: sessions that it has failed before may try it again.
    pub(super) fn recovered(&self) {
        self.recoveries.fetch_add(1, Ordering::Relaxed);
        self.queue.call_first();
    }

    /// Whether the configuration no longer has it.
    pub(super) fn is_removed(&self) -> bool {
        self.condition.is_removed()
    }

    /// To be locked during a check, so that the pools before and after a reload do not check it at the same time.
    #[must_use]
    pub fn checking(&self) -> &tokio::sync::Mutex<()> {
        &self.checking
    }

    /// Changes each time it becomes ready.
    pub(super) fn ready_mark(&self) -> u64 {
        self.rise.mark()
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &BackendAddress {
        &self.address
    }

    /// Open sessions, including those that are being opened.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// The opening handshakes that it has been sent.
    pub(super) fn handshakes(&self) -> &HandshakeProgress {
        &self.handshakes
    }

    /// Whether the gateway is asking it something itself; see `judge`.
    pub(super) fn questioned(&self) -> &AtomicBool {
        &self.questioned
    }

    /// It has answered a request with this Host soundly; none if that was its address. It is kept if none is, and after a
    /// failure.
    pub(super) fn answered_to(&self, host: impl FnOnce() -> Option<String>) {
        if !self.known_hosts.is_any() || self.is_suspect() {
            self.known_hosts.keep(host());
        }
    }

    /// Hosts with which it has answered.
    pub(super) fn known_hosts(&self) -> &KnownHosts {
        &self.known_hosts
    }

    /// Its idle connections, for plain requests.
    pub(super) fn idle(&self) -> &Arc<IdleConnections> {
        &self.idle
    }

    /// Sessions and plain requests that it has now.
    #[must_use]
    pub fn load(&self) -> usize {
        self.sessions() + self.requests.load(Ordering::Relaxed)
    }

    /// The queue of its pool.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
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

    /// Whether it is ejected, and no trial is under way or admitted.
    pub(super) fn is_resting(&self) -> bool {
        self.condition.is_resting()
    }

    /// Whether neither checks nor attempts say that something is wrong with it; a drained backend may be up.
    pub(super) fn is_up(&self) -> bool {
        self.condition.is_up()
    }

    /// Its state, and how it came to it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.condition.standing()
    }

    /// Whether an attempt changes something even if it succeeds.
    pub(super) fn is_suspect(&self) -> bool {
        self.condition.is_suspect()
    }

    pub(super) fn note_check(&self, check: Option<LastCheck>) {
        self.condition.note_check(check);
    }

    /// Changes its health; returns the change of its state, if there was one, because of `reason`.
    pub(super) fn alter(
        &self,
        change: impl FnOnce(&mut Health),
        reason: impl FnOnce(&Health) -> String,
    ) -> Option<Change> {
        let Altered {
            change,
            admits_again,
        } = self.condition.alter(change, reason);
        match &change {
            Some(change) if change.to == State::Ready => self.became_ready(change.since),
            // Sessions may wait for it in vain now, or may try it.
            Some(_) => self.queue.call_all(),
            None if admits_again => self.queue.call_all(),
            None => {}
        }
        change
    }
}

/// A backend that failed a session or a request.
pub(super) struct Failed {
    backend: Arc<Backend>,
    /// Its priority then.
    pub(super) priority: u16,
    /// Its count then.
    recoveries: u64,
}

impl Failed {
    /// It failed just now.
    pub(super) fn now(member: &Member) -> Self {
        let backend = Arc::clone(&member.backend);
        Self {
            recoveries: backend.recoveries.load(Ordering::Relaxed),
            priority: member.priority,
            backend,
        }
    }

    /// Whether it is this backend. A reload may have made it a member of another configuration.
    pub(super) fn is(&self, backend: &Arc<Backend>) -> bool {
        Arc::ptr_eq(&self.backend, backend)
    }

    /// Whether it has [recovered](Backend::recovered) since.
    pub(super) fn has_recovered(&self) -> bool {
        self.backend.recoveries.load(Ordering::Relaxed) != self.recoveries
    }
}

/// A backend as one configuration of its pool sees it.
#[derive(Clone)]
pub struct Member {
    name: Name,
    weight: u32,
    max_sessions: usize,
    priority: u16,
    slow_start: Duration,
    backend: Arc<Backend>,
    metrics: Arc<MemberMetrics>,
    transport: Arc<Transport>,
    /// The settings for TLS with it, if it speaks TLS.
    tls: Option<Arc<ClientConfig>>,
}

impl Member {
    /// `backend` as configured by `config`, with the `slow_start` and the `transport` of its pool.
    #[must_use]
    pub fn new(
        config: &config::Backend,
        slow_start: Duration,
        backend: Arc<Backend>,
        metrics: Arc<MemberMetrics>,
        transport: Arc<Transport>,
    ) -> Self {
        let is_tls = backend.address.is_tls();
        let tls = is_tls.then(|| transport.tls(&backend.tls_sessions));
        let member = Self {
            name: Name::clone(&config.name),
            // Strategies divide by the weight.
            weight: config.weight.max(1),
            max_sessions: config.max_sessions.map_or(usize::MAX, NonZeroUsize::get),
            priority: config.priority,
            slow_start,
            backend,
            metrics,
            transport,
            tls: tls.flatten(),
        };
        member.show(Instant::now());
        member
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

    /// Its configured weight.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Its weight at `now` in thousandths, reduced during a slow start.
    pub(super) fn effective_weight(&self, now: Instant) -> u32 {
        self.weight * self.backend.rise.part(self.slow_start, now)
    }

    /// The same in units of the configured weight.
    #[must_use]
    pub fn weight_in_effect(&self, now: Instant) -> f64 {
        f64::from(self.effective_weight(now)) / f64::from(FULL_WEIGHT)
    }

    /// Keeps a slow start that is over from being resumed by a reload.
    pub(super) fn settle_slow_start(&self, now: Instant) {
        self.backend.rise.settle(self.slow_start, now);
    }

    /// Shows its health and its effective weight at `now` in the metrics.
    pub(super) fn show(&self, now: Instant) {
        self.show_up();
        self.show_weight(now);
    }

    /// Shows its health in the metrics.
    pub(super) fn show_up(&self) {
        self.metrics.set_up(self.backend.is_up());
    }

    /// Shows its effective weight at `now` in the metrics.
    pub(super) fn show_weight(&self, now: Instant) {
        self.metrics
            .set_effective_weight(self.weight_in_effect(now));
    }

    /// The most sessions that it takes; `None` if unlimited.
    #[must_use]
    pub fn max_sessions(&self) -> Option<u64> {
        (self.max_sessions != usize::MAX).then_some(self.max_sessions as u64)
    }

    /// The lower, the better: it is chosen only if no backend of a lower number can be.
    #[must_use]
    pub fn priority(&self) -> u16 {
        self.priority
    }

    pub(super) fn full_weight(&self) -> u32 {
        self.weight * FULL_WEIGHT
    }

    /// Whether it has as many sessions as it may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.backend.sessions() >= self.max_sessions
    }

    /// The live state.
    #[must_use]
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &BackendAddress {
        &self.backend.address
    }

    /// Its metrics.
    #[must_use]
    pub fn metrics(&self) -> &Arc<BackendMetrics> {
        self.metrics.backend()
    }

    /// Opens a connection to it before `deadline`, on behalf of a client whose connection has these ends, or for the gateway
    /// itself.
    ///
    /// # Errors
    /// The most informative failure of its addresses.
    pub async fn dial(&self, client: Option<Ends>, deadline: Instant) -> Result<Stream, Failure> {
        let tls = self.tls.as_ref();
        let dialling = self.transport.dial(self.address(), tls, client, deadline);
        dialling.await
    }

    /// How it is reached.
    pub(super) fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    /// Claims a place on it, atomically; `None` if all `max_sessions` places are taken.
    pub(super) fn lease(&self, purpose: Purpose) -> Option<Lease> {
        let session = match purpose {
            Purpose::Session => {
                self.take_place()?;
                Some(self.metrics().session())
            }
            Purpose::Request => {
                self.backend.requests.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        Some(Lease {
            backend: Arc::clone(&self.backend),
            metrics: Arc::clone(self.metrics()),
            session,
        })
    }

    fn take_place(&self) -> Option<()> {
        let sessions = &self.backend.sessions;
        let one_more = |taken| (taken < self.max_sessions).then_some(taken + 1);
        let taken = sessions.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok().map(|_| ())
    }
}

/// A session's or a request's claim on a backend; given back on Drop.
pub struct Lease {
    backend: Arc<Backend>,
    metrics: Arc<BackendMetrics>,
    /// `None` for a plain request.
    session: Option<BackendSession>,
}

impl Lease {
    /// The metrics of the backend, which know its name.
    #[must_use]
    pub fn metrics(&self) -> &Arc<BackendMetrics> {
        &self.metrics
    }

    /// The backend.
    pub(super) fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Watches for the backend being drained or removed. Only sessions can be asked to reconnect.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        match self.session {
            Some(_) => self.backend.drain().watch(),
            None => self.watch_exempt(),
        }
    }

    /// The same for an answer to an opening handshake that opened no session.
    pub(super) fn watch_exempt(&self) -> DrainWatch {
        self.backend.drain().watch_exempt()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.session.take().is_none() {
            self.backend.requests.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.backend.sessions.fetch_sub(1, Ordering::AcqRel);
        self.backend.queue.call_first();
    }
}
