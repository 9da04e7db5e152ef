//! The timeouts of an HTTP/1.1 connection while no request is in progress.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::DRAIN_GRACE;
use super::deadline::{EXTENSION, is_late};
use super::pulse::Phase;
use crate::config::ListenerTimeouts;

/// What the timeouts depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionState {
    pub(super) phase: Phase,
    /// How many requests there have been.
    pub(super) requests: u32,
    /// Whether its listener is stopping.
    pub(super) is_draining: bool,
}

/// Runs while a head is awaited or the connection is idle; paused while a request is answered.
pub(super) struct HeadClock {
    timeouts: ListenerTimeouts,
    last: ConnectionState,
    sleep: Pin<Box<Sleep>>,
}

impl HeadClock {
    /// The clock of a connection that has been waiting for its first head since `since`.
    pub(super) fn new(timeouts: ListenerTimeouts, since: Instant) -> Self {
        let sleep = Box::pin(sleep_until(since + timeouts.request_header));
        Self {
            timeouts,
            last: ConnectionState {
                phase: Phase::Head,
                requests: 0,
                is_draining: false,
            },
            sleep,
        }
    }

    /// Ready when the connection has been in a phase for too long. To be polled whenever something changed.
    pub(super) fn poll(&mut self, now: ConnectionState, context: &mut Context<'_>) -> Poll<()> {
        let patience = match now.phase {
            Phase::Head if now.is_draining => self.timeouts.request_header.min(DRAIN_GRACE),
            Phase::Head => self.timeouts.request_header,
            Phase::Idle | Phase::Answered => self.timeouts.keep_alive,
            Phase::Busy => {
                self.last = now;
                return Poll::Pending;
            }
        };
        if now != self.last {
            self.last = now;
            self.sleep.as_mut().reset(Instant::now() + patience);
        }
        ready!(self.sleep.as_mut().poll(context));
        if is_late(self.sleep.deadline()) {
            self.sleep.as_mut().reset(Instant::now() + EXTENSION);
            return self.sleep.as_mut().poll(context);
        }
        Poll::Ready(())
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

    fn at(phase: Phase, requests: u32) -> ConnectionState {
        ConnectionState {
            phase,
            requests,
            is_draining: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_moment_more_when_the_listener_stops() {
        let mut clock = HeadClock::new(TIMEOUTS, Instant::now());
        let begun = Instant::now();
        let draining = ConnectionState {
            is_draining: true,
            ..at(Phase::Head, 0)
        };
        poll_fn(|context| clock.poll(draining, context)).await;
        assert_eq!(begun.elapsed(), DRAIN_GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_what_is_left_since_the_connection_came() {
        let since = Instant::now();
        tokio::time::sleep(Duration::from_secs(6)).await;
        let mut clock = HeadClock::new(TIMEOUTS, since);
        poll_fn(|context| clock.poll(at(Phase::Head, 0), context)).await;
        assert_eq!(since.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_moment_more_after_a_pause() {
        let mut clock = HeadClock::new(TIMEOUTS, Instant::now());
        tokio::time::advance(TIMEOUTS.request_header * 2).await;
        let resumed = Instant::now();
        poll_fn(|context| clock.poll(at(Phase::Head, 0), context)).await;
        assert_eq!(resumed.elapsed(), EXTENSION);
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_time_after_a_request() {
        let mut clock = HeadClock::new(TIMEOUTS, Instant::now());
        for (phase, patience) in [(Phase::Idle, 75), (Phase::Head, 10)] {
            let begun = Instant::now();
            let busy =
                poll_fn(|context| Poll::Ready(clock.poll(at(Phase::Busy, 1), context))).await;
            assert!(busy.is_pending());
            poll_fn(|context| clock.poll(at(phase, 1), context)).await;
            assert_eq!(begun.elapsed().as_secs(), patience);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_answered_between_two_looks_counts() {
        let mut clock = HeadClock::new(TIMEOUTS, Instant::now());
        for requests in 1..10 {
            let rests =
                poll_fn(|context| Poll::Ready(clock.poll(at(Phase::Idle, requests), context)));
            assert!(rests.await.is_pending());
            tokio::time::sleep(Duration::from_secs(50)).await;
        }
        poll_fn(|context| clock.poll(at(Phase::Idle, 9), context)).await;
    }
}
