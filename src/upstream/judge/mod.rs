//! The rules of a pool by which attempts, checks, time and the operator change the state of its backends. No state is changed
//! elsewhere.
//!
//! - An attempt is watched by a [`Witness`]; when that is dropped, its evidence goes to [`Pool::attempt_ended`]. It is judged by
//!   the settings of the pool that is in force then, also if the attempt began in an earlier one.
//! - Before an attempt without a valid answer ejects a backend, the gateway asks it itself (`question`).
//! - A backend is ejected for failed attempts only as long as another one is ready and `max_ejected` allows it.
//! - If no backend is ready, all ejections of the pool end: trying backends that may fail is better than refusing everybody.
//! - Every change of a state goes through `Member::alter`, which logs it and shows it in the metrics.

mod question;
#[cfg(test)]
mod tests;
mod witness;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Pool;
use super::backend::Member;
use super::check::{self, CheckFault};
use super::condition::{Change, LastCheck};
use super::health::{Health, State};
use crate::config::{self, ActiveHealth, Check, OnUnhealthy, PassiveHealth};
use crate::drain::Drain;
use crate::mutex::lock;
use crate::telemetry::CheckResult;
use witness::VAIN;
pub(super) use witness::{Evidence, Witness};

/// How often [`Pool::reconsider_ejections`] may admit a trial, which costs the next client an attempt.
const RECONSIDER_EVERY: Duration = Duration::from_secs(1);

impl Pool {
    /// Keeps what is known of its backends only as far as it was found by the same settings as those of `previous`.
    pub(super) fn inherit_health(&self, previous: &config::Health) {
        let Self {
            health, members, ..
        } = self;
        for member in members {
            if health.active != previous.active {
                let settings = health.active.as_ref();
                member.backend().note_check(None);
                member.alter(|it| it.checks_changed(settings), |_| "other checks".into());
            }
            if health.passive != previous.passive {
                member.alter(Health::pardon, |_| "other rules of ejection".into());
            }
        }
        self.pardon_if_none_is_ready();
    }

    /// Resets backends that had been removed and are configured again. Their old sessions still count.
    pub fn take_back(&self) {
        let returning = self.members.iter().filter(|it| it.backend().is_removed());
        for member in returning {
            member.backend().note_check(None);
            member.alter(
                |health| *health = Health::default(),
                |_| "added again".into(),
            );
        }
    }

    /// The backend of `member` as this pool has it: its name may be another one than before a reload.
    fn own<'a>(&'a self, member: &'a Member) -> &'a Member {
        let is_same = |it: &&Member| Arc::ptr_eq(it.backend(), member.backend());
        self.members.iter().find(is_same).unwrap_or(member)
    }

    /// Judges an attempt that is over; `trial` is what [`Member::begin_attempt`] returned for it.
    pub(super) fn attempt_ended(
        &self,
        member: &Member,
        trial: Option<Instant>,
        evidence: &Evidence,
    ) {
        let was_suspect = member.backend().is_suspect();
        match (&self.health.passive, evidence) {
            // It was ejected by an earlier pool. Nothing here would end that.
            (None, _) if was_suspect => {
                member.alter(Health::pardon, |_| "no rules of ejection".into());
            }
            (None, _) => {}
            (Some(_), Evidence::Faulty(fault)) => self.blame(member, trial, fault, true),
            // It was not asked, as this one did not seem to decide. If it does (others failed at the same moment), it is asked
            // about the next one.
            (Some(_), Evidence::Unanswered(fault)) => self.blame(member, trial, fault, false),
            (Some(_), Evidence::Sound | Evidence::None | Evidence::Awaited(_)) if !was_suspect => {}
            (Some(_), Evidence::Sound) => {
                let now = Instant::now();
                let reason = |_: &Health| "an attempt succeeded".to_owned();
                member.alter(|health| health.attempts.succeeded(trial, now), reason);
            }
            (Some(_), Evidence::None | Evidence::Awaited(_)) => {
                let now = Instant::now();
                let no_reason = |_: &Health| String::new();
                member.alter(|health| health.attempts.abandoned(trial, now), no_reason);
            }
        }
        // Sessions that it failed may be waiting for another one, even where failures do not eject.
        let has_queue = self.queue_limits.max > 0;
        let is_news = was_suspect || has_queue && !self.queue.is_empty();
        if is_news && matches!(evidence, Evidence::Sound) && !member.backend().is_suspect() {
            member.backend().recovered();
        }
    }

    /// Counts a failure; only one that `is_certain` ejects.
    fn blame(&self, member: &Member, trial: Option<Instant>, fault: &str, is_certain: bool) {
        let Some(passive) = &self.health.passive else {
            return;
        };
        let _one_at_a_time = lock(&self.ejecting);
        let may_eject = is_certain && self.may_eject(member, passive);
        let change = |health: &mut Health| {
            health
                .attempts
                .failed(trial, Instant::now(), passive, may_eject);
        };
        let reason = |health: &Health| {
            format!(
                "{} attempts in a row failed: {fault}",
                health.attempts.failures()
            )
        };
        member.alter(change, reason);
        self.pardon_if_none_is_ready();
    }

    /// A client was refused, or left during an attempt. If a ready backend fails often enough to be ejected and is not, only
    /// because too many others are, one of those may be tried before its time: if it is well, its ejection ends, and the failing
    /// backend is ejected at its next failure.
    pub(super) fn reconsider_ejections(&self) {
        let Some(passive) = &self.health.passive else {
            return;
        };
        let mut reconsidered = lock(&self.ejecting);
        if reconsidered.is_some_and(|at| at.elapsed() < RECONSIDER_EVERY) {
            return;
        }
        *reconsidered = Some(Instant::now());
        let stays = |member: &&Member| {
            let backend = member.backend();
            member.is_ready()
                && backend.is_suspect()
                && backend.standing().failures >= passive.failures
                && !self.may_eject(member, passive)
        };
        if !self.members.iter().any(|member| stays(&member)) {
            return;
        }
        let resting = self.members.iter().filter(|it| it.backend().is_resting());
        let resting: Vec<&Member> = resting.collect();
        if let Some(one) = fastrand::choice(resting) {
            one.alter(
                |health| health.attempts.admit_early_trial(),
                |_| String::new(),
            );
        }
    }

    /// Whether another backend is ready and `max_ejected` allows one more ejection.
    fn may_eject(&self, candidate: &Member, passive: &PassiveHealth) -> bool {
        let is_other = |member: &&Member| !Arc::ptr_eq(member.backend(), candidate.backend());
        let others = self.members.iter().filter(is_other);
        let (mut ejected, mut ready) = (0_u32, 0_u32);
        for member in others {
            match member.backend().state() {
                State::Ejected => ejected += 1,
                State::Ready => ready += 1,
                State::Drained | State::Down => {}
            }
        }
        // 0.3 and the like are not exact in floating point.
        let most = self.members.len() as f64 * passive.max_ejected + 1e-9;
        ready > 0 && f64::from(ejected + 1) <= most
    }

    /// A pool never ejects itself to death: if no backend is ready, all ejections end.
    fn pardon_if_none_is_ready(&self) {
        let states = || self.members.iter().map(|member| member.backend().state());
        if states().any(|state| state == State::Ready) || states().all(|it| it != State::Ejected) {
            return;
        }
        for member in &self.members {
            if member.backend().state() == State::Ejected {
                member.alter(Health::pardon, |_| "no other backend is ready".into());
            }
        }
    }

    /// Ends ejections that are over by `now`, shows how far slow starts are, and rebalances. Returns whether any of that is
    /// still under way; if not, nothing is left to do until a backend changes its state.
    pub fn pass_time(self: &Arc<Self>, now: Instant) -> bool {
        let mut is_under_way = self.rebalance(now);
        for member in &self.members {
            member.show_weight(now);
            if member.backend().is_suspect() {
                self.expire(member, now);
            }
            is_under_way |= member.backend().state() == State::Ejected
                || member.effective_weight(now) < member.full_weight();
        }
        is_under_way
    }

    /// Ends an ejection that is over by `now`. If its trial takes long the gateway asks the backend itself, as the next client
    /// would only wait beside the first.
    fn expire(self: &Arc<Self>, member: &Member, now: Instant) {
        let mut overlong = None;
        let expire = |health: &mut Health| overlong = health.attempts.expire(now);
        member.alter(expire, |_| String::new());
        if overlong.is_some() && !member.backend().questioned().load(Ordering::Acquire) {
            self.unanswered(member, overlong, VAIN);
        }
    }

    /// When the next check of `member` is due; at once if there was none. `None` if checks are off or have other settings by
    /// now, or if the backend was removed.
    #[must_use]
    pub fn check_due(self: &Arc<Self>, member: &Member) -> Option<Instant> {
        let settings = self.health.active.as_ref()?;
        let is_changed = self.latest().health.active.as_ref() != Some(settings);
        if is_changed || member.backend().is_removed() {
            return None;
        }
        let last = member.backend().standing().check;
        Some(last.map_or_else(Instant::now, |last| last.begun + jittered(settings)))
    }

    /// Checks `member` now. If that brings it down, returns what becomes of its open sessions.
    pub async fn check(self: &Arc<Self>, member: &Member) -> Option<OnUnhealthy> {
        let settings = self.health.active.as_ref()?;
        let (at, begun) = (SystemTime::now(), Instant::now());
        let outcome = check::run(member, settings).await;
        let result = outcome
            .as_ref()
            .map_or_else(CheckFault::result, |()| CheckResult::Success);
        member.metrics().check_finished(result);
        let latest = self.latest();
        if latest.health.active != self.health.active {
            // A reload has changed the checks meanwhile; their first result counts, not this one.
            return None;
        }
        let fault = outcome.as_ref().err().map(ToString::to_string);
        let words = fault.clone().unwrap_or_default();
        member
            .backend()
            .note_check(Some(LastCheck { at, begun, fault }));
        if outcome.as_ref().is_err_and(CheckFault::is_our_own) {
            return None;
        }
        let reason = |health: &Health| match health.failed_checks() {
            0 => "checks pass".to_owned(),
            1 => format!("a check failed: {words}"),
            count => format!("{count} checks in a row failed: {words}"),
        };
        let is_rehearsal = outcome.is_ok() && matches!(settings.check, Check::WebSocket(_));
        let judge = |health: &mut Health| {
            health.checked(outcome.is_ok(), settings);
            if is_rehearsal {
                health.rehearsed(Instant::now());
            }
        };
        let change = latest.own(member).alter(judge, reason);
        let is_ready = |change: &Change| change.to == State::Ready;
        if is_rehearsal || change.as_ref().is_some_and(is_ready) {
            member.backend().recovered();
        }
        latest.pardon_if_none_is_ready();
        change
            .filter(|change| change.to == State::Down)
            .map(|_| latest.health.on_unhealthy)
    }

    /// No new sessions for `member` until it is resumed. Returns what ends those that it has.
    pub fn drain(&self, member: &Member) -> Arc<Drain> {
        member.alter(Health::drain, |_| "drained by the operator".into());
        self.pardon_if_none_is_ready();
        // Not before: a check that passes gives a backend that was down another one.
        member.backend().drain()
    }

    /// New sessions for `member` again, as far as the operator is concerned.
    pub fn resume(&self, member: &Member) {
        let reason = |health: &Health| match health.state() {
            State::Down => match health.failed_checks() {
                0 => "checks had failed, and too few have passed since".to_owned(),
                count => format!("{count} checks in a row had failed"),
            },
            State::Ready | State::Ejected | State::Drained => "resumed by the operator".to_owned(),
        };
        let change = member.alter(Health::resume, reason);
        if change.is_some_and(|change| change.to == State::Ready) {
            member.backend().recovered();
        }
        self.pardon_if_none_is_ready();
    }
}

impl Member {
    /// The configuration no longer has it: no new sessions until it is [taken back](Pool::take_back). Returns what ends those that
    /// it has.
    #[must_use]
    pub fn remove(&self) -> Arc<Drain> {
        self.alter(Health::remove, |_| "removed".into());
        // Also if it was drained, which changes no state: a check of it that is under way is given up.
        self.backend().queue().call_all();
        self.backend().drain()
    }

    /// An attempt begins. If the backend is ejected it is a trial; returns when it began, which identifies it.
    pub(super) fn begin_attempt(&self) -> Option<Instant> {
        if !self.backend().is_suspect() {
            return None;
        }
        let mut trial = None;
        let begin = |health: &mut Health| trial = health.attempts.begun(Instant::now());
        // That changes no state, so there is nothing to show.
        self.backend().alter(begin, |_| String::new());
        trial
    }

    /// Changes its health. A change of the state is logged, because of `reason`, and shown in the metrics.
    fn alter(
        &self,
        change: impl FnOnce(&mut Health),
        reason: impl FnOnce(&Health) -> String,
    ) -> Option<Change> {
        let change = self.backend().alter(change, reason);
        // The name may belong to another backend by now.
        if !self.backend().is_removed() {
            self.show_up();
        }
        let change = change?;
        let Change {
            from, to, reason, ..
        } = &change;
        let (pool, backend) = (self.metrics().pool().name(), self.name());
        let (from, to) = (from.label(), to.label());
        match change.to {
            State::Ready | State::Drained => {
                tracing::info!(%pool, %backend, from, to, "backend {to}: {reason}");
            }
            State::Down | State::Ejected => {
                tracing::warn!(%pool, %backend, from, to, "backend {to}: {reason}");
            }
        }
        Some(change)
    }
}

/// The interval, a tenth more or less, so that checks of many gateways and backends do not coincide.
fn jittered(settings: &ActiveHealth) -> Duration {
    settings.interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}
