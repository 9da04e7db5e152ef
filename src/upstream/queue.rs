//! Who waits for a place on a backend of a pool, in the order of coming.
//!
//! The queue is the pool's own, not a configuration's: those who wait keep their place over a reload. Nobody is given
//! anything here. Who is woken looks for a place, and wakes the one behind when there was none for it, or when it leaves; so a
//! place that becomes free finds the first who can use it, and no wake-up is lost with one who left.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The queue of a pool.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<Arc<Notify>>>,
}

impl Queue {
    /// To be called when there may be a place for one of those who wait.
    pub fn look_again(&self) {
        wake(self.waiting().front());
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// The last place in the queue; none where `most` wait already.
    pub(super) fn join(self: &Arc<Self>, most: usize) -> Option<Turn> {
        let mut waiting = self.waiting();
        if waiting.len() >= most {
            return None;
        }
        let woken = Arc::new(Notify::new());
        if waiting.is_empty() {
            // What became free before anybody waited woke nobody.
            woken.notify_one();
        }
        waiting.push_back(Arc::clone(&woken));
        let queue = Arc::clone(self);
        Some(Turn { queue, woken })
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue; given up on Drop.
#[derive(Debug)]
pub(super) struct Turn {
    queue: Arc<Queue>,
    woken: Arc<Notify>,
}

impl Turn {
    /// Waits until there may be something for this one.
    pub(super) async fn come(&self) {
        self.woken.notified().await;
    }

    /// Wakes the one behind, as there was nothing for this one.
    pub(super) fn pass(&self) {
        let waiting = self.queue.waiting();
        wake(self.position(&waiting).and_then(|own| waiting.get(own + 1)));
    }

    fn position(&self, waiting: &VecDeque<Arc<Notify>>) -> Option<usize> {
        let is_own = |woken: &Arc<Notify>| Arc::ptr_eq(woken, &self.woken);
        waiting.iter().position(is_own)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting();
        if let Some(own) = self.position(&waiting) {
            waiting.remove(own);
            wake(waiting.get(own));
        }
    }
}

fn wake(woken: Option<&Arc<Notify>>) {
    if let Some(woken) = woken {
        woken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn is_woken(turn: &Turn) -> bool {
        let mut coming = std::pin::pin!(turn.come());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        coming.as_mut().poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn wakes_in_the_order_of_coming() {
        let queue = Arc::new(Queue::default());
        let [first, second, third] = [(); 3].map(|()| queue.join(3).unwrap());
        assert!(queue.join(3).is_none());
        assert!(is_woken(&first), "whoever comes first looks at once");
        assert!(!is_woken(&second));
        queue.look_again();
        assert!(is_woken(&first) && !is_woken(&second));
        first.pass();
        assert!(is_woken(&second) && !is_woken(&third));
        drop(first);
        assert!(is_woken(&second));
        drop(second);
        assert!(is_woken(&third));
        drop(third);
        assert_eq!(queue.len(), 0);
    }

    /// A wake-up that came to one who leaves goes to the next.
    #[test]
    fn loses_no_wake_up() {
        let queue = Arc::new(Queue::default());
        let [first, second] = [(); 2].map(|()| queue.join(9).unwrap());
        assert!(is_woken(&first));
        queue.look_again();
        drop(first);
        assert!(is_woken(&second));
    }
}
