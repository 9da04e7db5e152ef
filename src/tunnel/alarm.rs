//! All deadlines of one tunnel behind one timer, which exists only while something is due.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// What a tunnel may have to do at a certain time. Of those due at one moment the first comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alarm {
    /// The deadline of a drain has come: cut.
    Cut,
    /// The end was asked for and has not come: cut, unless it is on its way.
    Close,
    /// A backend was let end first, and has not.
    Yield,
    /// The answer to a Close was awaited that stands for a side which broke, and has not come.
    LastAnswer,
    /// The moment in the drain's window has come.
    Drain,
    /// One side ended its sending half and the other did not follow.
    HalfClose,
    /// The session is as old as it may get.
    MaxAge,
    /// A side that was asked has not answered.
    Pong,
    /// Look whether a side broke that is not read from, because the other one takes no bytes.
    Broken,
    /// Look whether a side takes no bytes.
    Stall,
    /// Look whether data still passes.
    Idle,
    /// Ask whether a side is there.
    Ping,
    /// Add what was counted to the shared counters.
    Report,
}

impl Alarm {
    const ALL: [Self; 13] = [
        Self::Cut,
        Self::Close,
        Self::Yield,
        Self::LastAnswer,
        Self::Drain,
        Self::HalfClose,
        Self::MaxAge,
        Self::Pong,
        Self::Broken,
        Self::Stall,
        Self::Idle,
        Self::Ping,
        Self::Report,
    ];
}

/// The alarms of one tunnel. A tunnel that waits for nothing pays one pointer.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    armed: Option<Pin<Box<Armed>>>,
}

impl Alarms {
    /// Sets `alarm` to go off after `wait`, unless it is set to an earlier time.
    pub(super) fn set(&mut self, alarm: Alarm, wait: Duration) {
        self.set_at(alarm, Instant::now() + wait);
    }

    /// Sets `alarm` to `at`, unless it is set to an earlier time.
    pub(super) fn set_at(&mut self, alarm: Alarm, at: Instant) {
        let armed = self.armed.get_or_insert_with(|| Box::pin(Armed::new(at)));
        armed.as_mut().set_sooner(alarm, at);
    }

    /// Whether `alarm` is set.
    pub(super) fn is_set(&self, alarm: Alarm) -> bool {
        self.armed
            .as_ref()
            .is_some_and(|armed| armed.due[alarm as usize] != NEVER)
    }

    /// The next alarm that is due; it is no longer set then.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Alarm> {
        let Some(armed) = &mut self.armed else {
            return Poll::Pending;
        };
        let alarm = ready!(armed.as_mut().poll(context));
        if armed.next() == NEVER {
            self.armed = None;
        }
        Poll::Ready(alarm)
    }
}

/// What times are counted in: a quarter of the size of an instant lasts for two years then. No alarm is early,
/// and none later than this.
const TICK: Duration = Duration::from_millis(16);
/// A time that does not come.
const NEVER: u32 = u32::MAX;

pin_project_lite::pin_project! {
    #[derive(Debug)]
    struct Armed {
        // When the first alarm was set; the others are told from here.
        begun: Instant,
        // Ticks after `begun`.
        due: [u32; Alarm::ALL.len()],
        // Whether the timer knows the task that it is to wake.
        is_awaited: bool,
        #[pin]
        sleep: Sleep,
    }
}

impl Armed {
    fn new(at: Instant) -> Self {
        Self {
            begun: Instant::now(),
            due: [NEVER; Alarm::ALL.len()],
            is_awaited: false,
            sleep: sleep_until(at),
        }
    }

    fn set_sooner(mut self: Pin<&mut Self>, alarm: Alarm, at: Instant) {
        let after = at.saturating_duration_since(self.begun).as_nanos();
        let after = u32::try_from(after.div_ceil(TICK.as_nanos())).unwrap_or(NEVER - 1);
        if after < self.next() {
            *self.as_mut().project().is_awaited = false;
        }
        let due = &mut self.as_mut().project().due[alarm as usize];
        *due = after.min(*due);
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Alarm> {
        loop {
            // A tunnel is polled for every message; the timer is left alone until it has gone off.
            if self.is_awaited && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            let next = self.next();
            if next == NEVER {
                return Poll::Pending;
            }
            // Resetting the timer here, not in `set_at`, does it once a poll, and never in the poll that ends the tunnel.
            let at = self.begun + TICK * next;
            let mut this = self.as_mut().project();
            if this.sleep.deadline() != at {
                this.sleep.as_mut().reset(at);
            }
            *this.is_awaited = true;
            // Whatever the streams have spent of the task's budget: otherwise the timer would not know the
            // task, or a tunnel that is always busy would hear of no time.
            ready!(pin!(unconstrained(this.sleep)).poll(context));
            let now = self.begun.elapsed().as_nanos() / TICK.as_nanos();
            let is_due = |alarm: &Alarm| u128::from(self.due[*alarm as usize]) <= now;
            if let Some(alarm) = Alarm::ALL.into_iter().find(is_due) {
                let this = self.as_mut().project();
                this.due[alarm as usize] = NEVER;
                *this.is_awaited = false;
                return Poll::Ready(alarm);
            }
        }
    }

    fn next(&self) -> u32 {
        self.due.iter().copied().min().unwrap_or(NEVER)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::task::coop;
    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn alarms_come_in_the_order_of_their_times() {
        let mut alarms = Alarms::default();
        let now = Instant::now();
        alarms.set(Alarm::Cut, Duration::from_secs(3));
        alarms.set(Alarm::Report, Duration::from_secs(2));
        alarms.set(Alarm::Cut, Duration::from_secs(9));
        assert_eq!(poll_fn(|context| alarms.poll(context)).await, Alarm::Report);
        assert!(alarms.is_set(Alarm::Cut));
        assert_eq!(poll_fn(|context| alarms.poll(context)).await, Alarm::Cut);
        let late = now.elapsed() - Duration::from_secs(3);
        assert!(late <= TICK * 2, "{late:?}");
        assert!(alarms.armed.is_none(), "nothing is due, nothing is held");
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_at_one_moment_the_graver_comes_first() {
        let mut alarms = Alarms::default();
        alarms.set(Alarm::Report, Duration::from_secs(1));
        alarms.set(Alarm::Drain, Duration::from_secs(1));
        assert_eq!(poll_fn(|context| alarms.poll(context)).await, Alarm::Drain);
        assert_eq!(poll_fn(|context| alarms.poll(context)).await, Alarm::Report);
    }

    /// As a tunnel does whose sides always have something.
    fn spend_the_budget(context: &mut Context<'_>) {
        while let Poll::Ready(progress) = coop::poll_proceed(context) {
            progress.made_progress();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_loses_no_alarm() {
        let begun = Instant::now();
        let mut alarms = Alarms::default();
        alarms.set(Alarm::Report, Duration::from_secs(1));
        poll_fn(|context| {
            spend_the_budget(context);
            assert!(alarms.poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        let alarm = timeout(
            Duration::from_secs(2),
            poll_fn(|context| alarms.poll(context)),
        );
        assert_eq!(alarm.await, Ok(Alarm::Report));
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "woken by something else"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_delays_no_alarm() {
        let mut alarms = Alarms::default();
        alarms.set(Alarm::Drain, Duration::from_secs(1));
        advance(Duration::from_secs(2)).await;
        let alarm = poll_fn(|context| {
            spend_the_budget(context);
            Poll::Ready(alarms.poll(context))
        });
        assert_eq!(alarm.await, Poll::Ready(Alarm::Drain));
    }
}
