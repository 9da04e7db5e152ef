//! The body of a backend's answer on its way to the client, and what is held until it has ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::headers::settle_trailers;
use crate::drain::{DrainWatch, Stage};
use crate::listener::BodyError;
use crate::telemetry::SessionRecord;
use crate::upstream::{Progress, Source};

/// The body of an answer. Dropped before its end it tells the backend, by closing the connection, that nobody
/// waits any more.
pub(super) struct Download {
    pub(super) body: Incoming,
    /// Until the body has ended.
    pub(super) source: Option<Source>,
    /// Hears when the route is removed.
    pub(super) route: DrainWatch,
    pub(super) upload: Arc<Progress>,
    pub(super) record: SessionRecord,
    pub(super) bytes: u64,
}

impl Download {
    /// Ends what has ended already: an answer without a body is never asked for one.
    pub(super) fn settled(mut self) -> Self {
        if self.body.is_end_stream() {
            self.end(true);
        }
        self
    }

    fn end(&mut self, is_whole: bool) {
        let Some(source) = self.source.take() else {
            return;
        };
        self.record.passed(self.upload.bytes(), self.bytes);
        self.record.end(is_whole);
        if is_whole {
            source.rest();
        }
    }

    /// Whether a drain has come to its deadline.
    fn poll_cut(&self, context: &mut Context<'_>) -> bool {
        let backend = self.source.as_ref().map(|source| &source.watch);
        let mut watches = backend.into_iter().chain([&self.route]);
        watches.any(|watch| watch.poll_beyond(Stage::Draining, context).is_ready())
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
            if !self.poll_cut(context) {
                return Poll::Pending;
            }
            self.end(false);
            let cut = io::Error::from(io::ErrorKind::ConnectionAborted);
            return Poll::Ready(Some(Err(cut.into())));
        };
        match &mut polled {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    settle_trailers(trailers);
                }
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.body.is_end_stream() {
                    self.end(true);
                }
            }
            Some(Err(_)) => self.end(false),
            None => self.end(true),
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
        self.record.passed(self.upload.bytes(), self.bytes);
    }
}
