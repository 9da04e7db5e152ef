//! The deadlines of a connection outside of requests.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep};

use super::pulse::Phase;
use crate::config::ListenerTimeouts;

/// Runs while a head is awaited or the connection rests; stands still while a request is answered.
pub(super) struct HeadClock {
    timeouts: ListenerTimeouts,
    phase: Phase,
    sleep: Pin<Box<Sleep>>,
}

impl HeadClock {
    pub(super) fn new(timeouts: ListenerTimeouts) -> Self {
        let sleep = Box::pin(sleep(timeouts.request_header));
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
