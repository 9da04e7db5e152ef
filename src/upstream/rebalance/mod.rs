//! Rebalancing a pool after a backend joined or returned: sessions of backends that hold too many are asked to reconnect, those
//! that have been quiet longest first. `plan` decides how many, the drain of each backend which ones.

mod plan;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use tokio::time::Instant;

use super::Pool;
use super::backend::Member;
use super::health::State;
use crate::config;
use crate::mutex::lock;
use plan::{Load, Rebalancer};

/// The rebalancing of a pool.
#[derive(Debug)]
pub(super) struct Rebalance {
    settings: Option<config::Rebalance>,
    progress: Mutex<Progress>,
}

#[derive(Default, Debug)]
struct Progress {
    rebalancer: Rebalancer,
    last: Option<Instant>,
}

impl Rebalance {
    /// For members that have these `positions` in `previous`.
    pub(super) fn new(
        settings: Option<config::Rebalance>,
        positions: &[Option<usize>],
        previous: Option<&Pool>,
    ) -> Self {
        let progress = previous.map(|previous| Progress::after(previous, positions, settings));
        Self {
            settings,
            progress: Mutex::new(progress.unwrap_or_default()),
        }
    }
}

impl Progress {
    /// With these settings, after that of `previous`.
    fn after(
        previous: &Pool,
        positions: &[Option<usize>],
        settings: Option<config::Rebalance>,
    ) -> Self {
        let Rebalance {
            settings: settings_before,
            progress: before,
        } = &previous.rebalance;
        let before = lock(before);
        let goes_on = *settings_before == settings;
        let place = |index| before.rebalancer.place(index, goes_on);
        let places = positions.iter().map(|it| it.map(place).unwrap_or_default());
        let mut after = Self {
            rebalancer: Rebalancer::new(places.collect()),
            last: None,
        };
        // Otherwise no session would be asked while the pool changes again and again.
        if goes_on {
            after.rebalancer.allowance = before.rebalancer.allowance;
            after.last = before.last;
        }
        after
    }
}

impl Pool {
    /// Asks the sessions to reconnect that are due by `now`. Returns whether rebalancing is under way; if not, it begins
    /// when a backend becomes ready.
    pub(super) fn rebalance(&self, now: Instant) -> bool {
        let Rebalance { settings, progress } = &self.rebalance;
        let Some(settings) = settings else {
            return false;
        };
        let mut progress = lock(progress);
        let last = progress.last.replace(now).unwrap_or(now);
        let loads = loads(&self.members, now);
        let was_at_rest = progress.rebalancer.is_at_rest();
        let seconds = now.saturating_duration_since(last).as_secs_f64();
        let asked = progress.rebalancer.step(&loads, settings, seconds);
        let is_at_rest = progress.rebalancer.is_at_rest();
        if is_at_rest {
            // The time until it begins anew allows no session to be asked.
            progress.last = None;
        }
        drop(progress);
        for (member, count) in self.members.iter().zip(asked) {
            member.backend().drain().ask(count);
        }
        let pool = self.name();
        match (was_at_rest, is_at_rest) {
            (true, false) => tracing::info!(%pool, "rebalancing begins"),
            (false, true) => tracing::info!(%pool, "rebalancing is over"),
            (true, true) | (false, false) => {}
        }
        !is_at_rest
    }
}

/// The loads of all members. Those of a worse priority than the best ready one get no sessions, so they count as not ready.
fn loads(members: &[Member], now: Instant) -> Vec<Load> {
    let is_ready = |member: &&Member| member.backend().state() == State::Ready;
    let best = members.iter().filter(is_ready).map(Member::priority).min();
    let load = |member: &Member| {
        let takes_sessions = is_ready(&member) && Some(member.priority()) == best;
        load(member, takes_sessions, now)
    };
    members.iter().map(load).collect()
}

/// The load of a member at `now`.
fn load(member: &Member, is_ready: bool, now: Instant) -> Load {
    let backend = member.backend();
    let sessions = backend.drain().askable();
    Load {
        is_ready,
        ready_mark: backend.ready_mark(),
        weight: member.full_weight(),
        effective_weight: member.effective_weight(now),
        sessions,
        // Includes sessions of an earlier drain.
        leaving: backend.sessions().saturating_sub(sessions),
        max_sessions: member
            .max_sessions()
            .and_then(|most| usize::try_from(most).ok()),
    }
}
