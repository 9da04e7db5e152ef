//! Bodies of answers.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, SizeHint};

/// The body of an answer: text, or a stream from a backend.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body broke off. The client's connection, or its HTTP/2 stream, is then broken off as well.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A body of text.
pub fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body with a guard that marks its connection, or HTTP/2 stream, as busy until it is sent or given up.
pub(super) struct BusyBody<B> {
    body: Body,
    /// Why it broke off; returned by the next poll.
    broken: Option<BodyError>,
    _busy: B,
}

impl<B> BusyBody<B> {
    pub(super) fn new(body: Body, busy: B) -> Self {
        Self {
            body,
            broken: None,
            _busy: busy,
        }
    }
}

impl<B: Unpin> hyper::body::Body for BusyBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            // hyper polls the body before it writes the head, and drops the head if the body fails at once. Returning the
            // error one poll later lets the head out.
            Poll::Ready(Some(Err(error))) => {
                self.broken = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
