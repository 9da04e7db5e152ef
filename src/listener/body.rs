//! The bodies of answers.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, SizeHint};

/// The body of an answer: text that is at hand, or bytes that stream from a backend.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body broke off; the client's connection, or its stream, breaks off too.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A body of text.
pub fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that keeps its connection, or its stream of one, busy until it has been sent or given up.
pub(super) struct BusyBody<B> {
    body: Body,
    /// Why it broke off; told at the next look.
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
            // hyper asks for the body before it sends the head, and drops the head where the body breaks off.
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
