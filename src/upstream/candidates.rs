//! The backends that one session or request tries, in order, with a claim on each.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use http::{HeaderMap, Uri};
use tokio::time::Instant;

use super::Pool;
use super::backend::{Backend, Lease, Member};
use super::balancer::Field;
use super::judge::{Evidence, Witness};
use crate::session::Rejection;

/// What is known of a request when a backend is chosen for it.
#[derive(Clone, Copy)]
pub struct Hints<'a> {
    /// The client's address as the gateway believes it; none for a unix socket.
    pub client: Option<IpAddr>,
    /// The fields of the request.
    pub headers: &'a HeaderMap,
    /// Its target.
    pub uri: &'a Uri,
    /// Its name in logs.
    pub request_id: &'a str,
}

/// The candidates for one session or request: each backend once, at most `attempts` of them.
///
/// ```text
/// let mut candidates = pool.candidates(hints, deadline);
/// loop {
///     let mut candidate = candidates.next().await?;
///     let outcome = try(&candidate).await;
///     candidate.testify(Evidence::of(outcome.as_ref().err()));
///     match outcome {
///         Ok(answer) => return Ok((candidate.lease, answer)),
///         Err(failure) => candidates.failed(&candidate.member, &failure, failure.rejection()),
///     }
/// }
/// ```
pub struct Candidates<'a> {
    pool: Arc<Pool>,
    hints: Hints<'a>,
    deadline: Instant,
    tried: Vec<Arc<Backend>>,
    /// What the last candidate earned.
    last: Option<Rejection>,
}

/// A backend to try, and the claim on it.
pub struct Candidate {
    /// Which one.
    pub member: Member,
    /// Given back when it is dropped.
    pub lease: Lease,
    /// When its answer has to be there: each candidate may use an equal part of the time that is left, so that
    /// a backend that takes connections but never answers does not use up the time of those after it.
    pub deadline: Instant,
    pub(super) witness: Witness,
}

impl Candidate {
    /// Says what trying it showed of the backend's health. Whoever leaves without has seen nothing.
    pub fn testify(&mut self, evidence: Evidence) {
        self.witness.testify(evidence);
    }
}

impl<'a> Candidates<'a> {
    pub(super) fn new(pool: &Arc<Pool>, hints: Hints<'a>, deadline: Instant) -> Self {
        Self {
            pool: Arc::clone(pool),
            hints,
            deadline,
            tried: Vec::new(),
            last: None,
        }
    }

    /// The next candidate.
    ///
    /// # Errors
    /// Where none is left: the rejection that the last one earned, or [`Rejection::NoReadyBackend`].
    #[allow(
        clippy::unused_async,
        reason = "a pool whose backends are full lets its candidates wait"
    )]
    pub async fn next(&mut self) -> Result<Candidate, Rejection> {
        let none = self.last.unwrap_or(Rejection::NoReadyBackend);
        let left = self.left();
        if left == 0 {
            return Err(none);
        }
        let (member, witness) = self.choose().ok_or(none)?;
        if self.last.is_some() {
            self.pool.metrics.retried();
        }
        self.tried.push(Arc::clone(member.backend()));
        Ok(Candidate {
            lease: member.lease(),
            deadline: super::share_of(self.deadline, left),
            witness,
            member,
        })
    }

    /// Notes that a candidate came to nothing, and what the client is told should no other do better.
    pub fn failed(
        &mut self,
        member: &Member,
        failure: &dyn std::error::Error,
        rejection: Rejection,
    ) {
        let request_id = self.hints.request_id;
        let (pool, backend) = (self.pool.name(), member.name());
        tracing::warn!(request_id, %pool, %backend, "backend failed: {failure}");
        self.last = Some(rejection);
    }

    /// How many may still follow.
    fn left(&self) -> usize {
        let most = self.pool.attempts.min(self.pool.members.len());
        most.saturating_sub(self.tried.len())
    }

    fn choose(&self) -> Option<(Member, Witness)> {
        let members = &self.pool.members;
        let field = Field {
            members,
            tried: &self.tried,
        };
        let mut balancer = self
            .pool
            .balancer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let member = members[balancer.pick(&field)?].clone();
        // Before the next choice, which is to see that this one is tried.
        let witness = Witness::of(&self.pool, &member);
        Some((member, witness))
    }
}
