//! Who waits for a place on a backend of a pool, in the order of coming.
//!
//! The queue is the pool's own, not a configuration's: those who wait keep their place over a reload. Nobody is given
//! anything here. Who is woken looks for a place, and wakes the one behind when there was none for it, or when it leaves; so a
//! place that becomes free finds the first who can use it, and no wake-up is lost with one who left. Who waits may want
//! something else than who comes: once all who wait have looked in vain, a newcomer may look, too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The queue of a pool.
#[derive(Debug, Default)]
pub struct Queue {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiter>,
    /// How often there may have been a place.
    chances: u64,
}

#[derive(Debug)]
struct Waiter {
    woken: Arc<Notify>,
    /// The last of the chances at which it looked in vain.
    missed: Option<u64>,
}

impl Queue {
    /// To be called when there may be a place for one of those who wait.
    pub fn look_again(&self) {
        self.line().offer(0);
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.line().waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line().waiting.is_empty()
    }

    /// Whether all who wait have looked in vain since there last may have been a place.
    pub(super) fn is_settled(&self) -> bool {
        self.line().is_settled()
    }

    /// The last place in the queue; none where `most` wait already.
    pub(super) fn join(self: &Arc<Self>, most: usize) -> Option<Turn> {
        let mut line = self.line();
        if line.waiting.len() >= most {
            return None;
        }
        let woken = Arc::new(Notify::new());
        if line.is_settled() {
            // What became free since this one looked woke nobody, or nobody who wanted it.
            woken.notify_one();
        }
        line.waiting.push_back(Waiter {
            woken: Arc::clone(&woken),
            missed: None,
        });
        Some(Turn {
            queue: Arc::clone(self),
            woken,
            chance: line.chances,
        })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// There may be a place for those from `first` on.
    fn offer(&mut self, first: usize) {
        self.chances += 1;
        self.wake(first);
    }

    fn wake(&self, index: usize) {
        if let Some(waiter) = self.waiting.get(index) {
            waiter.woken.notify_one();
        }
    }

    /// A chance goes from one to the next, so who is last misses it last.
    fn is_settled(&self) -> bool {
        let last = self.waiting.back();
        last.is_none_or(|last| last.missed == Some(self.chances))
    }
}

/// A place in the queue; given up on Drop.
#[derive(Debug)]
pub(super) struct Turn {
    queue: Arc<Queue>,
    woken: Arc<Notify>,
    /// The chance for which it was woken.
    chance: u64,
}

impl Turn {
    /// Waits until there may be something for this one.
    pub(super) async fn come(&mut self) {
        self.woken.notified().await;
        self.chance = self.queue.line().chances;
    }

    /// Wakes the one behind, as there was nothing for this one.
    pub(super) fn pass(&self) {
        let mut line = self.queue.line();
        if let Some(own) = self.position(&line) {
            line.waiting[own].missed = Some(self.chance);
            line.wake(own + 1);
        }
    }

    fn position(&self, line: &Line) -> Option<usize> {
        let is_own = |waiter: &Waiter| Arc::ptr_eq(&waiter.woken, &self.woken);
        line.waiting.iter().position(is_own)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut line = self.queue.line();
        if let Some(own) = self.position(&line) {
            line.waiting.remove(own);
            if own < line.waiting.len() {
                line.offer(own);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn is_woken(turn: &mut Turn) -> bool {
        let mut coming = std::pin::pin!(turn.come());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        coming.as_mut().poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn wakes_in_the_order_of_coming() {
        let queue = Arc::new(Queue::default());
        let [mut first, mut second, mut third] = [(); 3].map(|()| queue.join(3).unwrap());
        assert!(queue.join(3).is_none());
        assert!(is_woken(&mut first), "whoever comes first looks at once");
        assert!(!is_woken(&mut second));
        queue.look_again();
        assert!(is_woken(&mut first) && !is_woken(&mut second));
        first.pass();
        assert!(is_woken(&mut second) && !is_woken(&mut third));
        drop(first);
        assert!(is_woken(&mut second));
        drop(second);
        assert!(is_woken(&mut third));
        drop(third);
        assert_eq!(queue.len(), 0);
    }

    /// A wake-up that came to one who leaves goes to the next.
    #[test]
    fn loses_no_wake_up() {
        let queue = Arc::new(Queue::default());
        let [mut first, mut second] = [(); 2].map(|()| queue.join(9).unwrap());
        assert!(is_woken(&mut first));
        queue.look_again();
        drop(first);
        assert!(is_woken(&mut second));
    }

    /// Whoever waits for one backend keeps nobody from the places of another.
    #[test]
    fn a_newcomer_looks_once_all_before_it_have_looked_in_vain() {
        let queue = Arc::new(Queue::default());
        assert!(queue.is_settled(), "nobody waits");
        let mut first = queue.join(9).unwrap();
        assert!(!queue.is_settled(), "it has not looked yet");
        assert!(is_woken(&mut first));
        first.pass();
        assert!(queue.is_settled());
        let mut second = queue.join(9).unwrap();
        assert!(is_woken(&mut second));
        second.pass();
        queue.look_again();
        assert!(!queue.is_settled(), "a wake-up is under way");
        let mut third = queue.join(9).unwrap();
        for turn in [&mut first, &mut second] {
            assert!(!is_woken(&mut third), "the others are before it");
            assert!(is_woken(turn));
            turn.pass();
        }
        assert!(is_woken(&mut third));
        third.pass();
        assert!(queue.is_settled());
    }
}
