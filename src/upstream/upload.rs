//! The body of a request on its way to a backend: counted, limited, and held back until the backend asks for it where the client
//! expects 100 (Continue).

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::mutex::lock;
use crate::session::Rejection;

/// How long the body waits for 100 (Continue). A backend need not send it (RFC 9110 section 10.1.1).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// The body is not valid HTTP.
pub(super) const MALFORMED: Rejection = Rejection::BadRequest("The body is malformed.");

/// The body of a request; empty where the request has none.
pub(super) struct Upload {
    body: Option<Incoming>,
    /// The most bytes allowed.
    limit: u64,
    progress: Arc<BodyProgress>,
    /// Until it is ready nothing is read from the client; hyper sends 100 (Continue) to the client at the first read.
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// The progress of a body, for the task that waits for the answer.
#[derive(Debug, Default)]
pub struct BodyProgress {
    bytes: AtomicU64,
    stage: AtomicU8,
    /// When the last frame was passed on.
    moved: Mutex<Option<Instant>>,
}

/// The stage of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum BodyStage {
    /// Waiting for the backend to take what has been read; more may follow.
    Moving,
    /// Waiting for more from the client.
    Awaited,
    /// Passed on to its end.
    Whole,
    /// Larger than allowed.
    TooLarge,
    /// Malformed.
    Broken,
    /// The client left before its end.
    Forsaken,
}

/// Why a body did not reach its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// It is larger than allowed.
    #[error("the body is larger than it may be")]
    TooLarge,
    /// The client left, or broke it.
    #[error("the body did not arrive whole: {0}")]
    Incomplete(hyper::Error),
}

impl Upload {
    /// The body of a request, if it has one, of at most `limit` bytes.
    pub(super) fn new(
        body: Option<Incoming>,
        limit: Option<u64>,
        progress: &Arc<BodyProgress>,
    ) -> Self {
        if body.as_ref().is_none_or(is_read) {
            progress.enter(BodyStage::Whole);
        }
        Self {
            body,
            limit: limit.unwrap_or(u64::MAX),
            progress: Arc::clone(progress),
            gate: None,
        }
    }

    /// Holds it back until `asked` is notified, or for [`CONTINUE_PATIENCE`].
    pub(super) fn wait_for(&mut self, asked: Arc<Notify>) {
        self.gate = Some(Box::pin(async move {
            // After that time it is sent all the same.
            let _ = timeout(CONTINUE_PATIENCE, asked.notified()).await;
        }));
    }

    /// How far it has come.
    pub(super) fn progress(&self) -> Arc<BodyProgress> {
        Arc::clone(&self.progress)
    }

    /// Whether there is one.
    pub(super) fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Takes the body back, if nothing of it has been read.
    pub(super) fn into_body(self) -> Option<Incoming> {
        self.body
    }

    fn count(&self, frame: &Frame<Bytes>) -> Result<(), UploadError> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.progress.count(length) > self.limit {
            self.progress.enter(BodyStage::TooLarge);
            return Err(UploadError::TooLarge);
        }
        Ok(())
    }
}

impl BodyProgress {
    /// The progress of a request without a body.
    #[must_use]
    pub fn of_none() -> Arc<Self> {
        let progress = Self::default();
        progress.enter(BodyStage::Whole);
        Arc::new(progress)
    }

    /// Bytes passed on so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the body was passed on to its end, or there is none.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.stage() == BodyStage::Whole
    }

    /// What the client has done to it, if it ended before its end.
    #[must_use]
    pub fn fault(&self) -> Option<Rejection> {
        match self.stage() {
            BodyStage::TooLarge => Some(Rejection::BodyTooLarge),
            BodyStage::Broken => Some(MALFORMED),
            BodyStage::Forsaken => Some(Rejection::ClientGone),
            BodyStage::Moving | BodyStage::Awaited | BodyStage::Whole => None,
        }
    }

    pub(super) fn stage(&self) -> BodyStage {
        match self.stage.load(Ordering::Acquire) {
            0 => BodyStage::Moving,
            1 => BodyStage::Awaited,
            2 => BodyStage::Whole,
            3 => BodyStage::TooLarge,
            4 => BodyStage::Broken,
            _ => BodyStage::Forsaken,
        }
    }

    /// Waits until nothing has been passed on for `patience`, which begins at `since` or later.
    pub(super) async fn still_for(&self, since: Instant, patience: Duration) {
        let mut still_since = since;
        loop {
            sleep_until(still_since + patience).await;
            match self.moved() {
                Some(moved) if moved > still_since => still_since = moved,
                Some(_) | None => return,
            }
        }
    }

    /// Waits until less than `least` bytes have been passed on in a period of `patience` and the body is not complete.
    pub(super) async fn slow_for(&self, least: u64, patience: Duration) {
        let mut before = self.bytes();
        loop {
            sleep(patience).await;
            let bytes = self.bytes();
            if bytes - before < least && !self.is_whole() {
                return;
            }
            before = bytes;
        }
    }

    fn moved(&self) -> Option<Instant> {
        *lock(&self.moved)
    }

    /// Counts bytes that were passed on; returns the total.
    fn count(&self, bytes: u64) -> u64 {
        *lock(&self.moved) = Some(Instant::now());
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    fn enter(&self, stage: BodyStage) {
        self.stage.store(stage as u8, Ordering::Release);
    }
}

/// What an error of the client's connection makes of a body: hyper tells malformed chunks from a connection that ended.
fn stage_after(error: &hyper::Error) -> BodyStage {
    let error: Option<&io::Error> = error.source().and_then(|cause| cause.downcast_ref());
    match error.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => BodyStage::Broken,
        _ => BodyStage::Forsaken,
    }
}

/// Whether all of a body was read. Over HTTP/2 its end may still come, in a frame without bytes that hyper does not ask for
/// when it has the announced length.
fn is_read(body: &Incoming) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.as_mut().poll(context));
            self.gate = None;
        }
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let Poll::Ready(polled) = Pin::new(body).poll_frame(context) else {
            self.progress.enter(BodyStage::Awaited);
            return Poll::Pending;
        };
        Poll::Ready(match polled {
            Some(Ok(frame)) => Some(self.count(&frame).map(|()| {
                let stage = if frame.is_trailers() || self.body.as_ref().is_none_or(is_read) {
                    BodyStage::Whole
                } else {
                    BodyStage::Moving
                };
                self.progress.enter(stage);
                frame
            })),
            Some(Err(error)) => {
                self.progress.enter(stage_after(&error));
                Some(Err(UploadError::Incomplete(error)))
            }
            None => {
                self.progress.enter(BodyStage::Whole);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(Incoming::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Passes on `bytes` bytes at each of these seconds.
    fn trickle(progress: &Arc<BodyProgress>, bytes: u64, seconds: &[u64]) {
        let (progress, begun) = (Arc::clone(progress), Instant::now());
        let seconds = seconds.to_vec();
        tokio::spawn(async move {
            for second in seconds {
                sleep_until(begun + Duration::from_secs(second)).await;
                progress.count(bytes);
            }
        });
    }

    /// How long it takes until a body counts as stalled of which a byte comes at each of these seconds.
    async fn standstill(seconds: &[u64]) -> Duration {
        let (progress, begun) = (Arc::default(), Instant::now());
        trickle(&progress, 1, seconds);
        progress.still_for(begun, PATIENCE).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn stands_still_since_the_last_byte() {
        for (bytes, end) in [(&[][..], 10), (&[3], 13), (&[9, 15, 24], 34), (&[11], 10)] {
            assert_eq!(
                standstill(bytes).await,
                Duration::from_secs(end),
                "{bytes:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_from_the_attempt_where_that_is_later() {
        let progress = BodyProgress::default();
        progress.count(1);
        sleep(PATIENCE * 2).await;
        let begun = Instant::now();
        progress.still_for(begun, PATIENCE).await;
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn is_slow_until_it_is_whole() {
        let (progress, begun) = (Arc::default(), Instant::now());
        trickle(&progress, 20, &[1, 6, 11, 16, 21]);
        progress.slow_for(40, PATIENCE).await;
        assert_eq!(begun.elapsed(), PATIENCE * 3);
        progress.enter(BodyStage::Whole);
        let slow = timeout(PATIENCE * 9, progress.slow_for(40, PATIENCE)).await;
        assert!(slow.is_err());
    }
}
