//! Who waits for a place on a backend of a pool, in the order of coming.
//!
//! The queue is the pool's own, not a configuration's: those who wait keep their place over a reload. Nobody is given
//! anything here: one after the other looks, from the first on, whenever there may be a place. There may be one that it cannot use, as
//! that backend has failed it: then the next one looks, and so a place finds the first who can use it. Where there is none for
//! anybody that ends, or each place that is taken would cost a look of all who wait. Who leaves while the others wait for its
//! look passes it on; and what happened to backends is looked at by all, as nobody may be left to wait for. As long as a look
//! is awaited, newcomers come behind; when none is, they may look for themselves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// The queue of a pool.
#[derive(Debug, Default)]
pub struct Queue {
    line: Mutex<Line>,
    /// Changed by each [`Queue::look_again`].
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Line {
    /// In the order of their tickets.
    waiting: VecDeque<Waiter>,
    /// How many have come.
    tickets: u64,
    /// Whose look is awaited.
    looking: Option<u64>,
    /// How many were asked to look; tells one look from the next.
    looks: u64,
    /// From this ticket on all have to look, whatever those before them saw.
    news: Option<u64>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    woken: Arc<Notify>,
}

impl Queue {
    /// To be called when a place has become free.
    pub(super) fn offer(&self) {
        self.line().look(0);
    }

    /// To be called when backends are not what they were: there may be places, or nothing to wait for any more.
    pub fn look_again(&self) {
        self.changes.send_replace(());
        let mut line = self.line();
        line.news = Some(0);
        line.look(0);
    }

    /// Changes whenever the state of a backend may have changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
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
        self.line().looking.is_none()
    }

    /// The last place in the queue; none where `most` wait already.
    pub(super) fn join(self: &Arc<Self>, most: usize) -> Option<Turn> {
        let mut line = self.line();
        if line.waiting.len() >= most {
            return None;
        }
        line.tickets += 1;
        let ticket = line.tickets;
        Some(self.enter(&mut line, ticket))
    }

    /// The place that `ticket` had, for one who was served there and got nothing of it. However many wait: it came before them.
    pub(super) fn rejoin(self: &Arc<Self>, ticket: u64) -> Turn {
        self.enter(&mut self.line(), ticket)
    }

    fn enter(self: &Arc<Self>, line: &mut Line, ticket: u64) -> Turn {
        let woken = Arc::new(Notify::new());
        let own = line.first_from(ticket);
        let waiter = Waiter {
            ticket,
            woken: Arc::clone(&woken),
        };
        line.waiting.insert(own, waiter);
        // What became free since this one looked was seen by nobody, or by nobody who wanted it.
        if line.looking.is_none_or(|looking| looking > ticket) {
            line.look(own);
        }
        Turn {
            queue: Arc::clone(self),
            ticket,
            woken,
            look: 0,
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The one at `index` is to look; nobody if there is none.
    fn look(&mut self, index: usize) {
        let Some(waiter) = self.waiting.get(index) else {
            self.looking = None;
            self.news = None;
            return;
        };
        self.looks += 1;
        self.looking = Some(waiter.ticket);
        waiter.woken.notify_one();
    }

    /// The one with `ticket` has looked, or left.
    fn looked(&mut self, ticket: u64, is_place_left: bool) {
        if self.news.is_some_and(|news| news <= ticket) {
            self.news = Some(ticket + 1);
        }
        let next = if is_place_left {
            Some(ticket + 1)
        } else {
            self.news
        };
        match next {
            Some(ticket) => self.look(self.first_from(ticket)),
            None => self.looking = None,
        }
    }

    fn first_from(&self, ticket: u64) -> usize {
        let is_before = |waiter: &Waiter| waiter.ticket < ticket;
        self.waiting.partition_point(is_before)
    }
}

/// A place in the queue; given up on Drop.
#[derive(Debug)]
pub(super) struct Turn {
    queue: Arc<Queue>,
    ticket: u64,
    woken: Arc<Notify>,
    /// The look for which it came last.
    look: u64,
}

impl Turn {
    /// By what its place is known.
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Waits until this one is to look.
    pub(super) async fn come(&mut self) {
        while !self.is_called() {
            self.woken.notified().await;
        }
    }

    /// Once for each look.
    fn is_called(&mut self) -> bool {
        let line = self.queue.line();
        let is_called = line.looking == Some(self.ticket) && line.looks != self.look;
        if is_called {
            self.look = line.looks;
        }
        is_called
    }

    /// There was nothing for this one. The next one looks, if there is a place for somebody else, or if that one has not
    /// looked since all are to look.
    pub(super) fn pass(&self, is_place_left: bool) {
        let mut line = self.queue.line();
        // If not, something has happened since, and it will be asked again.
        if line.looking == Some(self.ticket) && line.looks == self.look {
            line.looked(self.ticket, is_place_left);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut line = self.queue.line();
        let own = line.first_from(self.ticket);
        line.waiting.remove(own);
        if line.looking == Some(self.ticket) {
            line.looked(self.ticket, true);
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
        assert!(!is_woken(&mut third), "the second still looks");
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

    /// Else newcomers would wait behind one who cannot use what there is.
    #[test]
    fn is_settled_where_all_behind_the_first_were_served() {
        let queue = Arc::new(Queue::default());
        let [mut first, mut second, mut third] = [(); 3].map(|()| queue.join(9).unwrap());
        queue.look_again();
        assert!(is_woken(&mut first));
        first.pass(true);
        assert!(is_woken(&mut second));
        drop(second);
        assert!(is_woken(&mut third));
        drop(third);
        assert!(queue.is_settled());
    }

    #[test]
    fn who_comes_back_has_the_place_from_before() {
        let queue = Arc::new(Queue::default());
        let [first, mut second] = [(); 2].map(|()| queue.join(2).unwrap());
        let ticket = first.ticket();
        drop(first);
        let mut third = queue.join(2).unwrap();
        let mut first = queue.rejoin(ticket);
        assert_eq!(queue.len(), 3);
        assert!(is_woken(&mut first) && !is_woken(&mut second));
        first.pass(true);
        assert!(is_woken(&mut second) && !is_woken(&mut third));
        queue.offer();
        assert!(is_woken(&mut first));
        // It looked before the offer.
        second.pass(true);
        assert!(!is_woken(&mut third));
    }
}
