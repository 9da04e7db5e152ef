//! The timeouts of an HTTP/1.1 connection while no request is in progress.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::deadline::{EXTENSION, is_late};
use super::pulse::{Phase, Pulse};
use crate::config::ListenerTimeouts;

/// After this time without a request an idle connection gives its buffers back.
const REST_AFTER: Duration = Duration::from_secs(1);

/// What a [`HeadClock`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expiry {
    /// The connection has been idle for a while, but may stay.
    Rest,
    /// It has been in its phase for too long.
    Timeout,
}

/// What the timeouts depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionState {
    pub(super) phase: Phase,
    /// How many requests there have been.
    pub(super) requests: u32,
    /// How long it may stay idle from now on, if its listener is stopping.
    pub(super) grace: Option<Duration>,
}

impl ConnectionState {
    pub(super) fn of(pulse: &Pulse, grace: Option<Duration>) -> Self {
        Self {
            phase: pulse.phase(),
            requests: pulse.requests(),
            grace,
        }
    }
}

/// Runs while a head is awaited or the connection is idle; paused while a request is answered.
pub(super) struct HeadClock {
    timeouts: ListenerTimeouts,
    last: ConnectionState,
    timeout: Instant,
    /// Until the next alarm.
    sleep: Pin<Box<Sleep>>,
}

impl HeadClock {
    /// The clock of a connection that has been waiting for its first head since `since`.
    pub(super) fn new(timeouts: ListenerTimeouts, since: Instant) -> Self {
        let timeout = since + timeouts.request_header;
        Self {
            timeouts,
            timeout,
            last: ConnectionState {
                phase: Phase::Head,
                requests: 0,
                grace: None,
            },
            sleep: Box::pin(sleep_until(timeout)),
        }
    }

    /// Ready with the next alarm. To be polled whenever something changed.
    pub(super) fn poll(&mut self, now: ConnectionState, context: &mut Context<'_>) -> Poll<Expiry> {
        let patience = match now.phase {
            Phase::Head => self.timeouts.request_header,
            Phase::Idle => self.timeouts.keep_alive,
            // A client may be slow to take the end of an answer.
            Phase::Busy | Phase::Answered => {
                self.last = now;
                return Poll::Pending;
            }
        };
        let patience = now.grace.map_or(patience, |grace| grace.min(patience));
        if now != self.last {
            self.last = now;
            let begun = Instant::now();
            self.timeout = begun + patience;
            let next = match now.phase {
                Phase::Idle => self.timeout.min(begun + REST_AFTER),
                Phase::Head | Phase::Busy | Phase::Answered => self.timeout,
            };
            self.sleep.as_mut().reset(next);
        }
        ready!(self.sleep.as_mut().poll(context));
        if self.sleep.deadline() < self.timeout {
            self.sleep.as_mut().reset(self.timeout);
            return Poll::Ready(Expiry::Rest);
        }
        if is_late(self.sleep.deadline()) {
            self.sleep.as_mut().reset(Instant::now() + EXTENSION);
            ready!(self.sleep.as_mut().poll(context));
        }
        Poll::Ready(Expiry::Timeout)
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
            grace: None,
        }
    }

    async fn timed_out(clock: &mut HeadClock, state: ConnectionState) {
        let mut expiry = Expiry::Rest;
        while expiry == Expiry::Rest {
            expiry = poll_fn(|context| clock.poll(state, context)).await;
        }
    }

    /// Lets much time pass while a request is answered.
    async fn pause(clock: &mut HeadClock) {
        for phase in [Phase::Busy, Phase::Answered] {
            let polled = poll_fn(|context| Poll::Ready(clock.poll(at(phase, 1), context))).await;
            assert!(polled.is_pending());
            tokio::time::advance(TIMEOUTS.keep_alive * 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_head_has_a_moment_more_when_the_listener_stops() {
        for phase in [Phase::Head, Phase::Idle] {
            let mut clock = HeadClock::new(TIMEOUTS, Instant::now());
            let begun = Instant::now();
            let grace = Duration::from_secs(2);
            let draining = ConnectionState {
                grace: Some(grace),
                ..at(phase, 0)
            };
            timed_out(&mut clock, draining).await;
            assert_eq!(begun.elapsed(), grace);
        }
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
            pause(&mut clock).await;
            let begun = Instant::now();
            timed_out(&mut clock, at(phase, 1)).await;
            assert_eq!(begun.elapsed().as_secs(), patience);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_rests_once() {
        let mut clock = HeadClock::new(TIMEOUTS, Instant::now());
        let begun = Instant::now();
        for (expiry, after) in [
            (Expiry::Rest, REST_AFTER),
            (Expiry::Timeout, TIMEOUTS.keep_alive),
        ] {
            let told = poll_fn(|context| clock.poll(at(Phase::Idle, 1), context)).await;
            assert_eq!((told, begun.elapsed()), (expiry, after));
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
        timed_out(&mut clock, at(Phase::Idle, 9)).await;
    }
}
