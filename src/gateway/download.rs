//! The body of a backend's answer on its way to the client, and what is held until it ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::headers::filter_trailers;
use crate::config::FieldRules;
use crate::drain::{DrainWatch, Stage};
use crate::listener::BodyError;
use crate::mutex::lock;
use crate::telemetry::{AnswerEnd, SessionRecord};
use crate::upstream::{BodyProgress, Paced, Source};

/// The body of an answer. If it is dropped before its end, the connection to the backend is closed, which tells the backend
/// to stop.
pub(super) struct Download {
    body: Paced,
    shared: Arc<Shared>,
    /// The header rules of the route.
    rules: Option<Arc<FieldRules>>,
    watches_drains: bool,
    /// When a drain ends an endless answer in order; `None` for other answers.
    drain_moment: Option<DrainMoment>,
}

/// Ready when a drain ends an endless answer.
pub(super) type DrainMoment = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the body and the drains share. A drain at its deadline has to end the answer from outside: while the client reads
/// nothing, hyper does not poll the body.
struct Shared {
    exchange: Mutex<Option<Exchange>>,
    upload: Arc<BodyProgress>,
    bytes: AtomicU64,
}

/// The source and the record of an answer, held until it ends or a drain has come to its deadline.
pub(super) struct Exchange {
    source: Source,
    /// Tells when the route is drained or removed.
    route: DrainWatch,
    record: SessionRecord,
    /// Whether a drain counts it among what it waits for.
    is_counted: bool,
}

impl Exchange {
    /// What is held for an answer of `source`.
    pub(super) fn new(source: Source, route: DrainWatch, record: SessionRecord) -> Self {
        Self {
            source,
            route,
            record,
            is_counted: false,
        }
    }

    /// Whether a drain has come to its deadline; otherwise registers to be woken when a drain advances.
    fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        let watches = [&self.source.watch, &self.route];
        // Both drains wait for it, but only the first one that begins counts it.
        let asking = watches.iter().position(|it| it.stage() != Stage::Open);
        if let Some(place) = asking.filter(|_| !self.is_counted) {
            watches[1 - place].count_elsewhere();
            self.is_counted = true;
        }
        let mut watches = watches.into_iter();
        watches.any(|it| it.poll_beyond(Stage::BEFORE_CUT, context).is_ready())
    }
}

impl Download {
    /// Wraps `body`; `upload` is the progress of the request's body.
    pub(super) fn new(
        body: Incoming,
        exchange: Exchange,
        upload: Arc<BodyProgress>,
        rules: Option<Arc<FieldRules>>,
    ) -> Self {
        let body = exchange.source.pace(body, &upload);
        let shared = Arc::new(Shared {
            exchange: Mutex::new(Some(exchange)),
            upload,
            bytes: AtomicU64::new(0),
        });
        // hyper never polls an empty body.
        if body.is_end_stream() {
            shared.end(AnswerEnd::Whole);
        }
        Self {
            body,
            shared,
            rules,
            watches_drains: false,
            drain_moment: None,
        }
    }

    /// Ends the body in order when `drain_moment` is ready.
    pub(super) fn until(mut self, drain_moment: Option<DrainMoment>) -> Self {
        // With a length announced, an early end would be an error.
        self.drain_moment = drain_moment.filter(|_| self.body.size_hint().exact().is_none());
        self
    }

    /// Starts watching the drains; not sooner than needed, as most answers have ended by then.
    fn watch_drains(&mut self) {
        if !std::mem::replace(&mut self.watches_drains, true) {
            self.shared.watch_drains();
        }
    }
}

impl Shared {
    /// Notes how the answer ended. Only the first call counts. After `Drained` the body ends with an error, as the connection
    /// to the backend is dropped here.
    fn end(&self, end: AnswerEnd) {
        let Some(mut exchange) = self.take() else {
            return;
        };
        exchange.record.end(end);
        if end == AnswerEnd::Whole {
            exchange.source.finished();
        }
    }

    fn take(&self) -> Option<Exchange> {
        let mut exchange = lock(&self.exchange).take()?;
        let bytes = self.bytes.load(Ordering::Relaxed);
        exchange.record.note_bodies(self.upload.bytes(), bytes);
        Some(exchange)
    }

    /// Ends the answer if a drain has come to its deadline; otherwise registers to be woken by the drains.
    fn watch_drains(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        let mut exchange = lock(&self.exchange);
        let is_cut = exchange.as_mut().is_some_and(|it| it.is_cut(&mut context));
        drop(exchange);
        if is_cut {
            self.end(AnswerEnd::Drained);
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.watch_drains();
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(mut polled) = Pin::new(&mut self.body).poll_frame(context) else {
            self.watch_drains();
            return match &mut self.drain_moment {
                Some(drain_moment) => drain_moment.as_mut().poll(context).map(|()| {
                    self.shared.end(AnswerEnd::Drained);
                    None
                }),
                None => Poll::Pending,
            };
        };
        match &mut polled {
            Some(Ok(frame)) => {
                let are_trailers = frame.is_trailers();
                if let Some(trailers) = frame.trailers_mut() {
                    filter_trailers(self.rules.as_deref(), trailers);
                }
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
                // Nothing follows trailers, and hyper does not ask for more.
                if are_trailers || self.body.is_end_stream() {
                    self.shared.end(AnswerEnd::Whole);
                } else {
                    self.watch_drains();
                }
            }
            Some(Err(_)) => {
                // A body that does not reach its end ends the connection to the backend, and so the answer.
                let fault = self.shared.upload.fault();
                let end = fault.map_or(AnswerEnd::Broken, AnswerEnd::Refused);
                self.shared.end(end);
            }
            None => self.shared.end(AnswerEnd::Whole),
        }
        Poll::Ready(polled.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // The drains hold it by their wakers, and it holds watches of them: taking those out breaks the cycle.
        drop(self.shared.take());
    }
}
