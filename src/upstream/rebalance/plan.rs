//! How many sessions a pool asks to reconnect after a backend joined or returned. Without I/O and clock: loads and times are passed
//! in, and the number for each backend is returned. Which sessions are asked is decided by the drain of the backend.

use crate::config::Rebalance;

/// Rebalancing is over after this many seconds without a session to ask: those asked last have reconnected by then.
const SETTLED: f64 = 60.0;

/// The load of one backend at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Whether it gets new sessions. Other backends neither give nor take any.
    pub(super) is_ready: bool,
    /// Changes each time it becomes ready, so that an absence between two steps is noticed.
    pub(super) ready_mark: u64,
    /// Its share of the sessions.
    pub(super) weight: u32,
    /// Its weight now, reduced during a slow start.
    pub(super) effective_weight: u32,
    /// Open sessions that have not been asked to leave.
    pub(super) sessions: usize,
    /// Sessions that have been asked to leave or are drained and have not left yet, and sessions that are being opened.
    pub(super) leaving: usize,
    /// The most sessions that it takes; `None` if unlimited.
    pub(super) max_sessions: Option<usize>,
}

/// The state of one backend.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Place {
    /// Its mark at the last step; `None` if it was not ready.
    ready_mark: Option<u64>,
    /// How many of its sessions may still be asked in this rebalancing.
    pub(super) left: usize,
    /// Whether it gives sessions away: set above the threshold, reset at its share.
    is_giving: bool,
}

/// Evens out a pool. At rest unless a backend joined or returned.
#[derive(Clone, Default, Debug)]
pub(super) struct Rebalancer {
    pub(super) places: Vec<Place>,
    /// Sessions of the pool when it began. Shares are computed of these, as sessions that were asked are about to come back.
    sessions: usize,
    /// How many sessions the rate allows and have not been asked.
    pub(super) allowance: f64,
    /// Seconds without a session to ask, whatever the rate.
    quiet: f64,
}

impl Rebalancer {
    /// A rebalancer that begins with these states.
    pub(super) fn new(places: Vec<Place>) -> Self {
        Self {
            places,
            ..Self::default()
        }
    }

    /// The state of a backend for the pool after a reload. If rebalancing is under way and `goes_on` there, it begins anew, as if
    /// this backend had just joined.
    pub(super) fn place(&self, index: usize, goes_on: bool) -> Place {
        let ready_mark = self.places.get(index).and_then(|place| place.ready_mark);
        Place {
            ready_mark: ready_mark.filter(|_| self.is_at_rest() || !goes_on),
            ..Place::default()
        }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.places.iter().all(|place| place.left == 0)
    }

    /// How many sessions of each backend to ask now, `seconds` after the last step.
    pub(super) fn step(
        &mut self,
        loads: &[Load],
        settings: &Rebalance,
        seconds: f64,
    ) -> Vec<usize> {
        self.places.resize(loads.len(), Place::default());
        let sessions = total(loads, |load| load.sessions + load.leaving);
        if self.has_joined(loads) {
            self.sessions = sessions;
            self.begin(loads, settings);
        }
        if self.is_at_rest() {
            self.allowance = 0.0;
            return vec![0; loads.len()];
        }
        let sessions_due = sessions.max(self.sessions);
        let now = shares(loads, sessions_due, |load| load.effective_weight);
        let in_full = shares(loads, sessions_due, |load| load.weight);
        self.look_who_gives(loads, &now, &in_full, settings);
        let rate = settings.rate * sessions as f64;
        // What the rate allows in a second at most, so that no burst follows a pause; but one session at least.
        self.allowance = (self.allowance + rate * seconds).min(rate.max(1.0));
        let (asked, is_due) = self.choose(loads, &now);
        let count: usize = asked.iter().sum();
        self.allowance -= count as f64;
        // A backend in its slow start can take more later.
        let is_rising = ready(loads).any(|load| load.effective_weight < load.weight);
        let is_quiet = !is_due && !is_rising;
        self.quiet = if is_quiet { self.quiet + seconds } else { 0.0 };
        if self.quiet > SETTLED {
            self.places.iter_mut().for_each(|place| place.left = 0);
        }
        asked
    }

    fn has_joined(&mut self, loads: &[Load]) -> bool {
        let mut has_joined = false;
        for (place, load) in self.places.iter_mut().zip(loads) {
            let mark = load.is_ready.then_some(load.ready_mark);
            has_joined |= mark.is_some() && mark != place.ready_mark;
            place.ready_mark = mark;
        }
        has_joined
    }

    /// Sets how many sessions each backend above the threshold may give in all: its surplus above its share, times the number of
    /// ready backends, as with round robin or random only one of that number goes to the backend that joined. This bound ends the
    /// rebalancing also with strategies that send sessions back to where they were.
    ///
    /// Shares are by full weights; each step limits what is due already during slow starts.
    fn begin(&mut self, loads: &[Load], settings: &Rebalance) {
        let shares = shares(loads, self.sessions, |load| load.weight);
        let ready = loads.iter().filter(|load| load.is_ready).count();
        for ((place, load), share) in self.places.iter_mut().zip(loads).zip(shares) {
            let is_above = load.is_ready && load.sessions as f64 > share * settings.threshold;
            let surplus = load.sessions.saturating_sub(ceiling(share));
            place.left = if is_above { surplus * ready } else { 0 };
        }
        self.quiet = 0.0;
    }

    /// A backend begins to give above the threshold of its share of `now`, and ends at its share by full weights.
    fn look_who_gives(
        &mut self,
        loads: &[Load],
        now: &[f64],
        in_full: &[f64],
        settings: &Rebalance,
    ) {
        let shares = now.iter().zip(in_full);
        for ((place, load), (now, in_full)) in self.places.iter_mut().zip(loads).zip(shares) {
            if load.sessions as f64 > now * settings.threshold {
                place.is_giving = true;
            } else if load.sessions <= ceiling(*in_full) {
                place.is_giving = false;
            }
        }
    }

    /// Never more than the rate allows, than a backend has above its share, and than the backends below their share could
    /// take. The fullest relative to its share gives first, so that those that give come down together. Also returns whether a
    /// session would be asked if the rate allowed it.
    fn choose(&mut self, loads: &[Load], shares: &[f64]) -> (Vec<usize>, bool) {
        let room = room(loads, shares);
        let mut free = room.min(ceiling(self.allowance.floor()));
        let mut is_due = false;
        let mut order: Vec<usize> = (0..loads.len()).collect();
        let fullness = |index: &usize| loads[*index].sessions as f64 / shares[*index];
        order.sort_by(|one, other| fullness(other).total_cmp(&fullness(one)));
        let mut asked = vec![0; loads.len()];
        for index in order {
            let place = &mut self.places[index];
            let gives = place.is_giving && loads[index].is_ready;
            let surplus = loads[index].sessions.saturating_sub(ceiling(shares[index]));
            let surplus = if gives { surplus } else { 0 };
            let due = surplus.min(place.left).min(room);
            is_due |= due > 0;
            asked[index] = due.min(free);
            place.left -= asked[index];
            free -= asked[index];
        }
        (asked, is_due)
    }
}

/// The share of each ready backend in `sessions`, by `weight`.
fn shares(loads: &[Load], sessions: usize, weight: impl Fn(&Load) -> u32) -> Vec<f64> {
    let weights: u64 = ready(loads).map(|load| u64::from(weight(load))).sum();
    let share = |load: &Load| match load.is_ready {
        true => sessions as f64 * f64::from(weight(load)) / weights as f64,
        false => 0.0,
    };
    loads.iter().map(share).collect()
}

/// How many sessions the backends below their share could take, beside those on their way from the others.
fn room(loads: &[Load], shares: &[f64]) -> usize {
    let (mut room, mut coming) = (0_usize, 0);
    for (load, share) in loads.iter().zip(shares).filter(|(load, _)| load.is_ready) {
        let has = load.sessions + load.leaving;
        let most = load.max_sessions.unwrap_or(usize::MAX);
        match ceiling(*share).min(most).saturating_sub(has) {
            0 => coming += load.leaving,
            // Those that it is opening are among what it has.
            own => room += own,
        }
    }
    room.saturating_sub(coming)
}

fn total(loads: &[Load], count: impl Fn(&Load) -> usize) -> usize {
    ready(loads).map(count).sum()
}

fn ready(loads: &[Load]) -> impl Iterator<Item = &Load> {
    loads.iter().filter(|load| load.is_ready)
}

/// A share rounded up to whole sessions.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float saturates, and shares are not negative"
)]
fn ceiling(share: f64) -> usize {
    share.ceil() as usize
}
