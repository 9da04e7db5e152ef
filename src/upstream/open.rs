//! Opening a session: candidates in order, each is dialled and asked, the first that agrees has it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, timeout_at};

use super::Pool;
use super::backend::Lease;
use super::balancer::Purpose;
use super::candidates::{Candidate, Hints};
use super::handshake::{self, Answer, Failure, Opening};
use super::judge::Evidence;
use crate::config::SessionTimeouts;
use crate::session::Rejection;
use crate::telemetry::ConnectResult;

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
        timeouts: &SessionTimeouts,
    ) -> Result<Opened, Rejection> {
        let deadline = Instant::now() + timeouts.handshake;
        let mut candidates = self.candidates(Purpose::Session, hints, deadline);
        let most = self.attempts.min(self.members.len()).max(1);
        let patience = Patience {
            connect: timeouts.connect,
            deadline,
            // Half of what each has where nothing is waited for longer.
            enough: timeouts
                .connect
                .min(timeouts.handshake.div_f64(2.0 * most as f64)),
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
                Err(failure) => {
                    candidates.failed(candidate.member(), &failure, failure.rejection())
                }
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

/// Tries one backend, and says what that showed of it.
///
/// One that answers others is there: its timeout says nothing of its health, or one client could have it ejected by what it
/// asks. Nor does a timeout where there was too little time, after waiting for a place or for another backend.
async fn attempt(
    candidate: &mut Candidate,
    opening: &Opening,
    patience: &Patience,
) -> Result<Answer, Failure> {
    let begun = Instant::now();
    let backend = Arc::clone(candidate.member().backend());
    let turnout = backend.turnout();
    let asked = turnout.ask();
    let outcome = ask(candidate, opening, patience, || {
        turnout.is_yet_to_come(asked)
    })
    .await;
    if outcome.is_ok() {
        turnout.answer(asked);
    }
    let is_short = candidate.deadline < begun + patience.enough;
    let evidence = match &outcome {
        Err(Failure::ConnectTimeout) if is_short => Evidence::None,
        Err(Failure::AnswerTimeout) if is_short || turnout.has_moved(asked) => Evidence::None,
        outcome => Evidence::of(outcome.as_ref().err()),
    };
    let result = match &outcome {
        Ok(Answer::Switched(_)) => ConnectResult::Opened,
        Ok(Answer::Other(..)) => ConnectResult::Answered,
        Err(failure) => failure.result(),
    };
    candidate.witness.testify(result, evidence);
    outcome
}

/// Dials one backend and asks it. One whose turn `is_yet_to_come` is waited for beyond its share of the time: the next would
/// only have the same work once more.
async fn ask(
    candidate: &Candidate,
    opening: &Opening,
    patience: &Patience,
    is_yet_to_come: impl Fn() -> bool,
) -> Result<Answer, Failure> {
    let (member, deadline) = (candidate.member(), candidate.deadline);
    let connected = deadline.min(Instant::now() + patience.connect);
    let stream = member.dial(opening.client(), connected).await?;
    let mut asking = pin!(handshake::ask(stream, opening, member.address()));
    match timeout_at(deadline, &mut asking).await {
        Err(_) if is_yet_to_come() => timeout_at(patience.deadline, asking).await,
        outcome => outcome,
    }
    .unwrap_or(Err(Failure::AnswerTimeout))
}
