//! The backends that one session or request tries, in order, with a claim on each.

mod choice;
#[cfg(test)]
mod tests;

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
    /// The client's address as the gateway believes it; none for a unix socket.
    pub client: Option<IpAddr>,
    /// Whether the client speaks TLS, to the gateway or to a trusted proxy, so that a cookie may be kept from plain connections.
    pub is_secure: bool,
    /// The fields of the request.
    pub headers: &'a HeaderMap,
    /// Its target.
    pub uri: &'a Uri,
    /// Its name in logs.
    pub request_id: &'a str,
    /// Who waits for a place is sent away when one of these begins: that of the listener, that of the route.
    pub drains: Option<[&'a Drain; 2]>,
}

impl<'a> Hints<'a> {
    /// Those of a request without a name, over a plain connection that nothing drains.
    #[must_use]
    pub fn new(client: Option<IpAddr>, headers: &'a HeaderMap, uri: &'a Uri) -> Self {
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

/// The candidates for one session or request: each backend once, unless it has come back meanwhile; at most `attempts` of
/// them.
pub struct Candidates<'a> {
    /// The pool in force: another one than at the beginning when there was a reload meanwhile.
    pool: Arc<Pool>,
    purpose: Purpose,
    hints: Hints<'a>,
    deadline: Instant,
    key: u64,
    /// What the sticky cookie says, in terms of `pool`.
    claimed: Claimed,
    failed: Vec<Failed>,
    /// Whether one of those had been ejected and was tried before its time.
    has_tried_early: bool,
    /// What the last candidate earned.
    last: Option<Rejection>,
    /// The place in the queue, and until when it may be waited there.
    place: Option<(u64, Instant)>,
}

/// A backend to try, and the claim on it.
pub struct Candidate {
    // Before the lease: who hears of the place knows what trying it showed.
    pub(super) witness: Witness,
    /// Given back when it is dropped.
    pub lease: Lease,
    /// When the answer to an opening handshake has to be there: each candidate may use an equal part of the time that is left, so that
    /// a backend that takes connections but never answers does not use up the time of those after it.
    pub deadline: Instant,
    /// Set-Cookie for the client, should this one answer.
    pub cookie: Option<HeaderValue>,
}

impl Candidate {
    /// Which backend.
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
            has_tried_early: false,
            last: None,
            place: None,
        }
    }

    /// The next candidate. Where every backend is full, a session waits here for its turn.
    ///
    /// # Errors
    /// Where none is left, or no time: the rejection that the last one earned, or [`Rejection::NoReadyBackend`]. Where all
    /// are full, and wait is no use: [`Rejection::PoolFull`].
    pub async fn next(&mut self) -> Result<Candidate, Rejection> {
        // A plain request has its own deadline.
        let is_timed = self.purpose == Purpose::Session && self.last.is_some();
        let is_late = is_timed && Instant::now() >= self.deadline;
        if self.last.is_some() {
            self.go_by_the_latest();
        }
        if is_late || self.left() == 0 {
            self.pool.reconsider_ejections();
            return Err(self.none());
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
            Choice::Nobody => Err(self.none()),
        }
    }

    /// Goes on by the pool that is in force now.
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
        if self.last.is_some() {
            self.pool.metrics.retried();
        }
        Candidate {
            lease,
            deadline: match self.purpose {
                Purpose::Session => share_of(self.deadline, self.left()),
                Purpose::Request => self.deadline,
            },
            cookie: self.cookie(index),
            witness,
        }
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
        self.failed.push(Failed::now(member));
        self.last = Some(rejection);
    }

    /// How many may still follow. One that was tried before its time is beside those.
    fn left(&self) -> usize {
        let most = self.pool.attempts.min(self.pool.members.len());
        (most + usize::from(self.has_tried_early)).saturating_sub(self.failed.len())
    }

    fn none(&self) -> Rejection {
        self.last.unwrap_or(Rejection::NoReadyBackend)
    }

    /// Waits for a place, for `queue.timeout` at most.
    async fn wait(&mut self) -> Result<Taken, Rejection> {
        let limits = self.pool.queue_limits;
        if limits.max == 0 {
            return Err(Rejection::PoolFull);
        }
        let queue = &self.pool.queue;
        // One who waited before came before all who wait behind that place.
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
                Err(self.none())
            }
            Err(_) => {
                waiting.ends(QueueResult::Timeout);
                Err(Rejection::PoolFull)
            }
        }
    }

    /// Tries whenever it is called, in the pool that is in force then; none where no backend is ready any more.
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

    /// Set-Cookie, where the client has none for this backend, or one whose time is to be counted anew.
    fn cookie(&self, index: usize) -> Option<HeaderValue> {
        let sticky = self.pool.sticky.as_ref()?;
        let result = match self.claimed {
            Claimed::Nothing => StickyResult::New,
            Claimed::Unknown => StickyResult::Unknown,
            Claimed::Member(claimed) if claimed == index => StickyResult::Kept,
            Claimed::Member(_) => StickyResult::Moved,
        };
        if self.failed.is_empty() {
            self.pool.metrics.sticky_read(result);
        }
        let is_due = result != StickyResult::Kept || sticky.renews();
        is_due.then(|| sticky.cookie(index, self.hints.is_secure))
    }
}

/// When an attempt has to be over: it may use an equal part of what is left, so that a backend that takes
/// connections but never answers does not use up the time of those after it.
fn share_of(deadline: Instant, attempts_left: usize) -> Instant {
    let now = Instant::now();
    let parts = u32::try_from(attempts_left).unwrap_or(u32::MAX);
    now + deadline.saturating_duration_since(now) / parts.max(1)
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
