//! The streams of one connection: how many are open, since when none is, and how many the client took back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::config::ListenerTimeouts;

/// How many more streams than it let be answered a client may take back before their answers: so many are a
/// page that was left, but a stream of them costs only the gateway and its backends (CVE-2023-44487).
pub(super) const ABANDONED: usize = 200;

/// What is open on a connection.
#[derive(Debug)]
pub(super) struct Streams {
    state: Mutex<State>,
    changed: Notify,
    /// How many more streams than it let be answered the client may take back.
    most_abandoned: usize,
}

#[derive(Debug)]
struct State {
    open: usize,
    has_begun: bool,
    quiet_since: Instant,
    abandoned: usize,
}

/// Why a connection is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing is open, for too long.
    Rests,
    /// Streams are begun only to be taken back.
    Floods,
}

impl Streams {
    /// Those of a connection whose first stream is awaited since then, and whose client may take back `most_abandoned`
    /// more than it let be answered.
    pub(super) fn new(since: Instant, most_abandoned: usize) -> Arc<Self> {
        let state = State {
            open: 0,
            has_begun: false,
            quiet_since: since,
            abandoned: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            most_abandoned,
        })
    }

    /// A stream is open until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Arc<OpenStream> {
        let mut state = self.state();
        state.open += 1;
        let is_first = !std::mem::replace(&mut state.has_begun, true);
        drop(state);
        if is_first {
            // From now on another time counts.
            self.changed.notify_one();
        }
        Arc::new(OpenStream {
            streams: Arc::clone(self),
            is_answered: AtomicBool::new(false),
        })
    }

    /// Waits until the connection has to end.
    pub(super) async fn verdict(&self, timeouts: &ListenerTimeouts) -> Verdict {
        loop {
            let changed = self.changed.notified();
            let (has_begun, is_flooded) = {
                let state = self.state();
                (state.has_begun, state.abandoned > self.most_abandoned)
            };
            if is_flooded {
                return Verdict::Floods;
            }
            let patience = if has_begun {
                timeouts.keep_alive
            } else {
                timeouts.request_header
            };
            tokio::select! {
                () = self.quiet_for(patience) => return Verdict::Rests,
                () = changed => {}
            }
        }
    }

    /// The client is told to leave: however long it has rested, it needs time to hear that.
    pub(super) fn told(&self) {
        self.state().quiet_since = Instant::now();
    }

    /// Waits until nothing has been open for `patience`.
    pub(super) async fn quiet_for(&self, patience: Duration) {
        loop {
            let now = Instant::now();
            // While something is open this is looked at again when nothing could be for long enough.
            let until = match self.quiet_since() {
                Some(since) if since + patience <= now => return,
                Some(since) => since + patience,
                None => now + patience,
            };
            sleep_until(until).await;
        }
    }

    fn quiet_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.open == 0).then_some(state.quiet_since)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open stream; dropped when its answer, or the session that it became, has ended.
#[derive(Debug)]
pub(super) struct OpenStream {
    streams: Arc<Streams>,
    is_answered: AtomicBool,
}

impl OpenStream {
    /// There is an answer; from now on the client may leave without a fault.
    pub(super) fn answered(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let is_answered = *self.is_answered.get_mut();
        let mut state = self.streams.state();
        state.open -= 1;
        state.quiet_since = Instant::now();
        state.abandoned = if is_answered {
            state.abandoned.saturating_sub(1)
        } else {
            state.abandoned + 1
        };
        let is_flooded = state.abandoned > self.streams.most_abandoned;
        drop(state);
        if is_flooded {
            self.streams.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts() -> ListenerTimeouts {
        ListenerTimeouts {
            request_header: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_first_stream_as_for_a_head() {
        let begun = Instant::now();
        let streams = Streams::new(Instant::now(), ABANDONED);
        assert_eq!(streams.verdict(&timeouts()).await, Verdict::Rests);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn never_ends_while_something_is_open() {
        let streams = Streams::new(Instant::now(), ABANDONED);
        let rests = Arc::clone(&streams);
        let rests = tokio::spawn(async move { rests.verdict(&timeouts()).await });
        tokio::task::yield_now().await;
        let stream = streams.begin();
        let (begun, keep_alive) = (Instant::now(), Duration::from_secs(75));
        tokio::time::sleep(keep_alive * 3).await;
        assert!(!rests.is_finished());
        drop(stream);
        assert_eq!(rests.await.unwrap(), Verdict::Rests);
        assert!(begun.elapsed() >= keep_alive * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn takes_streams_that_are_only_taken_back_for_a_flood() {
        let streams = Streams::new(Instant::now(), ABANDONED);
        for _ in 0..ABANDONED * 2 {
            drop(streams.begin());
            streams.begin().answered();
        }
        let patient = Arc::clone(&streams);
        let patient = tokio::spawn(async move { patient.verdict(&timeouts()).await });
        tokio::task::yield_now().await;
        assert!(!patient.is_finished());
        for _ in 0..=ABANDONED {
            drop(streams.begin());
        }
        assert_eq!(patient.await.unwrap(), Verdict::Floods);
    }
}
