//! The streams of one connection: how many are open, since when it is idle, and whether its client floods the gateway.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::body::Room;
use super::super::deadline::reached;
use crate::config::ListenerTimeouts;
use crate::mutex::lock;

/// How many streams a client may reset before their answers, at once, beyond those whose answers it took: leaving a page may
/// reset this many at once, but a flood of resets only costs the gateway and its backends (CVE-2023-44487). SETTINGS frames
/// count as resets, as a flood of them costs much, too (CVE-2019-9515).
pub(super) const MAX_CHARGED: u32 = 200;
/// How long a client may take the end of its last answers after GOAWAY.
pub(super) const LONGEST_END: Duration = Duration::from_secs(30);
/// The shortest time between two looks whether a connection is quiet.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
/// One reset is forgotten after each interval, as a page that cancels a request now and then may do so for days.
const FORGET_INTERVAL: Duration = Duration::from_millis(50);

/// The streams of a connection.
#[derive(Debug)]
pub(super) struct Streams {
    state: Mutex<State>,
    changed: Notify,
    /// Whether an answer has begun and not ended, or the client does not take what is sent.
    is_sending: AtomicBool,
    /// How much may be charged at once; `None` for trusted proxies.
    most_charged: Option<u32>,
}

#[derive(Debug)]
struct State {
    open: usize,
    has_begun: bool,
    quiet_since: Instant,
    /// When the last charge will be forgotten; each adds an interval, each answer takes one off.
    all_forgotten_at: Instant,
    is_flooded: bool,
}

/// Why a connection is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing has been open for too long.
    Idle,
    /// The client resets too many streams, or sends too many SETTINGS frames.
    Flooded,
}

impl Streams {
    /// For a connection that waits for its first stream since `since`, and whose client may be charged `most_charged` at once.
    pub(super) fn new(since: Instant, most_charged: Option<u32>) -> Arc<Self> {
        let state = State {
            open: 0,
            has_begun: false,
            quiet_since: since,
            all_forgotten_at: since,
            is_flooded: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            is_sending: AtomicBool::new(false),
            most_charged,
        })
    }

    /// Counts a stream as open until the guard is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Arc<OpenStream> {
        let mut state = lock(&self.state);
        state.open += 1;
        let is_first = !std::mem::replace(&mut state.has_begun, true);
        drop(state);
        if is_first {
            // The timeout is `keep_alive` from now on.
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
                let state = lock(&self.state);
                (state.has_begun, state.is_flooded)
            };
            if is_flooded {
                return Verdict::Flooded;
            }
            let patience = if has_begun {
                timeouts.keep_alive
            } else {
                timeouts.request_header
            };
            tokio::select! {
                () = self.quiet_for(patience, patience) => return Verdict::Idle,
                () = changed => {}
            }
        }
    }

    /// The client was told to leave: forgets its charges, and its time begins anew.
    pub(super) fn forgive(&self) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.quiet_since = now;
        state.all_forgotten_at = now;
        state.is_flooded = false;
    }

    /// Counts `count` streams that the client reset, or SETTINGS frames: they cost the gateway much and bring the client
    /// nothing.
    pub(super) fn charge(&self, count: u32) {
        let Some(most) = self.most_charged else {
            return;
        };
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.all_forgotten_at = state.all_forgotten_at.max(now) + FORGET_INTERVAL * count;
        if state.all_forgotten_at > now + FORGET_INTERVAL * most {
            state.is_flooded = true;
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits until the client is charged too much.
    pub(super) async fn flooded(&self) {
        loop {
            let changed = self.changed.notified();
            if lock(&self.state).is_flooded {
                return;
            }
            changed.await;
        }
    }

    /// Waits until nothing has been open for `patience`, or for `longest` while the client still has to take an answer.
    pub(super) async fn quiet_for(&self, patience: Duration, longest: Duration) {
        loop {
            let now = Instant::now();
            let needed = if self.is_sending() { longest } else { patience };
            // The earliest moment at which it may be true, whatever ends meanwhile.
            let earliest = now + patience.max(SHORTEST_LOOK);
            let until = match self.quiet_since() {
                Some(since) if since + needed <= now => return,
                Some(since) => earliest.min(since + needed),
                None => earliest,
            };
            reached(until).await;
        }
    }

    /// Whether an answer has begun and not ended, or the client does not take what is sent. Streams may be open all the same.
    pub(super) fn is_sending(&self) -> bool {
        self.is_sending.load(Ordering::Relaxed)
    }

    pub(super) fn set_sending(&self, is_sending: bool) {
        self.is_sending.store(is_sending, Ordering::Relaxed);
    }

    fn quiet_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (state.open == 0).then_some(state.quiet_since)
    }
}

/// An open stream; dropped when its answer, or its session, has ended.
#[derive(Debug)]
pub(super) struct OpenStream {
    streams: Arc<Streams>,
    is_answered: AtomicBool,
}

impl OpenStream {
    /// There is an answer; a reset from now on is no longer counted.
    pub(super) fn answered(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }
}

impl Room for Arc<OpenStream> {
    /// hyper heeds the window of the stream and its own limit.
    fn is_full(&self) -> bool {
        false
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let is_answered = *self.is_answered.get_mut();
        let now = Instant::now();
        let mut state = lock(&self.streams.state);
        state.open -= 1;
        state.quiet_since = now;
        if is_answered {
            state.all_forgotten_at = state.all_forgotten_at.max(now) - FORGET_INTERVAL;
        } else {
            drop(state);
            self.streams.charge(1);
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
        let streams = Streams::new(Instant::now(), Some(MAX_CHARGED));
        assert_eq!(streams.verdict(&timeouts()).await, Verdict::Idle);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn never_ends_while_something_is_open() {
        let streams = Streams::new(Instant::now(), Some(MAX_CHARGED));
        let rests = Arc::clone(&streams);
        let rests = tokio::spawn(async move { rests.verdict(&timeouts()).await });
        tokio::task::yield_now().await;
        let stream = streams.open();
        let (begun, keep_alive) = (Instant::now(), Duration::from_secs(75));
        tokio::time::sleep(keep_alive * 3).await;
        assert!(!rests.is_finished());
        drop(stream);
        assert_eq!(rests.await.unwrap(), Verdict::Idle);
        assert!(begun.elapsed() >= keep_alive * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn takes_streams_that_are_only_taken_back_for_a_flood() {
        let streams = Streams::new(Instant::now(), Some(MAX_CHARGED));
        for _ in 0..MAX_CHARGED * 2 {
            drop(streams.open());
            streams.open().answered();
        }
        expect_patience(&streams).await;
        take_back(&streams, MAX_CHARGED + 1);
        assert_eq!(streams.verdict(&timeouts()).await, Verdict::Flooded);
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_with_time_what_was_taken_back() {
        let streams = Streams::new(Instant::now(), Some(MAX_CHARGED));
        for _ in 0..MAX_CHARGED {
            take_back(&streams, 12);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        expect_patience(&streams).await;
        take_back(&streams, MAX_CHARGED);
        expect_patience(&streams).await;
        take_back(&streams, 1);
        streams.flooded().await;
    }

    #[tokio::test(start_paused = true)]
    async fn ends_who_was_told_and_goes_on() {
        let streams = Streams::new(Instant::now(), Some(MAX_CHARGED));
        take_back(&streams, MAX_CHARGED + 1);
        streams.flooded().await;
        streams.forgive();
        expect_patience(&streams).await;
        take_back(&streams, MAX_CHARGED + 1);
        streams.flooded().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_still_takes_an_answer_may_take_longer_to_leave() {
        let grace = Duration::from_secs(2);
        for (is_sending, expected) in [(false, grace), (true, LONGEST_END)] {
            let streams = Streams::new(Instant::now(), Some(MAX_CHARGED));
            streams.open().answered();
            streams.set_sending(is_sending);
            streams.forgive();
            let told = Instant::now();
            streams.quiet_for(grace, LONGEST_END).await;
            assert_eq!(told.elapsed().as_secs(), expected.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn its_time_is_over_soon_after_the_end_of_the_answer() {
        let streams = Streams::new(Instant::now(), Some(MAX_CHARGED));
        streams.set_sending(true);
        streams.forgive();
        let told = Instant::now();
        let grace = Duration::from_secs(2);
        let taken = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            streams.set_sending(false);
        };
        tokio::join!(streams.quiet_for(grace, LONGEST_END), taken);
        assert_eq!(told.elapsed().as_secs(), 10);
    }

    /// So many streams are taken back at once.
    fn take_back(streams: &Arc<Streams>, count: u32) {
        for _ in 0..count {
            drop(streams.open());
        }
    }

    async fn expect_patience(streams: &Streams) {
        let flooded = tokio::time::timeout(Duration::ZERO, streams.flooded());
        assert!(flooded.await.is_err(), "it is taken for a flood");
    }
}
