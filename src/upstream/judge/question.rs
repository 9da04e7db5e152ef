//! The gateway's own question to a backend that leaves attempts without a sound answer.
//!
//! That can be because of what the client asks for: servers close without a word what they do not serve, or ignore it. A
//! stranger, or a page that asks for such a thing again and again, must not have backends ejected. So before an attempt like
//! that ejects a backend, or fails as a trial, the gateway asks for something ordinary: any answer shows that the backend is
//! there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Evidence;
use crate::upstream::backend::Member;
use crate::upstream::{Pool, probe};

/// A question under way. On Drop its evidence is judged in place of that of the attempt.
struct Question {
    pool: Arc<Pool>,
    member: Member,
    trial: Option<Instant>,
    evidence: Evidence,
}

impl Pool {
    /// Judges an attempt that got no sound answer; `trial` is what [`Member::begin_attempt`] returned for it. Where it would
    /// decide something the backend is asked first, once at a time.
    pub(super) fn unanswered(
        self: &Arc<Self>,
        member: &Member,
        trial: Option<Instant>,
        fault: &str,
    ) {
        let runtime = Handle::try_current().ok();
        let Some(runtime) = runtime.filter(|_| self.would_decide(member, trial)) else {
            return self.attempt_ended(member, trial, &Evidence::Faulty(fault.to_owned()));
        };
        if member.backend().questioned().swap(true, Ordering::AcqRel) {
            return self.attempt_ended(member, trial, &Evidence::None);
        }
        let mut question = Question {
            pool: Arc::clone(self),
            member: member.clone(),
            trial,
            evidence: Evidence::None,
        };
        let fault = fault.to_owned();
        runtime.spawn(async move {
            let checks = question.pool.health.active.as_ref();
            let evidence = match probe::greet(&question.member, checks).await {
                Ok(()) => Evidence::Sound,
                Err(lack) if lack.is_our_own() => Evidence::None,
                Err(_) => Evidence::Faulty(fault),
            };
            question.answered(evidence);
        });
    }

    /// Whether one more failed attempt would eject the backend, or be a trial that failed.
    fn would_decide(&self, member: &Member, trial: Option<Instant>) -> bool {
        let Some(passive) = &self.health.passive else {
            return false;
        };
        let is_last = || member.backend().standing().failures + 1 >= passive.failures;
        trial.is_some() || is_last() && self.may_eject(member, passive)
    }
}

impl Question {
    /// Sets its evidence. Without it the attempt says nothing.
    fn answered(&mut self, evidence: Evidence) {
        self.evidence = evidence;
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.member
            .backend()
            .questioned()
            .store(false, Ordering::Release);
        let judge = self.pool.latest();
        judge.attempt_ended(judge.own(&self.member), self.trial, &self.evidence);
    }
}
