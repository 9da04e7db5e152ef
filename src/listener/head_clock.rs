//! The deadlines of a connection outside of requests.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::pulse::Phase;
use crate::config::ListenerTimeouts;

/// Runs while a head is awaited or the connection rests; stands still while a request is answered.
pub(super) struct HeadClock {
    timeouts: ListenerTimeouts,
    phase: Phase,
    sleep: Pin<Box<Sleep>>,
}

impl HeadClock {
    /// The clock of a connection whose first head is awaited since then.
    pub(super) fn new(timeouts: ListenerTimeouts, since: Instant) -> Self {
        let sleep = Box::pin(sleep_until(since + timeouts.request_header));
        Self {
            timeouts,
            phase: Phase::Head,
            sleep,
        }
    }

    /// Ready when the connection has been in `phase` for too long. To be asked whenever something moved.
    pub(super) fn poll(&mut self, phase: Phase, context: &mut Context<'_>) -> Poll<()> {
        let patience = match phase {
            Phase::Head => self.timeouts.request_header,
            Phase::Idle | Phase::Answered => self.timeouts.keep_alive,
            Phase::Busy => {
                self.phase = phase;
                return Poll::Pending;
            }
        };
        if phase != self.phase {
            self.phase = phase;
            self.sleep.as_mut().reset(Instant::now() + patience);
        }
        self.sleep.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    const TIMEOUTS: ListenerTimeouts = ListenerTimeouts {
        request_header: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
    };

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_what_is_left_since_the_connection_came() {
        let since = Instant::now();
        tokio::time::sleep(Duration::from_secs(6)).await;
        let mut clock = HeadClock::new(TIMEOUTS, since);
        poll_fn(|context| clock.poll(Phase::Head, context)).await;
        assert_eq!(since.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_time_after_a_request() {
        let mut clock = HeadClock::new(TIMEOUTS, Instant::now());
        for (phase, patience) in [(Phase::Idle, 75), (Phase::Head, 10)] {
            let begun = Instant::now();
            let busy = poll_fn(|context| Poll::Ready(clock.poll(Phase::Busy, context))).await;
            assert!(busy.is_pending());
            poll_fn(|context| clock.poll(phase, context)).await;
            assert_eq!(begun.elapsed().as_secs(), patience);
        }
    }
}
