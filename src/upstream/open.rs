//! Opening a session: candidates are tried in order until one answers the opening handshake.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, timeout_at};

use super::Pool;
use super::asked::Asked;
use super::backend::Lease;
use super::balancer::Purpose;
use super::candidates::{Candidate, Hints};
use super::failure::Failure;
use super::forward::Answered;
use super::handshake::{self, Answer, Opening, Switched};
use super::judge::Evidence;
use crate::config::SessionTimeouts;
use crate::session::Rejection;
use crate::telemetry::{BackendMetrics, ConnectResult};

/// How often a handshake that has had its share of the time is looked at: whether it still waits behind others.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How a backend answered an opening handshake.
pub enum Opened {
    /// It agreed.
    Session {
        /// The claim on it.
        lease: Lease,
        /// Its 101.
        switched: Switched,
        /// Set-Cookie for the client, beside those of the backend.
        cookie: Option<HeaderValue>,
    },
    /// With any other answer, which is passed to the client.
    Answered(Answered),
}

impl Opened {
    fn of(answer: Answer, lease: Lease, cookie: Option<HeaderValue>) -> Self {
        match answer {
            Answer::Switched(switched) => Self::Session {
                lease,
                switched,
                cookie,
            },
            Answer::Other(answer, task) => {
                Self::Answered(Answered::to_handshake(answer, task, lease, cookie))
            }
        }
    }
}

impl Pool {
    /// Opens a session: dials candidates in order and sends each the opening handshake, until one answers.
    ///
    /// Any valid answer ends the search, also if it is not a 101. The next candidate is tried if a backend cannot be reached,
    /// does not answer in its share of `timeouts.handshake`, or breaks the handshake. `tell` hears of each that is tried.
    ///
    /// # Errors
    /// Those of [`Candidates::next`](super::Candidates::next).
    pub async fn open(
        self: &Arc<Self>,
        opening: &Opening,
        hints: Hints<'_>,
        timeouts: &SessionTimeouts,
        mut tell: impl FnMut(&Arc<BackendMetrics>),
    ) -> Result<Opened, Rejection> {
        let deadline = Instant::now() + timeouts.handshake;
        let mut candidates = self.candidates(Purpose::Session, hints, deadline);
        let most = self.attempts.min(self.members.len()).max(1);
        let patience = Patience {
            connect: timeouts.connect,
            deadline,
            // Half of a candidate's equal share.
            enough: timeouts
                .connect
                .min(timeouts.handshake.div_f64(2.0 * most as f64)),
        };
        loop {
            let mut candidate = candidates.next().await?;
            tell(candidate.lease.metrics());
            match attempt(&mut candidate, opening, &patience).await {
                Ok(answer) => {
                    let cookie = candidates.answered(candidate.index);
                    return Ok(Opened::of(answer, candidate.lease, cookie));
                }
                Err(failure) => candidates.failed(candidate.member(), &failure),
            }
        }
    }
}

/// The time limits of the attempts of one session.
struct Patience {
    /// For connecting to one backend.
    connect: Duration,
    /// When all attempts must be over.
    deadline: Instant,
    /// A timeout of an attempt that had less time than this says nothing of the backend.
    enough: Duration,
}

/// Tries one backend, and sets the evidence of that attempt.
///
/// A missing answer is no evidence if the backend answered other handshakes meanwhile: otherwise a client could have it ejected
/// by asking for what it does not answer. Nor is a timeout if little time was left, after a wait in the queue or for another
/// backend.
async fn attempt(
    candidate: &mut Candidate,
    opening: &Opening,
    patience: &Patience,
) -> Result<Answer, Failure> {
    let begun = candidate.witness.begun();
    let backend = Arc::clone(candidate.member().backend());
    let progress = backend.handshakes();
    let sent = progress.ask();
    candidate.witness.note_opening(sent);
    let outcome = ask(candidate, opening, patience, || progress.is_queued(sent)).await;
    if outcome.is_ok() {
        progress.answer(sent);
        backend.answered_to(|| opening.host());
    }
    let is_short = candidate.deadline < begun + patience.enough;
    let evidence = match &outcome {
        Err(Failure::LookupTimeout | Failure::ConnectTimeout | Failure::TlsTimeout) if is_short => {
            Evidence::None
        }
        Err(Failure::AnswerTimeout) if is_short || progress.has_answered_others(sent) => {
            Evidence::None
        }
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

/// Dials one backend and asks it. If its share of the time is over and the request `is_queued` there behind others, the
/// backend is slow but working: it is given more time for as long as that holds, as trying another one would only double the
/// work.
async fn ask(
    candidate: &Candidate,
    opening: &Opening,
    patience: &Patience,
    is_queued: impl Fn() -> bool,
) -> Result<Answer, Failure> {
    let (member, deadline) = (candidate.member(), candidate.deadline);
    let connected = deadline.min(candidate.witness.begun() + patience.connect);
    let stream = member.dial(opening.client(), connected).await?;
    let mut asking = pin!(handshake::ask(
        Asked::by_client(stream),
        opening,
        member.address()
    ));
    let mut until = deadline;
    loop {
        match timeout_at(until, &mut asking).await {
            Ok(outcome) => return outcome,
            Err(_) if until < patience.deadline && is_queued() => {
                until = patience.deadline.min(Instant::now() + LOOK_AGAIN);
            }
            Err(_) => return Err(Failure::AnswerTimeout),
        }
    }
}
