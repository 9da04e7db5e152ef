//! An attempt at a backend, and what it says of the backend's health.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::ConnectResult;
use crate::upstream::Pool;
use crate::upstream::backend::Member;
use crate::upstream::failure::Failure;
use crate::upstream::progress::Sent;

/// After this long without an answer a trial says something about the backend, even if its client leaves.
const LONG_TRIAL: Duration = Duration::from_millis(500);

/// After this long without an answer an opening handshake says something about the backend, even if its client leaves: many
/// clients have less patience than the gateway. That a client has closed its connection shows only after a second.
const LONG_OPENING: Duration = Duration::from_secs(2);

/// What is said of such a trial.
pub(super) const VAIN: &str = "a trial got no answer";

/// What is said of such an opening handshake.
const GIVEN_UP: &str = "a client left without an answer";

/// What an attempt says of the health of its backend.
#[derive(Debug)]
pub(in crate::upstream) enum Evidence {
    /// It answers.
    Sound,
    /// It cannot be reached; says why.
    Faulty(String),
    /// It was reached and did not answer soundly, perhaps because of what was asked; says how.
    Unanswered(String),
    /// Nothing: the client left, or the gateway lacked something.
    None,
    /// Nothing yet: this opening handshake waits for its answer.
    Awaited(Sent),
}

impl Evidence {
    /// The evidence of an attempt that failed like this, or did not fail.
    pub(in crate::upstream) fn of(failure: Option<&Failure>) -> Self {
        match failure {
            None => Self::Sound,
            Some(failure) if failure.is_unanswered() => Self::Unanswered(failure.to_string()),
            Some(failure) if failure.is_the_backends() => Self::Faulty(failure.to_string()),
            Some(_) => Self::None,
        }
    }
}

/// An attempt at a backend. On Drop it is counted, and its evidence is judged.
pub(in crate::upstream) struct Witness {
    pool: Arc<Pool>,
    member: Member,
    begun: Instant,
    /// See [`Member::begin_attempt`].
    trial: Option<Instant>,
    result: ConnectResult,
    evidence: Evidence,
}

impl Witness {
    /// Begins an attempt.
    pub(in crate::upstream) fn of(pool: &Arc<Pool>, member: &Member) -> Self {
        Self {
            pool: Arc::clone(pool),
            member: member.clone(),
            begun: Instant::now(),
            trial: member.begin_attempt(),
            result: ConnectResult::Abandoned,
            evidence: Evidence::None,
        }
    }

    /// The backend.
    pub(in crate::upstream) fn member(&self) -> &Member {
        &self.member
    }

    /// When the attempt began, which is when its backend was chosen.
    pub(in crate::upstream) fn begun(&self) -> Instant {
        self.begun
    }

    /// Whether the attempt is a trial of an ejected backend.
    pub(in crate::upstream) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether it was a trial that took long and brought no answer, before its client lost patience. The next client would only
    /// be sent to wait there as well.
    fn is_vain_trial(&self, lasted: Duration) -> bool {
        let is_vain = matches!(
            self.result,
            ConnectResult::Timeout | ConnectResult::Abandoned
        );
        is_vain && self.is_trial() && lasted >= LONG_TRIAL
    }

    /// Whether this opening handshake took long, until its client lost patience, and the backend answered no other one
    /// meanwhile.
    fn is_vain_opening(&self, sent: Sent, lasted: Duration) -> bool {
        let progress = self.member.backend().handshakes();
        lasted >= LONG_OPENING && !progress.has_answered_others(sent)
    }

    /// What it says now that it is over.
    fn take_evidence(&mut self, lasted: Duration) -> Evidence {
        match std::mem::replace(&mut self.evidence, Evidence::None) {
            Evidence::Awaited(sent) if self.is_vain_opening(sent, lasted) => {
                Evidence::Unanswered(GIVEN_UP.to_owned())
            }
            Evidence::None | Evidence::Awaited(_) if self.is_vain_trial(lasted) => {
                Evidence::Unanswered(VAIN.to_owned())
            }
            Evidence::Awaited(_) => Evidence::None,
            evidence => evidence,
        }
    }

    /// Notes that the attempt is this opening handshake.
    pub(in crate::upstream) fn note_opening(&mut self, sent: Sent) {
        self.evidence = Evidence::Awaited(sent);
    }

    /// Sets the outcome of the attempt. Without it the attempt counts as abandoned and says nothing.
    pub(in crate::upstream) fn testify(&mut self, result: ConnectResult, evidence: Evidence) {
        (self.result, self.evidence) = (result, evidence);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let lasted = self.begun.elapsed();
        self.member.metrics().connect_finished(self.result, lasted);
        let evidence = self.take_evidence(lasted);
        let judge = self.pool.latest();
        let member = judge.own(&self.member);
        match evidence {
            Evidence::Unanswered(fault) => judge.unanswered(member, self.trial, &fault),
            evidence => judge.attempt_ended(member, self.trial, &evidence),
        }
        if self.result == ConnectResult::Abandoned {
            judge.reconsider_ejections();
        }
    }
}
