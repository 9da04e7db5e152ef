//! All deadlines of one tunnel behind one timer, which exists only while something is due.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// What a tunnel may have to do at a certain time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alarm {
    /// Add what was counted to the shared counters.
    Report,
    /// One side ended its sending half and the other did not follow.
    HalfClose,
    /// The moment in the drain's window has come.
    Drain,
    /// The end was asked for and has not come: cut.
    Cut,
}

impl Alarm {
    /// Every alarm; of those due at one moment the first comes first.
    const BY_RANK: [Self; 4] = [Self::Cut, Self::Drain, Self::HalfClose, Self::Report];
}

/// The alarms of one tunnel. An idle tunnel that waits for nothing pays one pointer.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    armed: Option<Pin<Box<Armed>>>,
}

impl Alarms {
    /// Sets `alarm` to `at`, unless it is set to an earlier time.
    pub(super) fn set_sooner(&mut self, alarm: Alarm, at: Instant) {
        let armed = self.armed.get_or_insert_with(|| Box::pin(Armed::new(at)));
        let sooner = armed.due[alarm as usize].map_or(at, |set| set.min(at));
        armed.as_mut().set(alarm, Some(sooner));
    }

    /// Whether `alarm` is set.
    pub(super) fn is_set(&self, alarm: Alarm) -> bool {
        self.armed
            .as_ref()
            .is_some_and(|armed| armed.due[alarm as usize].is_some())
    }

    /// The next alarm that is due; it is no longer set then.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Alarm> {
        let Some(armed) = &mut self.armed else {
            return Poll::Pending;
        };
        let alarm = ready!(armed.as_mut().poll(context));
        if armed.due.iter().all(Option::is_none) {
            self.armed = None;
        }
        Poll::Ready(alarm)
    }
}

pin_project_lite::pin_project! {
    #[derive(Debug)]
    struct Armed {
        due: [Option<Instant>; Alarm::BY_RANK.len()],
        #[pin]
        sleep: Sleep,
    }
}

impl Armed {
    fn new(at: Instant) -> Self {
        Self {
            due: [None; Alarm::BY_RANK.len()],
            sleep: sleep_until(at),
        }
    }

    fn set(mut self: Pin<&mut Self>, alarm: Alarm, at: Option<Instant>) {
        self.as_mut().project().due[alarm as usize] = at;
        if let Some(next) = self.next()
            && next != self.sleep.deadline()
        {
            self.project().sleep.reset(next);
        }
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Alarm> {
        loop {
            ready!(self.as_mut().project().sleep.poll(context));
            let now = Instant::now();
            let due = Alarm::BY_RANK
                .into_iter()
                .find(|alarm| self.due[*alarm as usize].is_some_and(|at| at <= now));
            if let Some(alarm) = due {
                self.as_mut().set(alarm, None);
                return Poll::Ready(alarm);
            }
            match self.next() {
                Some(next) => self.as_mut().project().sleep.reset(next),
                None => return Poll::Pending,
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn alarms_come_in_the_order_of_their_times() {
        let mut alarms = Alarms::default();
        let now = Instant::now();
        alarms.set_sooner(Alarm::Cut, now + Duration::from_secs(3));
        alarms.set_sooner(Alarm::Report, now + Duration::from_secs(2));
        alarms.set_sooner(Alarm::Cut, now + Duration::from_secs(9));
        assert_eq!(poll_fn(|context| alarms.poll(context)).await, Alarm::Report);
        assert!(alarms.is_set(Alarm::Cut));
        assert_eq!(poll_fn(|context| alarms.poll(context)).await, Alarm::Cut);
        assert_eq!(now.elapsed(), Duration::from_secs(3));
        assert!(alarms.armed.is_none(), "nothing is due, nothing is held");
    }
}
