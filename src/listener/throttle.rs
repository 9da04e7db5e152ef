//! Bounds on what is costly: TLS handshakes under way, and opening handshakes per second. Who is over a bound waits for a
//! moment, and is refused where too many wait already.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::ListenerLimits;
use crate::occupancy::Occupancy;

/// How long somebody waits at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// The bounds of a listener. It outlives reloads that leave the limits as they are.
#[derive(Debug)]
pub struct Throttle {
    tls: Option<Gate>,
    openings: Option<Pace>,
}

impl Throttle {
    /// What `limits` say.
    #[must_use]
    pub fn new(limits: &ListenerLimits) -> Self {
        Self {
            tls: limits.concurrent_tls_handshakes.map(Gate::new),
            openings: limits.handshakes_per_second.map(Pace::new),
        }
    }

    /// Lets a TLS handshake begin; it is under way until what this gives is dropped.
    ///
    /// # Errors
    /// When as many are under way as may be, and none ended in time.
    pub(super) async fn begin_tls(&self) -> Result<Option<SemaphorePermit<'_>>, Throttled> {
        match &self.tls {
            Some(gate) => gate.enter().await.map(Some),
            None => Ok(None),
        }
    }

    /// Lets an opening handshake pass.
    ///
    /// # Errors
    /// When its turn would come too late.
    pub(super) async fn pass_opening(&self) -> Result<(), Throttled> {
        match &self.openings {
            Some(pace) => pace.pass().await,
            None => Ok(()),
        }
    }
}

/// One too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Throttled;

/// So many at once; as many again wait for a place, in the order of coming.
#[derive(Debug)]
struct Gate {
    places: Semaphore,
    waiting: Arc<Occupancy>,
    most: usize,
}

impl Gate {
    fn new(most: NonZeroUsize) -> Self {
        Self {
            places: Semaphore::new(most.get()),
            waiting: Arc::default(),
            most: most.get(),
        }
    }

    async fn enter(&self) -> Result<SemaphorePermit<'_>, Throttled> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let _turn = self.waiting.take();
        // Taken first, so that two who come at once cannot both have the last place of the queue.
        if self.waiting.taken() > self.most {
            return Err(Throttled);
        }
        let place = timeout(PATIENCE, self.places.acquire()).await;
        place.ok().and_then(Result::ok).ok_or(Throttled)
    }
}

/// So many a second: each has a moment of its own, a tenth of a second's worth at once after a silence.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// How far moments may be ahead of the clock without anybody waiting.
    slack: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(per_second: NonZeroU32) -> Self {
        let interval = Duration::from_secs(1) / per_second.get();
        Self {
            interval,
            slack: interval * (per_second.get().div_ceil(10) - 1),
            next: Mutex::new(Instant::now()),
        }
    }

    async fn pass(&self) -> Result<(), Throttled> {
        let turn = self.take(Instant::now())?;
        sleep_until(turn).await;
        Ok(())
    }

    /// The moment of who comes `now`.
    fn take(&self, now: Instant) -> Result<Instant, Throttled> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let own = (*next).max(now);
        let turn = own.checked_sub(self.slack).unwrap_or(own).max(now);
        if turn > now + PATIENCE {
            return Err(Throttled);
        }
        *next = own + self.interval;
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

    /// The moments, in milliseconds from now, of so many who come at once.
    fn turns(pace: &Pace, count: usize) -> Vec<Option<u128>> {
        let now = Instant::now();
        let turn = |_| pace.take(now).ok().map(|turn| (turn - now).as_millis());
        (0..count).map(turn).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_its_moment_and_who_would_wait_too_long_has_none() {
        let pace = Pace::new(NonZeroU32::new(4).unwrap());
        let (moments, none) = ([0, 250, 500, 750, 1000].map(Some), None);
        assert_eq!(turns(&pace, 7), [&moments[..], &[none, none]].concat());
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(turns(&pace, 3), [Some(750), Some(1000), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenth_of_a_second_comes_at_once_after_a_silence() {
        let pace = Pace::new(NonZeroU32::new(40).unwrap());
        for _ in 0..2 {
            assert_eq!(turns(&pace, 6), [0, 0, 0, 0, 25, 50].map(Some));
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_than_it_may() {
        let pace = Pace::new(NonZeroU32::new(10).unwrap());
        let begun = Instant::now();
        let mut passed = 0;
        while begun.elapsed() < Duration::from_secs(10) {
            passed += u32::from(pace.pass().await.is_ok());
        }
        assert_eq!(passed, 101);
    }
}
