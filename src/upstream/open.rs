//! Opening a session: candidates in order, each is dialled and asked, the first that agrees has it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, timeout_at};

use super::backend::{Lease, Member};
use super::balancer::Purpose;
use super::candidates::{Candidate, Hints};
use super::handshake::{self, Answer, Failure, Opening};
use super::judge::Evidence;
use super::{Pool, share_of};
use crate::session::Rejection;
use crate::telemetry::ConnectResult;

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
    /// Opens a session: candidates in order, each is dialled and asked, the first that agrees has it.
    ///
    /// An answer other than 101 is an answer. A backend that cannot be reached, does not answer in its share
    /// of `timeouts.handshake`, or breaks the handshake is followed by the next.
    ///
    /// # Errors
    /// Those of [`Candidates::next`](super::Candidates::next).
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
pub(super) struct AttemptCount<'a> {
    member: &'a Member,
    begun: Instant,
    pub(super) result: ConnectResult,
}

impl<'a> AttemptCount<'a> {
    pub(super) fn begin(member: &'a Member) -> Self {
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
