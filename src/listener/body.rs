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

/// Whether there is room for more of a body.
pub(super) trait Room {
    /// Whether the client has yet to take what was written. hyper asks again when it has.
    fn is_full(&self) -> bool;
}

/// A body with a guard that marks its connection, or HTTP/2 stream, as busy until it is sent or given up.
pub(super) struct BusyBody<B> {
    body: Body,
    /// Why it broke off; returned by the next poll.
    broken: Option<BodyError>,
    /// Whether there was no room at the last poll.
    was_full: bool,
    busy: B,
}

impl<B> BusyBody<B> {
    pub(super) fn new(body: Body, busy: B) -> Self {
        Self {
            body,
            broken: None,
            was_full: false,
            busy,
        }
    }
}

impl<B: Room + Unpin> hyper::body::Body for BusyBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        // hyper would take another 64 KiB on top of up to 32 KiB that wait.
        if self.busy.is_full() {
            self.was_full = true;
            return Poll::Pending;
        }
        // There is room since hyper flushed, in this turn. It would ask whether the body has ended and then not flush again, by
        // which it closes a connection whose end is that of the body.
        if std::mem::take(&mut self.was_full) {
            context.waker().wake_by_ref();
            return Poll::Pending;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::Waker;

    use hyper::body::Body as _;

    use super::*;

    impl Room for &Cell<bool> {
        fn is_full(&self) -> bool {
            self.get()
        }
    }

    #[test]
    fn a_body_waits_until_the_client_has_taken_what_was_written() {
        let is_full = Cell::new(true);
        let mut body = BusyBody::new(text("hi"), &is_full);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        is_full.set(false);
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
    }
}
