//! All deadlines of a tunnel behind one timer, which exists only while a deadline is set.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The deadlines of a tunnel, by priority: of those that are due together, the first goes off first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alarm {
    /// The deadline of a drain: cut.
    Cut,
    /// The time for the end of both sides is over: cut, unless one is still taking bytes, or a frame may have more time.
    Close,
    /// A backend that may end its connection first has not.
    Yield,
    /// A side has not answered the Close that told it of the loss of the other.
    LastAnswer,
    /// The moment of this tunnel in the window of a drain.
    Drain,
    /// One side sent Close or ended, and the other has not followed.
    HalfClose,
    /// The session has reached its maximum age.
    MaxAge,
    /// Check for Pings without a Pong.
    Pong,
    /// Check whether a side broke that is not read from because the other one is full.
    Broken,
    /// Check whether a side takes no bytes.
    Stall,
    /// Check whether data still passes.
    Idle,
    /// Send a Ping.
    Ping,
    /// Add the counts to the shared counters.
    Report,
    /// Set the socket options of a session that lasts.
    Tune,
}

impl Alarm {
    const ALL: [Self; 14] = [
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
        Self::Tune,
    ];
}

/// The alarms of one tunnel. While none is set, this is one pointer.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    armed: Option<Pin<Box<Armed>>>,
}

impl Alarms {
    /// Sets `alarm` to go off after `wait`, unless it is set to go off earlier.
    pub(super) fn set(&mut self, alarm: Alarm, wait: Duration) {
        self.set_at(alarm, Instant::now() + wait);
    }

    /// Sets `alarm` to go off at `at`, unless it is set to go off earlier.
    pub(super) fn set_at(&mut self, alarm: Alarm, at: Instant) {
        let armed = self.armed.get_or_insert_with(|| Box::pin(Armed::new(at)));
        armed.as_mut().set_sooner(alarm, at);
    }

    /// Takes `alarm` back. The timer may go off for it all the same, without an alarm.
    pub(super) fn clear(&mut self, alarm: Alarm) {
        if let Some(armed) = &mut self.armed {
            armed.as_mut().project().due[alarm as usize] = NEVER;
        }
    }

    /// Whether `alarm` is set.
    pub(super) fn is_set(&self, alarm: Alarm) -> bool {
        self.armed
            .as_ref()
            .is_some_and(|armed| armed.due[alarm as usize] != NEVER)
    }

    /// Ready with the next alarm that is due, which is then no longer set.
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

/// The resolution of alarms. With it, 32 bits (a quarter of an `Instant`) last for two years. An alarm is never early, and
/// late by at most this.
const TICK: Duration = Duration::from_millis(16);
/// The time of an alarm that is not set.
const NEVER: u32 = u32::MAX;

pin_project_lite::pin_project! {
    #[derive(Debug)]
    struct Armed {
        // When the first alarm was set; all times count from here.
        begun: Instant,
        // Ticks after `begun`.
        due: [u32; Alarm::ALL.len()],
        // Whether the timer is set to the next deadline and was polled, so that it wakes the task.
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
            // A tunnel is polled for every message: do not poll the timer again until it has elapsed.
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
            // Not limited by the budget that the streams have used up: otherwise the timer would not register the task,
            // and a tunnel that is always busy would never see an alarm.
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
