//! Sessions that wait for a place on a backend of a pool, first come, first served.
//!
//! The queue hands no place over. It calls one waiter at a time, in the order of arrival, and the called waiter tries to
//! claim a place itself:
//!
//! - A freed place calls the first waiter.
//! - If the called waiter takes a place or leaves, the next one is called: more places may be free.
//! - If it finds none, it passes. The next one is called only if there is a place that this one cannot use, because that
//!   backend has failed it before. Otherwise the calls stop, or every freed place would cost one try of every waiter.
//! - A change of the backends' states calls every waiter once, whatever the others find: there may be nothing left to wait for.
//!
//! No call is lost: a called waiter that leaves passes the call on, and a call that arrives during a try makes the waiter try
//! again. While a waiter is called, newcomers queue up behind; otherwise they may try at once.
//!
//! The queue belongs to the pool, not to one configuration of it, so waiters keep their place over a reload.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

use crate::mutex::lock;

/// The queue of a pool.
#[derive(Debug, Default)]
pub struct Queue {
    line: Mutex<Line>,
    /// Changed by each [`Queue::call_all`].
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Line {
    /// Ordered by ticket.
    entries: VecDeque<Entry>,
    last_ticket: u64,
    call: Call,
    /// Waiters from this ticket on have not been called since the backends' states changed.
    uncalled: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    woken: Arc<Notify>,
}

/// Which waiter is to try for a place.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Call {
    /// None.
    #[default]
    None,
    /// The waiter with this ticket, which has not begun to try.
    Made(u64),
    /// The waiter with this ticket, which is now trying.
    Heard(u64),
}

impl Call {
    fn ticket(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Made(ticket) | Self::Heard(ticket) => Some(ticket),
        }
    }
}

impl Queue {
    /// To be called when a place has become free.
    pub(super) fn call_first(&self) {
        lock(&self.line).call_at(0);
    }

    /// To be called when backends' states have changed: there may be places, or nothing to wait for any more.
    pub fn call_all(&self) {
        self.changes.send_replace(());
        let mut line = lock(&self.line);
        line.uncalled = Some(0);
        line.call_at(0);
    }

    /// Changes whenever a backend may have changed its state.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.line).entries.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock(&self.line).entries.is_empty()
    }

    /// Whether a waiter is called and has not finished its try. If not, none of them could use a place that is free now.
    pub(super) fn is_calling(&self) -> bool {
        lock(&self.line).call != Call::None
    }

    /// Joins at the end; `None` where `most` wait already.
    pub(super) fn join(self: &Arc<Self>, most: usize) -> Option<Waiter> {
        let mut line = lock(&self.line);
        if line.entries.len() >= most {
            return None;
        }
        line.last_ticket += 1;
        let ticket = line.last_ticket;
        Some(self.enter(&mut line, ticket))
    }

    /// Takes the place of `ticket` again, for a session that was served and then failed by its backend. There is no bound, as
    /// it came before those behind that place.
    pub(super) fn rejoin(self: &Arc<Self>, ticket: u64) -> Waiter {
        self.enter(&mut lock(&self.line), ticket)
    }

    fn enter(self: &Arc<Self>, line: &mut Line, ticket: u64) -> Waiter {
        let woken = Arc::new(Notify::new());
        let own = line.index_from(ticket);
        let entry = Entry {
            ticket,
            woken: Arc::clone(&woken),
        };
        line.entries.insert(own, entry);
        // A place may have become free since it last tried, while no waiter was there, or none could use it.
        if line.call.ticket().is_none_or(|called| called > ticket) {
            line.call_at(own);
        }
        Waiter {
            queue: Arc::clone(self),
            ticket,
            woken,
        }
    }
}

impl Line {
    /// Calls the waiter at `index`, if there is one.
    fn call_at(&mut self, index: usize) {
        let Some(entry) = self.entries.get(index) else {
            self.call = Call::None;
            self.uncalled = None;
            return;
        };
        self.call = Call::Made(entry.ticket);
        entry.woken.notify_one();
    }

    /// The waiter with `ticket` has tried, or left. Calls the next one if `is_place_left`, or if that one is uncalled.
    fn call_after(&mut self, ticket: u64, is_place_left: bool) {
        if self.uncalled.is_some_and(|uncalled| uncalled <= ticket) {
            self.uncalled = Some(ticket + 1);
        }
        let next = if is_place_left {
            Some(ticket + 1)
        } else {
            self.uncalled
        };
        match next {
            Some(ticket) => self.call_at(self.index_from(ticket)),
            None => self.call = Call::None,
        }
    }

    /// The index of the first entry with this ticket or a later one.
    fn index_from(&self, ticket: u64) -> usize {
        self.entries.partition_point(|entry| entry.ticket < ticket)
    }
}

/// A place in the queue; given up on Drop.
#[derive(Debug)]
pub(super) struct Waiter {
    queue: Arc<Queue>,
    ticket: u64,
    woken: Arc<Notify>,
}

impl Waiter {
    /// Identifies its place in the queue.
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Waits until it is called. It has to try for a place then, and to [pass](Self::pass) or be dropped.
    pub(super) async fn called(&mut self) {
        while !self.hears() {
            self.woken.notified().await;
        }
    }

    /// Whether it is called; each call is heard once.
    fn hears(&mut self) -> bool {
        let mut line = lock(&self.queue.line);
        let is_called = line.call == Call::Made(self.ticket);
        if is_called {
            line.call = Call::Heard(self.ticket);
        }
        is_called
    }

    /// It found no place; whether there is one that another waiter may be able to use.
    pub(super) fn pass(&self, is_place_left: bool) {
        let mut line = lock(&self.queue.line);
        // Otherwise there was another call during the try, and that one counts.
        if line.call == Call::Heard(self.ticket) {
            line.call_after(self.ticket, is_place_left);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut line = lock(&self.queue.line);
        let own = line.index_from(self.ticket);
        line.entries.remove(own);
        if line.call.ticket() == Some(self.ticket) {
            line.call_after(self.ticket, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn is_woken(waiter: &mut Waiter) -> bool {
        let mut called = std::pin::pin!(waiter.called());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        called.as_mut().poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn calls_in_the_order_of_arrival() {
        let queue = Arc::new(Queue::default());
        let [mut first, mut second, mut third] = [(); 3].map(|()| queue.join(3).unwrap());
        assert!(queue.join(3).is_none());
        assert!(is_woken(&mut first), "the first one is called at once");
        assert!(!is_woken(&mut second));
        queue.call_all();
        assert!(is_woken(&mut first) && !is_woken(&mut second));
        first.pass(true);
        assert!(is_woken(&mut second) && !is_woken(&mut third));
        drop(first);
        assert!(!is_woken(&mut third), "the second is still trying");
        drop(second);
        assert!(is_woken(&mut third));
        drop(third);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_waiter_that_leaves_passes_its_call_on() {
        let queue = Arc::new(Queue::default());
        let [mut first, mut second] = [(); 2].map(|()| queue.join(9).unwrap());
        assert!(is_woken(&mut first));
        queue.call_all();
        drop(first);
        assert!(is_woken(&mut second));
    }

    #[test]
    fn a_change_calls_all_and_a_place_only_until_one_finds_none() {
        let queue = Arc::new(Queue::default());
        let [mut first, mut second, mut third] = [(); 3].map(|()| queue.join(9).unwrap());
        queue.call_all();
        for waiter in [&mut first, &mut second, &mut third] {
            assert!(is_woken(waiter));
            waiter.pass(false);
        }
        queue.call_first();
        assert!(is_woken(&mut first));
        first.pass(false);
        assert!(!is_woken(&mut second) && !queue.is_calling());
        queue.call_first();
        assert!(is_woken(&mut first) && queue.is_calling());
        drop(first);
        assert!(is_woken(&mut second), "there may be more places");
        second.pass(false);
        assert!(!is_woken(&mut third) && !queue.is_calling());
    }

    /// Waiters for one backend keep nobody from the places of another.
    #[test]
    fn a_newcomer_is_called_once_all_before_it_have_tried_in_vain() {
        let queue = Arc::new(Queue::default());
        assert!(!queue.is_calling(), "nobody waits");
        let mut first = queue.join(9).unwrap();
        assert!(queue.is_calling(), "it has not tried yet");
        assert!(is_woken(&mut first));
        first.pass(true);
        assert!(!queue.is_calling());
        let mut second = queue.join(9).unwrap();
        assert!(is_woken(&mut second));
        second.pass(true);
        queue.call_all();
        assert!(queue.is_calling(), "the first one is called");
        let mut third = queue.join(9).unwrap();
        for waiter in [&mut first, &mut second] {
            assert!(!is_woken(&mut third), "the others come before it");
            assert!(is_woken(waiter));
            waiter.pass(true);
        }
        assert!(is_woken(&mut third));
        third.pass(true);
        assert!(!queue.is_calling());
    }

    /// Otherwise newcomers would wait behind one that cannot use the free places.
    #[test]
    fn calls_nobody_once_all_behind_the_first_were_served() {
        let queue = Arc::new(Queue::default());
        let [mut first, mut second, mut third] = [(); 3].map(|()| queue.join(9).unwrap());
        queue.call_all();
        assert!(is_woken(&mut first));
        first.pass(true);
        assert!(is_woken(&mut second));
        drop(second);
        assert!(is_woken(&mut third));
        drop(third);
        assert!(!queue.is_calling());
    }

    #[test]
    fn a_waiter_that_rejoins_has_its_place_back() {
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
        queue.call_first();
        assert!(is_woken(&mut first));
        // It had tried before that call.
        second.pass(true);
        assert!(!is_woken(&mut third));
    }
}
