//! The backend side: pools, their backends, and the way to an open session on one of them.

mod backend;
mod balancer;
mod candidates;
mod condition;
mod connect;
mod connection;
mod cookie;
mod fault;
mod forward;
mod handshake;
mod health;
mod in_force;
mod judge;
mod last_words;
mod lookup;
mod probe;
mod queue;
mod rebalance;
mod replay;
mod secure;
#[cfg(test)]
mod simulation;
mod slow_start;
mod source;
mod sticky;
mod transport;
mod turnout;
mod upload;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, timeout_at};

use crate::config::{self, HashKey, Name, Strategy};
use crate::session::Rejection;
use crate::telemetry::{ConnectResult, PoolMetrics};
pub use backend::{Backend, Lease, Member};
pub use balancer::Purpose;
use balancer::{Balancer, Field, key_of};
pub use candidates::{Candidate, Candidates, Hints};
pub use condition::{Change, LastCheck, Standing};
pub use connection::ConnectionTask;
pub use cookie::without_cookie;
pub use forward::{Answered, Errand, ErrandTimeouts, Source};
pub use handshake::{Answer, Failure, Opening, RequestHead, Switched};
pub use health::State;
use in_force::InForce;
pub use judge::Evidence;
pub use queue::Queue;
use rebalance::Rebalance;
use sticky::Sticky;
pub use transport::Transport;
pub use upload::BodyProgress;

/// The most bytes that the head of a backend's answer may have, to an opening handshake or a plain request.
const ANSWER_HEAD: usize = 64 * 1024;

/// Backends behind routes, and how sessions are spread over them.
pub struct Pool {
    name: Name,
    attempts: usize,
    members: Vec<Member>,
    /// Those of its members, the best first.
    priorities: Vec<u16>,
    /// What the strategy `hash` looks at.
    hash_key: Option<HashKey>,
    /// Held for the moment of a choice, once per candidate.
    balancer: Mutex<Balancer>,
    sticky: Option<Sticky>,
    queue: Arc<Queue>,
    queue_limits: config::Queue,
    health: config::Health,
    /// Held while it is decided on an ejection.
    ejecting: Mutex<()>,
    rebalance: Rebalance,
    metrics: Arc<PoolMetrics>,
    in_force: Arc<InForce>,
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
    /// Set-Cookie for the client, beside those of the backend.
    pub cookie: Option<HeaderValue>,
}

impl Pool {
    /// A pool of `members`. What the balancer of `previous` knows of surviving backends is taken over, so
    /// that a reload does not begin the round anew. Nothing of `previous` changes before it hands over.
    #[must_use]
    pub fn new(
        name: &Name,
        config: &config::Pool,
        members: Vec<Member>,
        metrics: Arc<PoolMetrics>,
        previous: Option<&Self>,
    ) -> Self {
        let mut balancer = Balancer::new(&config.strategy, &members);
        if let Some(previous) = previous {
            balancer.resume(&members, &previous.balancer(), &previous.members);
        }
        let before = previous.and_then(|previous| previous.sticky.as_ref());
        let queue = members.first().map(|member| member.backend().queue());
        let queue = queue.or(previous.map(Self::queue)).cloned();
        let sticky = config.sticky.as_ref();
        let rebalance = Rebalance::new(config.rebalance, &members, previous);
        Self {
            name: Arc::clone(name),
            attempts: config.attempts,
            hash_key: match &config.strategy {
                Strategy::Hash(key) => Some(key.clone()),
                Strategy::RoundRobin
                | Strategy::LeastSessions
                | Strategy::TwoChoices
                | Strategy::Random => None,
            },
            sticky: sticky.map(|sticky| Sticky::new(sticky, name, &members, before)),
            priorities: Field::priorities(&members),
            members,
            balancer: Mutex::new(balancer),
            queue: queue.unwrap_or_default(),
            queue_limits: config.queue,
            health: config.health.clone(),
            ejecting: Mutex::default(),
            rebalance,
            metrics,
            in_force: previous
                .map(|it| Arc::clone(&it.in_force))
                .unwrap_or_default(),
        }
    }

    /// `successor` is in force from now on: the health of its backends is judged by its own settings, and those who wait in
    /// this pool hear of it.
    pub fn hand_over(&self, successor: &Arc<Self>) {
        // One that is in force again and again is its own successor.
        if !std::ptr::eq(self, Arc::as_ptr(successor)) {
            // First, so that what it pardons next stays so.
            self.in_force.set(successor);
            successor.inherit_health(&self.health);
            self.queue.look_again();
        }
    }

    /// Who waits for a place on one of its backends.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The name of the sticky cookie, which is the gateway's own and no business of backends.
    #[must_use]
    pub fn sticky_cookie(&self) -> Option<&str> {
        self.sticky.as_ref().map(Sticky::name)
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
    pub fn candidates<'a>(
        self: &Arc<Self>,
        purpose: Purpose,
        hints: Hints<'a>,
        deadline: Instant,
    ) -> Candidates<'a> {
        Candidates::new(self, purpose, hints, deadline)
    }

    /// Opens a session: candidates in order, each is dialled and asked, the first that agrees has it.
    ///
    /// An answer other than 101 is an answer. A backend that cannot be reached, does not answer in its share
    /// of `timeouts.handshake`, or breaks the handshake is followed by the next.
    ///
    /// # Errors
    /// Those of [`Candidates::next`].
    pub async fn open(
        self: &Arc<Self>,
        opening: &Opening,
        hints: Hints<'_>,
        timeouts: OpenTimeouts,
    ) -> Result<Opened, Rejection> {
        let deadline = Instant::now() + timeouts.handshake;
        let mut candidates = self.candidates(Purpose::Session, hints, deadline);
        // Half of what each has where nothing is waited for longer.
        let most = self.attempts.min(self.members.len());
        let whole = share_of(deadline, most).saturating_duration_since(Instant::now());
        let patience = Patience {
            connect: timeouts.connect,
            deadline,
            enough: timeouts.connect.min(whole / 2),
        };
        loop {
            let mut candidate = candidates.next().await?;
            match attempt(&mut candidate, opening, &patience).await {
                Ok(answer) => {
                    return Ok(Opened {
                        lease: candidate.lease,
                        answer,
                        cookie: candidate.cookie,
                    });
                }
                Err(failure) => candidates.failed(&candidate.member, &failure, failure.rejection()),
            }
        }
    }

    fn balancer(&self) -> MutexGuard<'_, Balancer> {
        self.balancer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key_of(&self, hints: &Hints<'_>) -> u64 {
        self.hash_key.as_ref().map_or(0, |key| key_of(key, hints))
    }

    /// The pool of this name that is in force.
    fn latest(self: &Arc<Self>) -> Arc<Self> {
        self.in_force.or(self)
    }
}

/// How long the attempts of one session may take.
struct Patience {
    /// To connect to one backend.
    connect: Duration,
    /// When all of them are over.
    deadline: Instant,
    /// What an attempt needs so that a timeout says something of the backend.
    enough: Duration,
}

/// Dials one backend and asks it; counts what that came to, also when the client leaves meanwhile.
///
/// One that answers others is there: its timeout says nothing of its health, or one client could have it ejected by what it
/// asks. As long as it answers those before this one it is waited for beyond its share of the time, as the next would only have
/// the same work once more. Nor does the timeout say anything where there was too little time, after waiting for a place or
/// for another backend.
async fn attempt(
    candidate: &mut Candidate,
    opening: &Opening,
    patience: &Patience,
) -> Result<Answer, Failure> {
    let Candidate {
        member, deadline, ..
    } = candidate;
    let begun = Instant::now();
    let turnout = member.backend().turnout();
    let asked = turnout.ask();
    let mut count = AttemptCount::begin(member);
    let outcome = async {
        let connected = (*deadline).min(begun + patience.connect);
        let stream = member.dial(opening.client(), connected).await?;
        let mut asking = pin!(handshake::ask(stream, opening, member.address()));
        match timeout_at(*deadline, &mut asking).await {
            Err(_) if turnout.is_yet_to_come(asked) => timeout_at(patience.deadline, asking).await,
            outcome => outcome,
        }
        .unwrap_or(Err(Failure::AnswerTimeout))
    }
    .await;
    count.result = match &outcome {
        Ok(Answer::Switched(_)) => ConnectResult::Opened,
        Ok(Answer::Other(..)) => ConnectResult::Answered,
        Err(failure) => failure.result(),
    };
    drop(count);
    let is_short = candidate.deadline < begun + patience.enough;
    let evidence = match &outcome {
        Err(Failure::ConnectTimeout) if is_short => Evidence::None,
        Err(Failure::AnswerTimeout) if is_short || turnout.has_moved(asked) => Evidence::None,
        outcome => Evidence::of(outcome.as_ref().err()),
    };
    if outcome.is_ok() {
        turnout.answer(asked);
    }
    candidate.testify(evidence);
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
