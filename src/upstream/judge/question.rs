//! The gateway's own question to a backend that leaves attempts without a valid answer.
//!
//! That can be because of what the client asks for: servers close without a word what they do not serve, or ignore it. A
//! stranger, or a page that asks for such a thing again and again, must not have backends ejected. So before an attempt like
//! that ejects a backend, or fails as a trial, the gateway asks for something ordinary: any answer shows that the backend is
//! there. It also asks when a trial takes long, or its client left before the end: otherwise a silent backend would cost one
//! client after another its wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Evidence;
use crate::upstream::backend::Member;
use crate::upstream::{Pool, check};

/// A question under way. On Drop its evidence is judged in place of that of the attempt.
struct Question {
    pool: Arc<Pool>,
    member: Member,
    trial: Option<Instant>,
    evidence: Evidence,
}

impl Pool {
    /// Judges an attempt that got no valid answer; `trial` is what [`Member::begin_attempt`] returned for it. Where it would
    /// decide something the backend is asked first, once at a time.
    pub(super) fn unanswered(
        self: &Arc<Self>,
        member: &Member,
        trial: Option<Instant>,
        fault: &str,
    ) {
        let runtime = Handle::try_current().ok();
        let Some(runtime) = runtime.filter(|_| self.would_decide(member, trial)) else {
            return self.attempt_ended(member, trial, &Evidence::Unanswered(fault.to_owned()));
        };
        // A trial goes on as far as others are concerned: if the question is not about it, another one follows when it takes long.
        if member.backend().questioned().swap(true, Ordering::AcqRel) {
            return;
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
            let evidence = match check::greet(&question.member, checks).await {
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use tokio::time::{advance, sleep};

    use super::super::{Evidence, State, Witness};
    use super::*;
    use crate::config::Strategy;
    use crate::telemetry::{ConnectResult, Metrics};
    use crate::upstream::fixtures::{build, config, refuse};

    /// A pool whose first backend accepts connections and never answers.
    fn silent() -> (Arc<Pool>, TcpListener) {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = config(&Strategy::RoundRobin);
        config.backends[0].address = silent.local_addr().unwrap().into();
        (Arc::new(build(&config, &Metrics::new(), None)), silent)
    }

    /// As [`silent`]; the backend is ejected, and its trial is due.
    async fn hanging() -> (Arc<Pool>, TcpListener) {
        let (pool, silent) = silent();
        let member = &pool.members()[0];
        for _ in 0..2 {
            refuse(&mut Witness::of(&pool, member));
        }
        assert_eq!(member.backend().state(), State::Ejected);
        advance(Duration::from_secs(3)).await;
        pool.pass_time(Instant::now());
        assert!(member.is_ready());
        (pool, silent)
    }

    /// Of all requests one is the trial, and waits in vain; the next one would, too.
    #[tokio::test(start_paused = true)]
    async fn a_trial_that_got_no_answer_fails_by_the_gateways_own_question() {
        for result in [ConnectResult::Timeout, ConnectResult::Abandoned] {
            let (pool, _silent) = hanging().await;
            let member = &pool.members()[0];
            let mut witness = Witness::of(&pool, member);
            assert!(witness.is_trial());
            advance(Duration::from_secs(1)).await;
            witness.testify(result, Evidence::None);
            drop(witness);
            // The question takes two seconds of the four of the next ejection.
            sleep(Duration::from_secs(4)).await;
            pool.pass_time(Instant::now());
            assert!(!member.is_ready(), "{result:?}");
        }
    }

    /// Its client may wait for a minute. The question takes two seconds, and the next ejection four.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_beside_a_trial_that_takes_long() {
        let (pool, _silent) = hanging().await;
        let member = &pool.members()[0];
        let _waiting = Witness::of(&pool, member);
        sleep(Duration::from_secs(10)).await;
        for _ in 0..20 {
            pool.pass_time(Instant::now());
            assert!(!member.is_ready());
            sleep(Duration::from_millis(250)).await;
        }
        assert!(member.backend().is_resting(), "its trial has failed");
        sleep(Duration::from_secs(2)).await;
        pool.pass_time(Instant::now());
        assert!(member.is_ready());
    }

    /// As before: the next client would have to wait for what the question is about to find.
    #[tokio::test(start_paused = true)]
    async fn nobody_is_let_through_while_the_gateway_asks_about_a_trial() {
        let (pool, _silent) = hanging().await;
        let member = &pool.members()[0];
        let waiting = Witness::of(&pool, member);
        sleep(Duration::from_secs(10)).await;
        pool.pass_time(Instant::now());
        sleep(Duration::from_secs(1)).await;
        drop(waiting);
        for _ in 0..4 {
            pool.pass_time(Instant::now());
            assert!(!member.is_ready());
            sleep(Duration::from_millis(250)).await;
        }
        sleep(Duration::from_secs(1)).await;
        assert!(member.backend().is_resting(), "its trial has failed");
    }

    /// Two at the same moment may both find that theirs is not the last failure before an ejection.
    #[tokio::test(start_paused = true)]
    async fn nothing_ejects_that_was_not_asked_about() {
        let pool = Arc::new(build(&config(&Strategy::RoundRobin), &Metrics::new(), None));
        let member = &pool.members()[0];
        for _ in 0..3 {
            pool.attempt_ended(member, None, &Evidence::Unanswered("closed".to_owned()));
            assert_eq!(member.backend().state(), State::Ready);
        }
        assert!(pool.would_decide(member, None));
        pool.attempt_ended(member, None, &Evidence::Faulty("refused".to_owned()));
        assert_eq!(member.backend().state(), State::Ejected);
    }

    /// Clients that wait for less long than the gateway would.
    #[tokio::test(start_paused = true)]
    async fn a_backend_that_hangs_is_ejected_although_all_clients_leave() {
        let (pool, _silent) = silent();
        let member = &pool.members()[0];
        let progress = member.backend().handshakes();
        let give_up = async |after| {
            let mut witness = Witness::of(&pool, member);
            witness.note_opening(progress.ask());
            advance(Duration::from_secs(after)).await;
        };
        for _ in 0..4 {
            give_up(1).await;
        }
        assert_eq!(member.backend().standing().failures, 0, "nobody waited");
        give_up(2).await;
        give_up(2).await;
        sleep(Duration::from_secs(3)).await;
        assert_eq!(member.backend().state(), State::Ejected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_answers_others_is_not_asked_when_clients_leave() {
        let (pool, _silent) = silent();
        let member = &pool.members()[0];
        let progress = member.backend().handshakes();
        for _ in 0..4 {
            let mut witness = Witness::of(&pool, member);
            witness.note_opening(progress.ask());
            advance(Duration::from_secs(2)).await;
            progress.answer(progress.ask());
        }
        assert_eq!(member.backend().standing().failures, 0);
    }

    /// A client that leaves at once has not waited for anything.
    #[tokio::test(start_paused = true)]
    async fn a_trial_that_was_given_up_at_once_says_nothing() {
        let (pool, _silent) = hanging().await;
        let member = &pool.members()[0];
        drop(Witness::of(&pool, member));
        assert!(member.is_ready(), "the next one may try");
    }
}
