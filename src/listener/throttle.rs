//! Limits on costly work: TLS handshakes under way, and opening handshakes per second. What exceeds a limit waits a moment in
//! a short queue, or is refused if the queue is full.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::ListenerLimits;
use crate::mutex::lock;
use crate::occupancy::Occupancy;

/// The longest wait in a queue.
const PATIENCE: Duration = Duration::from_secs(1);
/// The shortest time between two connections without a request that are logged.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The limits of a listener. It is kept across reloads, which adjust it: new limits hold for open connections, too.
#[derive(Debug)]
pub struct Throttle {
    tls: Mutex<Option<Arc<Gate>>>,
    openings: Pace,
    /// When the end of a connection without a request was last logged.
    told: Spaced,
}

impl Throttle {
    /// A throttle with these limits.
    #[must_use]
    pub fn new(limits: &ListenerLimits) -> Self {
        Self {
            tls: Mutex::new(gate(limits)),
            openings: Pace::new(limits.handshakes_per_second),
            told: Spaced::default(),
        }
    }

    /// Whether the end of a connection without a request is logged for operators: strangers can have as many as they like.
    pub(super) fn may_tell(&self) -> bool {
        self.told.pass()
    }

    /// Applies new limits. If the number of concurrent TLS handshakes changes, those under way are no longer counted.
    pub fn adjust(&self, limits: &ListenerLimits) {
        let mut tls = lock(&self.tls);
        let most = tls.as_ref().map(|gate| gate.most);
        if most != limits.concurrent_tls_handshakes {
            *tls = gate(limits);
        }
        self.openings.adjust(limits.handshakes_per_second);
    }

    /// Waits until a TLS handshake may begin. It is under way until the returned guard is dropped.
    ///
    /// # Errors
    /// If the limit is reached and no handshake ended in time.
    pub(super) async fn begin_tls(&self) -> Result<Option<OwnedSemaphorePermit>, Throttled> {
        let gate = lock(&self.tls).clone();
        match gate {
            Some(gate) => gate.enter().await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits until an opening handshake may go on.
    ///
    /// # Errors
    /// If its turn would come too late.
    pub(super) async fn pass_opening(&self) -> Result<(), Throttled> {
        self.openings.pass().await
    }
}

fn gate(limits: &ListenerLimits) -> Option<Arc<Gate>> {
    let most = limits.concurrent_tls_handshakes?;
    Some(Arc::new(Gate::new(most)))
}

/// The limit is exceeded, and the queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Throttled;

/// At most `most` at a time; as many again wait, in FIFO order.
#[derive(Debug)]
struct Gate {
    places: Arc<Semaphore>,
    waiting: Arc<Occupancy>,
    most: NonZeroUsize,
}

impl Gate {
    fn new(most: NonZeroUsize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(most.get())),
            waiting: Arc::default(),
            most,
        }
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, Throttled> {
        let places = || Arc::clone(&self.places);
        if let Ok(place) = places().try_acquire_owned() {
            return Ok(place);
        }
        let _turn = self.waiting.take();
        // Counted before the check, so that two tasks cannot both take the last place of the queue.
        if self.waiting.taken() > self.most.get() {
            return Err(Throttled);
        }
        let place = timeout(PATIENCE, places().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or(Throttled)
    }
}

/// Something that happens once in [`TELL_EVERY`], and when it last did.
#[derive(Default, Debug)]
struct Spaced(Mutex<Option<Instant>>);

impl Spaced {
    /// Whether it is time.
    fn pass(&self) -> bool {
        let (mut last, now) = (lock(&self.0), Instant::now());
        let is_time = last.is_none_or(|last| now.duration_since(last) >= TELL_EVERY);
        if is_time {
            *last = Some(now);
        }
        is_time
    }
}

/// A pace of handshakes per second: each has a time slot of its own. After a pause, the slots of a tenth of a second may be
/// used at once.
#[derive(Debug)]
struct Pace(Mutex<Beat>);

#[derive(Debug)]
struct Beat {
    /// `None` if there is no limit.
    per_second: Option<NonZeroU32>,
    /// The next free slot; it may be in the past. A changed limit does not move it.
    next: Instant,
}

impl Pace {
    fn new(per_second: Option<NonZeroU32>) -> Self {
        let next = Instant::now();
        Self(Mutex::new(Beat { per_second, next }))
    }

    fn adjust(&self, per_second: Option<NonZeroU32>) {
        lock(&self.0).per_second = per_second;
    }

    async fn pass(&self) -> Result<(), Throttled> {
        let now = Instant::now();
        let turn = lock(&self.0).take(now)?;
        if turn > now {
            sleep_until(turn).await;
        }
        Ok(())
    }
}

impl Beat {
    /// When one that arrives `now` may go on.
    fn take(&mut self, now: Instant) -> Result<Instant, Throttled> {
        let Some(per_second) = self.per_second else {
            return Ok(now);
        };
        let interval = Duration::from_secs(1) / per_second.get();
        // How far ahead of the clock slots may be used without waiting.
        let slack = interval * (per_second.get().div_ceil(10) - 1);
        let own = self.next.max(now);
        let turn = own.checked_sub(slack).unwrap_or(own).max(now);
        if turn > now + PATIENCE {
            return Err(Throttled);
        }
        self.next = own + interval;
        Ok(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn as_many_wait_as_may_be_under_way() {
        let gate = Gate::new(NonZeroUsize::new(2).unwrap());
        let first = gate.enter().await.unwrap();
        let _second = gate.enter().await.unwrap();
        let (third, fourth, fifth, ()) =
            tokio::join!(gate.enter(), gate.enter(), gate.enter(), async {
                tokio::task::yield_now().await;
                drop(first);
            });
        assert!(third.is_ok(), "it has the place that became free");
        assert_eq!(fourth.unwrap_err(), Throttled, "it waited in vain");
        assert_eq!(fifth.unwrap_err(), Throttled, "it found no place to wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_waited_for_only_so_long() {
        let gate = Gate::new(NonZeroUsize::MIN);
        let place = gate.enter().await.unwrap();
        let begun = Instant::now();
        assert_eq!(gate.enter().await.unwrap_err(), Throttled);
        assert_eq!(begun.elapsed(), PATIENCE);
        drop(place);
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn failed_handshakes_are_logged_now_and_then() {
        let told = Spaced::default();
        assert_eq!([(); 3].map(|()| told.pass()), [true, false, false]);
        tokio::time::advance(TELL_EVERY).await;
        assert_eq!([(); 2].map(|()| told.pass()), [true, false]);
    }

    /// The waits, in milliseconds, of `count` handshakes that arrive at once.
    fn turns(pace: &Pace, count: usize) -> Vec<Option<u128>> {
        let now = Instant::now();
        let take = || lock(&pace.0).take(now).ok();
        (0..count)
            .map(|_| take().map(|turn| (turn - now).as_millis()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_its_moment_and_who_would_wait_too_long_has_none() {
        let pace = Pace::new(NonZeroU32::new(4));
        let (moments, none) = ([0, 250, 500, 750, 1000].map(Some), None);
        assert_eq!(turns(&pace, 7), [&moments[..], &[none, none]].concat());
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(turns(&pace, 3), [Some(750), Some(1000), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenth_of_a_second_comes_at_once_after_a_silence() {
        let pace = Pace::new(NonZeroU32::new(40));
        for _ in 0..2 {
            assert_eq!(turns(&pace, 6), [0, 0, 0, 0, 25, 50].map(Some));
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_than_it_may() {
        let pace = Pace::new(NonZeroU32::new(10));
        let begun = Instant::now();
        let mut passed = 0;
        while begun.elapsed() < Duration::from_secs(10) {
            passed += u32::from(pace.pass().await.is_ok());
        }
        assert_eq!(passed, 101);
    }

    #[tokio::test(start_paused = true)]
    async fn another_number_holds_at_once_and_gives_nothing_anew() {
        let pace = Pace::new(NonZeroU32::new(2));
        assert_eq!(turns(&pace, 4), [Some(0), Some(500), Some(1000), None]);
        pace.adjust(NonZeroU32::new(4));
        assert_eq!(turns(&pace, 1), [None], "three have their moments already");
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(turns(&pace, 2), [Some(1000), None]);
        pace.adjust(None);
        assert_eq!(turns(&pace, 2), [Some(0), Some(0)]);
        tokio::time::advance(Duration::from_secs(2)).await;
        pace.adjust(NonZeroU32::new(2));
        assert_eq!(turns(&pace, 4), [Some(0), Some(500), Some(1000), None]);
    }
}
