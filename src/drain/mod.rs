//! Graceful shutdown: begin once, wait for everything to end, cut at the deadline.
//!
//! Whatever may stop (a listener, a route, a backend) has a [`Drain`]. Everything that may outlive the stop (a session,
//! a connection) holds a [`DrainWatch`], taken before it became visible to others: so a drain that begins meanwhile
//! cannot miss it. How a watcher ends, and what it tells its peers, is up to the watcher.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::mutex::lock;

/// How far a drain has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Stage {
    /// No drain has begun.
    Open,
    /// Watchers end, each at a moment within the plan.
    Draining,
    /// The same with a plan that ends earlier.
    Hastened,
    /// Watchers end at once.
    Cut,
}

impl Stage {
    /// The last one in which work may go on.
    pub const BEFORE_CUT: Self = Self::Hastened;
}

/// How long a connection between two requests stays open, as a request may be on its way.
const IDLE_GRACE: Duration = Duration::from_secs(2);

/// The times of a drain.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    /// When it began.
    pub begun: Instant,
    /// The time over which watchers spread their ends.
    pub window: Duration,
    /// How long a connection between two requests stays open.
    pub idle_grace: Duration,
}

impl Plan {
    /// A plan that begins now.
    #[must_use]
    pub fn now(window: Duration) -> Self {
        Self {
            begun: Instant::now(),
            window,
            idle_grace: IDLE_GRACE,
        }
    }

    /// The same for a drain that is cut after `time`: what is idle ends well before, also where its client then has up to twice
    /// as long to close.
    #[must_use]
    pub fn to_end_within(self, time: Duration) -> Self {
        Self {
            idle_grace: self.idle_grace.min(time / 4),
            ..self
        }
    }

    /// The moment in the window at `share` (0 to 1) of it. Each watcher has a random share, so that clients do not all
    /// reconnect at once, and the same one for all its drains: the earliest of several random moments would not be spread.
    #[must_use]
    pub fn moment(&self, share: f32) -> Instant {
        self.begun + self.window.mul_f32(share)
    }

    /// With the ends that are left when `sooner` begins spread over the window of that one, unless it ends later.
    fn hastened(self, sooner: Self) -> Self {
        let idle_grace = self.idle_grace.min(sooner.idle_grace);
        if sooner.begun + sooner.window >= self.begun + self.window {
            return Self { idle_grace, ..self };
        }
        let elapsed = sooner.begun.saturating_duration_since(self.begun);
        let over = elapsed.div_duration_f32(self.window);
        let left = 1.0 - over;
        if left < f32::EPSILON {
            return Self {
                begun: sooner.begun,
                window: Duration::ZERO,
                idle_grace,
            };
        }
        // Those with a share of `over` end when `sooner` begins, those with 1 at its end.
        let window = sooner.window.div_f32(left);
        Self {
            begun: sooner.begun - window.mul_f32(over),
            window,
            idle_grace,
        }
    }
}

/// The drain of one thing that may stop, and all that watch it.
#[derive(Debug, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

impl Drain {
    /// Adds a watcher. One that joins after the drain began hears of it at once.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        self.join(Asking::Open)
    }

    /// Adds a watcher that hears of the drain, but is never [asked](Self::ask) to end.
    #[must_use]
    pub fn watch_exempt(&self) -> DrainWatch {
        self.join(Asking::Exempt)
    }

    fn join(&self, asking: Asking) -> DrainWatch {
        let mut state = lock(&self.shared.state);
        let watcher = Watcher {
            waker: None,
            is_counted_elsewhere: false,
            is_busy: false,
            reported: state.tick(),
            asking,
        };
        DrainWatch {
            key: state.watchers.insert(watcher),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Begins the drain. Further calls change nothing: the first plan stays.
    pub fn begin(&self, plan: Plan) {
        self.advance(Stage::Draining, Some(plan));
    }

    /// Begins the drain, or has one that has begun end as early as `plan` does. Once only.
    pub fn hasten(&self, plan: Plan) {
        match self.stage() {
            Stage::Open => self.begin(plan),
            Stage::Draining | Stage::Hastened | Stage::Cut => {
                self.advance(Stage::Hastened, Some(plan));
            }
        }
    }

    /// Tells the remaining watchers to end at once.
    pub fn cut(&self) {
        self.advance(Stage::Cut, None);
    }

    /// The number of watchers.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.shared.state).watchers.len()
    }

    /// The number of watchers that no other drain counts.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.count(|watcher| !watcher.is_counted_elsewhere)
    }

    /// Asks up to `count` watchers to end, without a drain: the longest idle first, busy ones last, none twice.
    pub fn ask(&self, count: usize) {
        if count == 0 {
            return;
        }
        let mut state = lock(&self.shared.state);
        let watchers = state.watchers.iter();
        let askable = watchers.filter(|(_, watcher)| watcher.asking == Asking::Open);
        let mut order: Vec<(bool, Reverse<u32>, usize)> = askable
            .map(|(key, watcher)| (watcher.is_busy, Reverse(state.age(watcher)), key))
            .collect();
        if count < order.len() {
            order.select_nth_unstable(count);
            order.truncate(count);
        }
        let mut wakers: Vec<Waker> = Vec::with_capacity(order.len());
        for (_, _, key) in order {
            let watcher = &mut state.watchers[key];
            watcher.asking = Asking::Asked;
            wakers.extend(watcher.waker.clone());
        }
        self.shared.asks.fetch_add(1, Ordering::Release);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The number of watchers that can still be asked.
    #[must_use]
    pub fn askable(&self) -> usize {
        self.count(|watcher| watcher.asking == Asking::Open)
    }

    fn count(&self, is_counted: impl Fn(&Watcher) -> bool) -> usize {
        let state = lock(&self.shared.state);
        let watchers = state.watchers.iter();
        watchers.filter(|(_, watcher)| is_counted(watcher)).count()
    }

    /// The stage; one atomic load.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.shared.stage()
    }

    /// Waits until it has begun. The caller is not a watcher: the drain does not wait for it.
    pub async fn begun(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.stage() != Stage::Open {
                return;
            }
            changed.await;
        }
    }

    /// Waits until it has begun, then until the [moment](Plan::moment) at `share`. The caller is not a watcher.
    pub async fn moment(&self, share: f32) {
        self.begun().await;
        loop {
            let changed = self.shared.changed.notified();
            let Some(plan) = lock(&self.shared.state).plan else {
                return;
            };
            tokio::select! {
                () = sleep_until(plan.moment(share)) => return,
                () = changed => {}
            }
        }
    }

    /// Waits until there are no watchers.
    pub async fn ended(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.open() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Cuts at the deadline. That holds for watchers that join later, too: an opening handshake that was under way
    /// when the drain began may end after it.
    pub async fn cut_at(&self, deadline: Instant) {
        sleep_until(deadline).await;
        self.cut();
    }

    fn advance(&self, stage: Stage, plan: Option<Plan>) {
        let mut state = lock(&self.shared.state);
        if self.shared.stage() >= stage {
            return;
        }
        state.plan = match (state.plan, plan) {
            (Some(first), Some(sooner)) => Some(first.hastened(sooner)),
            (first, plan) => first.or(plan),
        };
        self.shared.stage.store(stage as u8, Ordering::Release);
        let wakers: Vec<Waker> = state
            .watchers
            .iter_mut()
            .filter_map(|(_, watcher)| watcher.waker.take())
            .collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.shared.changed.notify_waiters();
    }
}

/// A watcher of a [`Drain`]: hears of its stages, and is waited for until it is dropped.
#[derive(Debug)]
pub struct DrainWatch {
    shared: Arc<Shared>,
    key: usize,
}

impl DrainWatch {
    /// The stage of the drain; one atomic load.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.shared.stage()
    }

    /// The plan; `None` if the drain has not begun, or was cut without one.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        lock(&self.shared.state).plan
    }

    /// How long a connection between two requests stays open: by the plan, or 2 s while there is none.
    #[must_use]
    pub fn idle_grace(&self) -> Duration {
        self.plan().map_or(IDLE_GRACE, |plan| plan.idle_grace)
    }

    /// Ready when the stage is beyond `seen`; until then the task is woken by the next change.
    pub fn poll_beyond(&self, seen: Stage, context: &mut Context<'_>) -> Poll<Stage> {
        let mut state = lock(&self.shared.state);
        let stage = self.shared.stage();
        if stage > seen {
            return Poll::Ready(stage);
        }
        let waker = &mut state.watchers[self.key].waker;
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Excludes this watcher from [`Drain::counted`], as another drain counts it. This one still waits for it.
    pub fn count_elsewhere(&self) {
        lock(&self.shared.state).watchers[self.key].is_counted_elsewhere = true;
    }

    /// How often [`Drain::ask`] was called; one atomic load.
    #[must_use]
    pub fn asks(&self) -> u32 {
        self.shared.asks.load(Ordering::Acquire)
    }

    /// Whether this watcher was asked to end.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        lock(&self.shared.state).watchers[self.key].asking == Asking::Asked
    }

    /// Reports whether the watcher is busy or has become idle. Takes a lock: to be called every few seconds, not for
    /// every message.
    pub fn report_busy(&self, is_busy: bool) {
        let mut state = lock(&self.shared.state);
        let now = state.tick();
        let watcher = &mut state.watchers[self.key];
        (watcher.is_busy, watcher.reported) = (is_busy, now);
    }

    /// Waits until the stage is beyond `seen`.
    pub async fn beyond(&self, seen: Stage) -> Stage {
        poll_fn(|context| self.poll_beyond(seen, context)).await
    }

    /// Runs `work`; `None` if the stage gets beyond `seen` first.
    pub async fn within<F: Future>(&self, seen: Stage, mut work: Pin<&mut F>) -> Option<F::Output> {
        // Registering a waker takes a lock, so it is done only when the stage or the waker has changed.
        let mut registered: Option<(Stage, Waker)> = None;
        poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            let (stage, waker) = (self.stage(), context.waker());
            if let Some((at, known)) = &registered
                && *at == stage
                && known.will_wake(waker)
            {
                return Poll::Pending;
            }
            registered = Some((stage, waker.clone()));
            self.poll_beyond(seen, context).map(|_| None)
        })
        .await
    }
}

impl Drop for DrainWatch {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.watchers.remove(self.key);
        if state.watchers.is_empty() {
            self.shared.changed.notify_waiters();
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    stage: AtomicU8,
    asks: AtomicU32,
    state: Mutex<State>,
    /// Notified when the stage has changed, or the last watcher is gone.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Plan>,
    watchers: Slab<Watcher>,
    /// A logical clock that ticks when a watcher joins or reports: only the order matters, so no time is read.
    clock: u32,
}

impl State {
    fn tick(&mut self) -> u32 {
        self.clock = self.clock.wrapping_add(1);
        self.clock
    }

    /// The ticks since `watcher` joined or last reported.
    fn age(&self, watcher: &Watcher) -> u32 {
        self.clock.wrapping_sub(watcher.reported)
    }
}

#[derive(Debug)]
struct Watcher {
    waker: Option<Waker>,
    is_counted_elsewhere: bool,
    is_busy: bool,
    /// The tick at which it joined or last reported whether it is busy.
    reported: u32,
    asking: Asking,
}

/// Whether a watcher may be asked to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asking {
    Open,
    Asked,
    Exempt,
}

impl Shared {
    fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Open,
            1 => Stage::Draining,
            2 => Stage::Hastened,
            _ => Stage::Cut,
        }
    }
}
