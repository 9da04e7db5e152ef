//! The body of a backend's answer on its way to the client, and what is shared until it has ended.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::headers::filter_trailers;
use crate::config::FieldRules;
use crate::drain::{DrainWatch, Stage};
use crate::listener::BodyError;
use crate::telemetry::{AnswerEnd, SessionRecord};
use crate::upstream::{BodyProgress, Source};

/// The body of an answer. Dropped before its end it tells the backend, by closing the connection, that nobody
/// waits any more.
pub(super) struct Download {
    body: Incoming,
    shared: Arc<Shared>,
    /// What the route says of fields.
    rules: Option<Arc<FieldRules>>,
    watches_drains: bool,
    /// When it is to end though it has no end of its own; none where it has one.
    drain_moment: Option<DrainMoment>,
}

/// When an answer is to end that has no end of its own.
pub(super) type DrainMoment = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is shared until the answer has ended, or a drain has come to its deadline. A drain ends it from outside: while the
/// client takes nothing, nobody asks for more of the body.
struct Shared {
    exchange: Mutex<Option<Exchange>>,
    upload: Arc<BodyProgress>,
    bytes: AtomicU64,
}

/// Where an answer comes from, and who hears how it ended.
pub(super) struct Exchange {
    source: Source,
    /// Hears when the route is drained or removed.
    route: DrainWatch,
    record: SessionRecord,
    /// Whether a drain counts it among what is to end.
    is_counted: bool,
}

impl Exchange {
    /// What is shared for an answer of `source`.
    pub(super) fn new(source: Source, route: DrainWatch, record: SessionRecord) -> Self {
        Self {
            source,
            route,
            record,
            is_counted: false,
        }
    }

    /// Whether a drain has come to its deadline; otherwise the task is woken by the next one that goes on.
    fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        let watches = [&self.source.watch, &self.route];
        // The first that asks counts it, and both wait for it.
        let asking = watches.iter().position(|it| it.stage() != Stage::Open);
        if let Some(place) = asking.filter(|_| !self.is_counted) {
            watches[1 - place].count_elsewhere();
            self.is_counted = true;
        }
        let mut watches = watches.into_iter();
        watches.any(|it| it.poll_beyond(Stage::Draining, context).is_ready())
    }
}

impl Download {
    /// The body, what is shared for it, how far that of the request has come, and what the route says of fields.
    pub(super) fn new(
        body: Incoming,
        exchange: Exchange,
        upload: Arc<BodyProgress>,
        rules: Option<Arc<FieldRules>>,
    ) -> Self {
        let shared = Arc::new(Shared {
            exchange: Mutex::new(Some(exchange)),
            upload,
            bytes: AtomicU64::new(0),
        });
        // An answer without a body is never asked for one.
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

    /// Ends in order when `drain_moment` is ready.
    pub(super) fn until(mut self, drain_moment: Option<DrainMoment>) -> Self {
        // Where a length was announced, an end before it is none in order.
        self.drain_moment = drain_moment.filter(|_| self.body.size_hint().exact().is_none());
        self
    }

    /// From now on drains are heard: most answers have ended before that is due.
    fn watch_drains(&mut self) {
        if !std::mem::replace(&mut self.watches_drains, true) {
            self.shared.watch_drains();
        }
    }
}

impl Shared {
    /// The answer has ended. The first end stands; where that is a drain's, the body ends by an error, as its connection
    /// is given up.
    fn end(&self, end: AnswerEnd) {
        let Some(mut exchange) = self.take() else {
            return;
        };
        exchange.record.end(end);
        if end == AnswerEnd::Whole {
            exchange.source.rest();
        }
    }

    fn take(&self) -> Option<Exchange> {
        let mut exchange = self.exchange().take()?;
        let bytes = self.bytes.load(Ordering::Relaxed);
        exchange.record.note_bodies(self.upload.bytes(), bytes);
        Some(exchange)
    }

    /// Ends the answer if a drain has come to its deadline; otherwise waits to be woken by one.
    fn watch_drains(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        let mut exchange = self.exchange();
        let is_cut = exchange.as_mut().is_some_and(|it| it.is_cut(&mut context));
        drop(exchange);
        if is_cut {
            self.end(AnswerEnd::Drained);
        }
    }

    fn exchange(&self) -> MutexGuard<'_, Option<Exchange>> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
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
                if let Some(trailers) = frame.trailers_mut() {
                    filter_trailers(self.rules.as_deref(), trailers);
                }
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
                if self.body.is_end_stream() {
                    self.shared.end(AnswerEnd::Whole);
                } else {
                    self.watch_drains();
                }
            }
            Some(Err(_)) => self.shared.end(AnswerEnd::Broken),
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
        // The drains know it by their wakers; it is not to know itself.
        drop(self.shared.take());
    }
}
