//! The backend side: pools, their backends, and the way to an open session on one of them.

mod backend;
mod balancer;
mod candidates;
mod condition;
mod connect;
mod connection;
mod forward;
mod handshake;
mod health;
mod judge;
mod probe;
mod rebalance;
mod replay;
mod secure;
mod source;
mod transport;
mod upload;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::config::{self, Name};
use crate::session::Rejection;
use crate::telemetry::{ConnectResult, PoolMetrics};
pub use backend::{Backend, Lease, Member};
use balancer::Balancer;
pub use candidates::{Candidate, Candidates, Hints};
pub use condition::{Change, LastCheck, Standing};
pub use forward::{Answered, Errand, ErrandTimeouts, Source};
pub use handshake::{Answer, Failure, Opening, RequestHead, Switched};
pub use health::State;
pub use judge::Evidence;
use rebalance::Rebalance;
pub use transport::Transport;
pub use upload::Progress;

/// Backends behind routes, and how sessions are spread over them.
pub struct Pool {
    name: Name,
    attempts: usize,
    members: Vec<Member>,
    /// Held for the moment of a choice, once per candidate.
    balancer: Mutex<Balancer>,
    health: config::Health,
    /// Held while it is decided on an ejection.
    ejecting: Mutex<()>,
    rebalance: Rebalance,
    metrics: Arc<PoolMetrics>,
}

/// How long opening a session may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenTimeouts {
    /// To connect to one backend.
    pub connect: Duration,
    /// To the backend's answer, all attempts together.
    pub handshake: Duration,
}

/// What a pool answered to an opening handshake.
pub struct Opened {
    /// The session's claim on the backend that answered.
    pub lease: Lease,
    /// What it answered.
    pub answer: Answer,
}

impl Pool {
    /// A pool of `members`. What the balancer of `previous` knows of surviving backends is taken over, so
    /// that a reload does not begin the round anew.
    #[must_use]
    pub fn new(
        name: &Name,
        config: &config::Pool,
        members: Vec<Member>,
        metrics: Arc<PoolMetrics>,
        previous: Option<&Self>,
    ) -> Self {
        let mut balancer = Balancer::new(config.strategy, members.len());
        if let Some(previous) = previous {
            let before = previous.balancer.lock();
            let before = before.unwrap_or_else(PoisonError::into_inner);
            balancer.resume(&members, &before, &previous.members);
        }
        let rebalance = Rebalance::new(config.rebalance, &members, previous);
        let pool = Self {
            name: Arc::clone(name),
            attempts: config.attempts,
            members,
            balancer: Mutex::new(balancer),
            health: config.health.clone(),
            ejecting: Mutex::default(),
            rebalance,
            metrics,
        };
        if let Some(previous) = previous {
            pool.inherit_health(&previous.health);
        }
        pool
    }

    /// The name that the configuration gives it.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its backends in the order of the configuration.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The backends that a session or a request tries one after the other; all of them together have until
    /// `deadline`.
    #[must_use]
    pub fn candidates<'a>(self: &Arc<Self>, hints: Hints<'a>, deadline: Instant) -> Candidates<'a> {
        Candidates::new(self, hints, deadline)
    }

    /// Opens a session: candidates in order, each is dialled and asked, the first that agrees has it.
    ///
    /// An answer other than 101 is an answer. A backend that cannot be reached, does not answer in its share
    /// of `timeouts.handshake`, or breaks the handshake is followed by the next.
    ///
    /// # Errors
    /// The rejection that the last candidate earned, or [`Rejection::NoReadyBackend`].
    pub async fn open(
        self: &Arc<Self>,
        opening: &Opening,
        hints: Hints<'_>,
        timeouts: OpenTimeouts,
    ) -> Result<Opened, Rejection> {
        let mut candidates = self.candidates(hints, Instant::now() + timeouts.handshake);
        loop {
            let mut candidate = candidates.next().await?;
            match attempt(&mut candidate, opening, timeouts.connect).await {
                Ok(answer) => {
                    let lease = candidate.lease;
                    return Ok(Opened { lease, answer });
                }
                Err(failure) => candidates.failed(&candidate.member, &failure, failure.rejection()),
            }
        }
    }
}

/// Dials one backend and asks it; counts what that came to, also when the client leaves meanwhile.
async fn attempt(
    candidate: &mut Candidate,
    opening: &Opening,
    connect: Duration,
) -> Result<Answer, Failure> {
    let Candidate {
        member, deadline, ..
    } = candidate;
    let begun = Instant::now();
    let mut count = AttemptCount::begin(member);
    let outcome = async {
        let connected = (*deadline).min(begun + connect);
        let stream = member.dial(opening.client(), connected).await?;
        timeout_at(*deadline, handshake::ask(stream, opening, member.address()))
            .await
            .unwrap_or(Err(Failure::AnswerTimeout))
    }
    .await;
    count.result = match &outcome {
        Ok(Answer::Switched(_)) => ConnectResult::Opened,
        Ok(Answer::Other(_)) => ConnectResult::Answered,
        Err(failure) => failure.result(),
    };
    drop(count);
    candidate.testify(Evidence::of(outcome.as_ref().err()));
    outcome
}

/// Counts an attempt when it ends, whatever ends it.
struct AttemptCount<'a> {
    member: &'a Member,
    begun: Instant,
    result: ConnectResult,
}

impl<'a> AttemptCount<'a> {
    fn begin(member: &'a Member) -> Self {
        Self {
            member,
            begun: Instant::now(),
            result: ConnectResult::Abandoned,
        }
    }
}

impl Drop for AttemptCount<'_> {
    fn drop(&mut self) {
        self.member
            .metrics()
            .connect_finished(self.result, self.begun.elapsed());
    }
}

/// When an attempt has to be over: it may use an equal part of what is left, so that a backend that takes
/// connections but never answers does not use up the time of those after it.
fn share_of(deadline: Instant, attempts_left: usize) -> Instant {
    let now = Instant::now();
    let parts = u32::try_from(attempts_left).unwrap_or(u32::MAX);
    now + deadline.saturating_duration_since(now) / parts.max(1)
}
