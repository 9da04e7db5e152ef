//! Ending many things in order: begin once, wait for all, cut at the deadline.
//!
//! A [`Drain`] stands at what may stop (a listener, a route, a backend). Everything that would outlive the
//! stop holds a [`DrainWatch`], taken before it became visible; so nothing can slip through between the
//! signal and the list of those who hear it. What those who hear it do, and what they say, is theirs.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How far a drain has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Stage {
    /// Nothing has begun.
    Open,
    /// Those who watch end in their own time, within the plan.
    Draining,
    /// Those who watch end now.
    Cut,
}

/// The times of a drain.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    /// When it began.
    pub begun: Instant,
    /// The time over which the ends are spread.
    pub window: Duration,
}

impl Plan {
    /// A plan that begins now.
    #[must_use]
    pub fn now(window: Duration) -> Self {
        Self {
            begun: Instant::now(),
            window,
        }
    }

    /// A moment in the window, at random, so that clients do not come back as a herd.
    #[must_use]
    pub fn moment(&self) -> Instant {
        self.begun + self.window.mul_f64(fastrand::f64())
    }
}

/// What may stop, and everything that has to end when it does.
#[derive(Debug, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

impl Drain {
    /// Joins those who hear of it. One that joins late hears of it at once.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        self.join(Asking::Open)
    }

    /// Joins those who hear of the drain itself, but are never [asked](Self::ask) to end.
    #[must_use]
    pub fn watch_exempt(&self) -> DrainWatch {
        self.join(Asking::Exempt)
    }

    fn join(&self, asking: Asking) -> DrainWatch {
        let mut state = self.shared.state();
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

    /// Begins the drain. The first plan stands; a second call changes nothing.
    pub fn begin(&self, plan: Plan) {
        self.advance(Stage::Draining, Some(plan));
    }

    /// Tells those who are left to end now.
    pub fn cut(&self) {
        self.advance(Stage::Cut, None);
    }

    /// How many still watch.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.state().watchers.len()
    }

    /// How many still watch and are not counted at another drain.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.count(|watcher| !watcher.is_counted_elsewhere)
    }

    /// Asks up to `count` of those who watch to end, the longest idle first, busy ones last, and nobody twice. The
    /// others are not drained.
    pub fn ask(&self, count: usize) {
        if count == 0 {
            return;
        }
        let mut state = self.shared.state();
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

    /// How many can still be asked.
    #[must_use]
    pub fn askable(&self) -> usize {
        self.count(|watcher| watcher.asking == Asking::Open)
    }

    fn count(&self, is_counted: impl Fn(&Watcher) -> bool) -> usize {
        let state = self.shared.state();
        let watchers = state.watchers.iter();
        watchers.filter(|(_, watcher)| is_counted(watcher)).count()
    }

    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.shared.stage()
    }

    /// Waits until it has begun. The drain does not wait for whoever does so.
    pub async fn begun(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.stage() != Stage::Open {
                return;
            }
            changed.await;
        }
    }

    /// Waits until it has begun and a moment of its window has come, picked at random. The drain does not wait for whoever
    /// does so.
    pub async fn moment(&self) {
        self.begun().await;
        let plan = self.shared.state().plan;
        if let Some(plan) = plan {
            sleep_until(plan.moment()).await;
        }
    }

    /// Waits until nobody watches any more.
    pub async fn ended(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.open() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Cuts at the deadline who is left, and who joins after it: an opening handshake that was under way may end
    /// long after everybody else.
    pub async fn cut_at(&self, deadline: Instant) {
        sleep_until(deadline).await;
        self.cut();
    }

    fn advance(&self, stage: Stage, plan: Option<Plan>) {
        let mut state = self.shared.state();
        if self.shared.stage() >= stage {
            return;
        }
        state.plan = state.plan.or(plan);
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

/// A claim to hear of a [`Drain`], and what the drain waits for. Given back on Drop.
#[derive(Debug)]
pub struct DrainWatch {
    shared: Arc<Shared>,
    key: usize,
}

impl DrainWatch {
    /// How far the drain has come; one atomic load.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.shared.stage()
    }

    /// The plan, once the drain has begun with one.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        self.shared.state().plan
    }

    /// Wakes the task when the stage is beyond `seen`; ready if it already is.
    pub fn poll_beyond(&self, seen: Stage, context: &mut Context<'_>) -> Poll<Stage> {
        let mut state = self.shared.state();
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

    /// Notes that another drain counts this watch already. This one waits for it all the same.
    pub fn count_elsewhere(&self) {
        self.shared.state().watchers[self.key].is_counted_elsewhere = true;
    }

    /// How often [`Drain::ask`] was called; one atomic load.
    #[must_use]
    pub fn asks(&self) -> u32 {
        self.shared.asks.load(Ordering::Acquire)
    }

    /// Whether this one was among them.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.shared.state().watchers[self.key].asking == Asking::Asked
    }

    /// Notes whether whoever watches is busy or has come to rest. Takes a lock: to be done every few seconds, not
    /// every time.
    pub fn report_busy(&self, is_busy: bool) {
        let mut state = self.shared.state();
        let now = state.tick();
        let watcher = &mut state.watchers[self.key];
        (watcher.is_busy, watcher.reported) = (is_busy, now);
    }

    /// Waits until the stage is beyond `seen`.
    pub async fn beyond(&self, seen: Stage) -> Stage {
        poll_fn(|context| self.poll_beyond(seen, context)).await
    }

    /// What `work` comes to; none where the stage is beyond `seen` before.
    pub async fn within<F: Future>(&self, seen: Stage, mut work: Pin<&mut F>) -> Option<F::Output> {
        // What was asked for holds as long as the stage stands; asking takes a lock.
        let mut asked: Option<(Stage, Waker)> = None;
        poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            let (stage, waker) = (self.stage(), context.waker());
            if let Some((at, asker)) = &asked
                && *at == stage
                && asker.will_wake(waker)
            {
                return Poll::Pending;
            }
            asked = Some((stage, waker.clone()));
            self.poll_beyond(seen, context).map(|_| None)
        })
        .await
    }
}

impl Drop for DrainWatch {
    fn drop(&mut self) {
        let mut state = self.shared.state();
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
    /// It went on to another stage, or nobody watches any more.
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
            _ => Stage::Cut,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
