//! The backends that one session or request tries, one after the other, with a claim on each.
//!
//! The caller loops: [`Candidates::next`] chooses a backend (`choice`) and claims a place on it, or waits in the pool's queue
//! for one; [`Candidates::failed`] notes that it came to nothing. A reload meanwhile counts from the next choice on.

mod choice;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Uri};
use tokio::time::{Instant, timeout_at};

use super::Pool;
use super::backend::{Failed, Lease, Member};
use super::balancer::Purpose;
use super::judge::Witness;
use super::queue::Waiter;
use super::sticky::Claimed;
use crate::drain::Drain;
use crate::session::Rejection;
use crate::telemetry::{QueueResult, StickyResult};
use choice::{Choice, Taken};

/// What is known of a request when a backend is chosen for it.
#[derive(Clone, Copy)]
pub struct Hints<'a> {
    /// The client's address as the gateway believes it; `None` for a unix socket.
    pub client: Option<IpAddr>,
    /// Whether the client speaks TLS, to the gateway or to a trusted proxy, so that a cookie may be kept from plain connections.
    pub is_secure: bool,
    /// The fields of the request.
    pub headers: &'a HeaderMap,
    /// The target of the request.
    pub uri: &'a Uri,
    /// Identifies the request in logs.
    pub request_id: &'a str,
    /// The drains of the listener and of the route. When one begins, a session that waits for a place is refused.
    pub drains: Option<[&'a Drain; 2]>,
}

#[cfg(test)]
impl<'a> Hints<'a> {
    /// Hints of a request without an ID, over a plain connection that nothing drains.
    pub(crate) fn new(client: Option<IpAddr>, headers: &'a HeaderMap, uri: &'a Uri) -> Self {
        Self {
            client,
            is_secure: false,
            headers,
            uri,
            request_id: "",
            drains: None,
        }
    }
}

/// The candidates for one session or request: at most `attempts` backends, each of them once unless it has recovered since
/// it failed.
pub struct Candidates<'a> {
    /// The pool in force; replaced by its successor after a reload.
    pool: Arc<Pool>,
    purpose: Purpose,
    hints: Hints<'a>,
    deadline: Instant,
    key: u64,
    /// What the sticky cookie says, in terms of `pool`.
    claimed: Claimed,
    failed: Vec<Failed>,
    /// Whether a trial of an ejected backend was among its attempts. Several whose time is over at once may all be dead.
    has_made_trial: bool,
    /// Whether one of those was an ejected backend, tried before its ejection ended. It does not count as one of `attempts`.
    has_tried_early: bool,
    /// What the client is told if no other candidate does better; set by the last failure.
    last: Option<Rejection>,
    /// The ticket of its place in the queue, and until when it may wait there, once it has waited.
    place: Option<(u64, Instant)>,
}

/// A backend to try, and the claim on it.
pub struct Candidate {
    // Declared, and so dropped, before the lease: a waiter that is called for the freed place sees the result of this attempt.
    pub(super) witness: Witness,
    /// The claim on the place.
    pub lease: Lease,
    /// When the answer to an opening handshake has to be there. Each candidate may use an equal part of the time that is left, so
    /// that a backend that accepts connections but never answers does not use up the time of those after it.
    pub deadline: Instant,
    /// For [`Candidates::answered`].
    pub(super) index: usize,
}

/// Why a candidate could not be had.
pub(super) trait Setback: fmt::Display {
    /// What the client is told if no other candidate does better.
    fn rejection(&self) -> Rejection;

    /// Whether the gateway itself lacks something, which is not to be looked for at the backend.
    fn is_our_own(&self) -> bool;
}

impl Candidate {
    /// The backend.
    #[must_use]
    pub fn member(&self) -> &Member {
        self.witness.member()
    }
}

impl<'a> Candidates<'a> {
    pub(super) fn new(
        pool: &Arc<Pool>,
        purpose: Purpose,
        hints: Hints<'a>,
        deadline: Instant,
    ) -> Self {
        Self {
            pool: Arc::clone(pool),
            purpose,
            hints,
            deadline,
            key: pool.key_of(&hints),
            claimed: pool.claimed(&hints),
            failed: Vec::new(),
            has_made_trial: false,
            has_tried_early: false,
            last: None,
            place: None,
        }
    }

    /// The next candidate. If every backend is full, a session waits in the queue for a place.
    ///
    /// # Errors
    /// If no candidate or no time is left: the rejection of the last failure, or [`Rejection::NoReadyBackend`]. If all are full
    /// and the queue is off, full or timed out: [`Rejection::PoolFull`]. If a drain began: [`Rejection::Draining`].
    pub async fn next(&mut self) -> Result<Candidate, Rejection> {
        // The time of a plain request is bounded by the caller.
        let is_timed = self.purpose == Purpose::Session && self.last.is_some();
        let is_late = is_timed && Instant::now() >= self.deadline;
        if self.last.is_some() {
            self.go_by_the_latest();
        }
        if is_late || self.left() == 0 {
            return Err(self.refuse());
        }
        match self.choose_at_once() {
            Choice::Taken(taken) => Ok(self.candidate(taken)),
            Choice::Full => match self.take_early() {
                Some(candidate) => Ok(candidate),
                None => {
                    let taken = self.wait().await?;
                    Ok(self.candidate(taken))
                }
            },
            Choice::Nobody => Err(self.rejection()),
        }
    }

    /// Switches to the pool that is in force now.
    fn go_by_the_latest(&mut self) {
        let latest = self.pool.latest();
        if !Arc::ptr_eq(&latest, &self.pool) {
            self.key = latest.key_of(&self.hints);
            self.claimed = latest.claimed(&self.hints);
            self.pool = latest;
        }
    }

    fn candidate(&mut self, taken: Taken) -> Candidate {
        let Taken {
            index,
            lease,
            witness,
        } = taken;
        let deadline = match self.purpose {
            Purpose::Session => self.share(index, witness.begun()),
            Purpose::Request => self.deadline,
        };
        self.has_made_trial |= witness.is_trial();
        if self.last.is_some() {
            self.pool.metrics.retried();
        }
        Candidate {
            lease,
            deadline,
            index,
            witness,
        }
    }

    /// Notes that a candidate could not be had.
    pub(super) fn failed(&mut self, member: &Member, setback: &dyn Setback) {
        let request_id = self.hints.request_id;
        let (pool, backend) = (self.pool.name(), member.name());
        let what = match setback.is_our_own() {
            true => "no connection to backend",
            false => "backend failed",
        };
        tracing::warn!(request_id, %pool, %backend, "{what}: {setback}");
        self.failed.push(Failed::now(member));
        self.last = Some(setback.rejection());
    }

    /// Notes that the candidate with this index has answered. Returns Set-Cookie, where the client has no cookie for this backend,
    /// or where its lifetime is renewed by every answer.
    pub(super) fn answered(&self, index: usize) -> Option<HeaderValue> {
        let sticky = self.pool.sticky.as_ref()?;
        let result = match self.claimed {
            Claimed::Nothing => StickyResult::New,
            Claimed::Unknown => StickyResult::Unknown,
            Claimed::Member(claimed) if claimed == index => StickyResult::Kept,
            Claimed::Member(_) => StickyResult::Moved,
        };
        self.pool.metrics.sticky_read(result);
        let is_due = result != StickyResult::Kept || sticky.renews();
        is_due.then(|| sticky.cookie(index, self.hints.is_secure))
    }

    /// How many more candidates there may be. An early trial is not counted.
    fn left(&self) -> usize {
        let attempts = self.pool.attempts + usize::from(self.has_tried_early);
        let left = attempts.saturating_sub(self.failed.len());
        if self.failed.is_empty() {
            return left.min(self.pool.members.len());
        }
        // Some of those that failed may have left the pool.
        let has_failed = |member: &Member| {
            let mut failed = self.failed.iter();
            failed.any(|it| it.is(member.backend()) && !it.has_recovered())
        };
        let untried = self.pool.members.iter().filter(|it| !has_failed(it));
        untried.take(left).count()
    }

    /// The end of the part that the member at `index` has of the time that is left: the same as each of the others has.
    fn share(&self, index: usize, now: Instant) -> Instant {
        let parts = u32::try_from(1 + self.others(index, now)).unwrap_or(u32::MAX);
        now + self.deadline.saturating_duration_since(now) / parts
    }

    /// To be called when the client is refused because a candidate failed; what it is told.
    pub(super) fn refuse(&self) -> Rejection {
        self.pool.reconsider_ejections();
        self.rejection()
    }

    /// What the client is told if there is no candidate.
    fn rejection(&self) -> Rejection {
        self.last.unwrap_or(Rejection::NoReadyBackend)
    }

    /// Waits in the queue for a place, for `queue.timeout` at most in all.
    async fn wait(&mut self) -> Result<Taken, Rejection> {
        let limits = self.pool.queue_limits;
        if limits.max == 0 {
            return Err(Rejection::PoolFull);
        }
        let queue = &self.pool.queue;
        // A session that was served from the queue and then failed keeps its place.
        let waiter = match self.place {
            Some((ticket, _)) => Some(queue.rejoin(ticket)),
            None => queue.join(limits.max),
        };
        let Some(mut waiter) = waiter else {
            self.pool.metrics.queue_overflowed();
            return Err(Rejection::PoolFull);
        };
        let mut waiting = self.pool.metrics.waiting();
        let deadline = self.deadline.min(Instant::now() + limits.timeout);
        let (_, deadline) = *self.place.get_or_insert((waiter.ticket(), deadline));
        let drains = self.hints.drains;
        let outcome = tokio::select! {
            outcome = timeout_at(deadline, self.take_turn(&mut waiter)) => outcome,
            () = begun(drains) => {
                waiting.ends(QueueResult::Dismissed);
                return Err(Rejection::Draining);
            }
        };
        match outcome {
            Ok(Some(taken)) => {
                waiting.ends(QueueResult::Served);
                Ok(taken)
            }
            Ok(None) => {
                waiting.ends(QueueResult::Dismissed);
                Err(self.rejection())
            }
            Err(_) => {
                waiting.ends(QueueResult::Timeout);
                Err(Rejection::PoolFull)
            }
        }
    }

    /// Tries whenever it is called, in the pool that is in force then. `None` where there is no backend left to wait for.
    async fn take_turn(&mut self, waiter: &mut Waiter) -> Option<Taken> {
        loop {
            waiter.called().await;
            self.go_by_the_latest();
            match self.choose() {
                Choice::Taken(taken) => return Some(taken),
                Choice::Full => waiter.pass(self.field().has_place_for_another()),
                Choice::Nobody => return None,
            }
        }
    }
}

/// Waits until one of the drains begins.
async fn begun(drains: Option<[&Drain; 2]>) {
    let Some([one, other]) = drains else {
        return pending().await;
    };
    tokio::select! {
        () = one.begun() => {}
        () = other.begun() => {}
    }
}
