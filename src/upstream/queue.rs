//! Who waits for a place on a backend of a pool, in the order of coming.
//!
//! The queue is the pool's own, not a configuration's: those who wait keep their place over a reload. Nobody is given
//! anything here. Who is woken looks for a place. There may be a place that it cannot use, having tried that backend: then it wakes
//! the one behind, and so a place finds the first who can use it. Where there is none for anybody that ends, or each place that is
//! taken would cost a look of all who wait. Who leaves wakes the one behind, too, so no wake-up is lost with it; and what
//! happened to backends is looked at by all, as nobody may be left to wait for. Once all who wait have looked in vain, a
//! newcomer may look.

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
    /// By their tickets.
    waiting: VecDeque<Waiter>,
    /// How many have come.
    tickets: u64,
    /// How often there may have been a place.
    chances: u64,
    /// The last of the chances at which all are to look.
    news: u64,
    /// The last of the chances at which there was no place for anybody.
    vain: Option<u64>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    woken: Arc<Notify>,
    /// The last of the chances at which it looked in vain.
    missed: Option<u64>,
}

impl Queue {
    /// To be called when a place has become free.
    pub(super) fn offer(&self) {
        self.line().offer(0);
    }

    /// To be called when backends are not what they were: there may be places, or nothing to wait for any more.
    pub fn look_again(&self) {
        let mut line = self.line();
        line.offer(0);
        line.news = line.chances;
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
        line.tickets += 1;
        let ticket = line.tickets;
        line.waiting.push_back(Waiter {
            ticket,
            woken: Arc::clone(&woken),
            missed: None,
        });
        Some(Turn {
            queue: Arc::clone(self),
            ticket,
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
        let missed = last.is_none_or(|last| last.missed == Some(self.chances));
        missed || self.vain == Some(self.chances)
    }
}

/// A place in the queue; given up on Drop.
#[derive(Debug)]
pub(super) struct Turn {
    queue: Arc<Queue>,
    ticket: u64,
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

    /// There was nothing for this one. Wakes the one behind, if there is a place for somebody else, or if that one has not
    /// looked since all are to look.
    pub(super) fn pass(&self, is_for_another: bool) {
        let mut line = self.queue.line();
        let Some(own) = self.position(&line) else {
            return;
        };
        line.waiting[own].missed = Some(self.chance);
        if !is_for_another {
            line.vain = line.vain.max(Some(self.chance));
        }
        let news = Some(line.news);
        if is_for_another
            || line
                .waiting
                .get(own + 1)
                .is_some_and(|next| next.missed < news)
        {
            line.wake(own + 1);
        }
    }

    fn position(&self, line: &Line) -> Option<usize> {
        let found = line
            .waiting
            .binary_search_by_key(&self.ticket, |waiter| waiter.ticket);
        found.ok()
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
        first.pass(true);
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

    /// Else each place would cost a look of all.
    #[test]
    fn all_look_at_news_but_not_behind_one_who_saw_that_there_is_nothing() {
        let queue = Arc::new(Queue::default());
        let [mut first, mut second, mut third] = [(); 3].map(|()| queue.join(9).unwrap());
        queue.look_again();
        for turn in [&mut first, &mut second, &mut third] {
            assert!(is_woken(turn));
            turn.pass(false);
        }
        queue.offer();
        assert!(is_woken(&mut first));
        first.pass(false);
        assert!(!is_woken(&mut second) && queue.is_settled());
        queue.offer();
        assert!(is_woken(&mut first) && !queue.is_settled());
        drop(first);
        assert!(is_woken(&mut second), "there may be more places");
        second.pass(false);
        assert!(!is_woken(&mut third) && queue.is_settled());
    }

    /// Whoever waits for one backend keeps nobody from the places of another.
    #[test]
    fn a_newcomer_looks_once_all_before_it_have_looked_in_vain() {
        let queue = Arc::new(Queue::default());
        assert!(queue.is_settled(), "nobody waits");
        let mut first = queue.join(9).unwrap();
        assert!(!queue.is_settled(), "it has not looked yet");
        assert!(is_woken(&mut first));
        first.pass(true);
        assert!(queue.is_settled());
        let mut second = queue.join(9).unwrap();
        assert!(is_woken(&mut second));
        second.pass(true);
        queue.look_again();
        assert!(!queue.is_settled(), "a wake-up is under way");
        let mut third = queue.join(9).unwrap();
        for turn in [&mut first, &mut second] {
            assert!(!is_woken(&mut third), "the others are before it");
            assert!(is_woken(turn));
            turn.pass(true);
        }
        assert!(is_woken(&mut third));
        third.pass(true);
        assert!(queue.is_settled());
    }
}
