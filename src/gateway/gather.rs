//! Small frames of a body that arrive together are passed on together.
//!
//! hyper hands over the body of an answer chunk by chunk, and writes each to the client by itself: a packet, a TLS record
//! or an HTTP/2 frame each. Many backends stream in small chunks (tokens of language models, rows of an export).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};

/// A frame of at least this many bytes is not copied to be gathered.
const LARGE: usize = 8 * 1024;
/// From this many bytes on, what was gathered is passed on.
const ENOUGH: usize = 16 * 1024;

/// A body whose small frames are gathered. A frame waits for a turn of the other tasks, in which the connection to the
/// backend hands over the next one if that has been received; never for bytes that are still to come. The body is polled again
/// before that turn, as the connection is held back until then (see `Paced`). The first frame does not wait, as it may leave
/// together with the head.
pub(super) struct Gathered<B: Body> {
    body: B,
    /// Small frames that have not been passed on.
    bytes: BytesMut,
    /// What came behind them and could not be added to them.
    next: Option<Polled<B>>,
    has_begun: bool,
    /// Whether the body had nothing when hyper polled after the last small frame. hyper may poll twice in one turn, so only the
    /// second time means that nothing more has been received.
    has_waited: bool,
}

/// What a body returns when it is polled; `None` at its end.
type Polled<B> = Option<Result<Frame<Bytes>, <B as Body>::Error>>;

impl<B: Body<Data = Bytes> + Unpin> Gathered<B> {
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            bytes: BytesMut::new(),
            next: None,
            has_begun: false,
            has_waited: false,
        }
    }

    /// Takes a frame; ready with what is to be passed on now.
    fn gather(&mut self, polled: Polled<B>) -> Poll<Polled<B>> {
        let data = match &polled {
            Some(Ok(frame)) => frame.data_ref().filter(|data| data.len() < LARGE),
            Some(Err(_)) | None => None,
        };
        let is_last = self.body.is_end_stream();
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        match data {
            Some(data) if !self.bytes.is_empty() || !is_first && !is_last => {
                self.bytes.extend_from_slice(data);
                match is_last || self.bytes.len() >= ENOUGH {
                    true => Poll::Ready(self.take()),
                    false => Poll::Pending,
                }
            }
            Some(_) | None if self.bytes.is_empty() => Poll::Ready(polled),
            Some(_) | None => {
                self.next = Some(polled);
                Poll::Ready(self.take())
            }
        }
    }

    fn take(&mut self) -> Polled<B> {
        Some(Ok(Frame::data(self.bytes.split().freeze())))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Gathered<B>
where
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        let mut has_kept = false;
        while let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(context) {
            if let Poll::Ready(gathered) = self.gather(polled) {
                self.has_waited = false;
                return Poll::Ready(gathered);
            }
            has_kept = true;
        }
        if self.bytes.is_empty() {
            return Poll::Pending;
        }
        if self.has_waited && !has_kept {
            return Poll::Ready(self.take());
        }
        self.has_waited = !has_kept;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.next.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_begun {
            // hyper asks for it to write the head only.
            return SizeHint::default();
        }
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::task::Waker;

    use http::HeaderMap;

    use super::*;

    /// Returns one entry a poll; `None` is Pending.
    struct Script(VecDeque<Option<Result<Frame<Bytes>, io::Error>>>);

    impl Body for Script {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            match self.0.pop_front() {
                Some(None) => Poll::Pending,
                Some(polled) => Poll::Ready(polled),
                None => Poll::Ready(None),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    /// What the polls of a gathered body return, `.` for Pending.
    fn polls(script: impl IntoIterator<Item = Option<Result<Frame<Bytes>, io::Error>>>) -> String {
        let mut body = Gathered::new(Script(script.into_iter().collect()));
        let mut context = Context::from_waker(Waker::noop());
        let mut told = Vec::new();
        while !body.is_end_stream() {
            let polled = Pin::new(&mut body).poll_frame(&mut context);
            told.push(match polled {
                Poll::Pending => ".".to_owned(),
                Poll::Ready(None) => "end".to_owned(),
                Poll::Ready(Some(Err(_))) => "error".to_owned(),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.len() > 99 => data.len().to_string(),
                    Ok(data) => String::from_utf8(data.into()).unwrap(),
                    Err(_) => "trailers".to_owned(),
                },
            });
        }
        told.join(" ")
    }

    fn data(text: &str) -> Option<Result<Frame<Bytes>, io::Error>> {
        Some(Ok(Frame::data(text.to_owned().into())))
    }

    #[test]
    fn small_frames_that_come_together_are_one() {
        let script = [
            data("a"),
            data("b"),
            None,
            data("c"),
            None,
            None,
            None,
            data("d"),
            None,
            None,
            None,
            data("e"),
        ];
        assert_eq!(polls(script), "a . . . bc . . d e");
    }

    #[test]
    fn the_first_and_the_last_do_not_wait() {
        assert_eq!(polls([data("a")]), "a");
        assert_eq!(polls([data("a"), data("b"), data("c")]), "a bc");
        assert_eq!(polls([None, data("a"), None, data("b")]), ". a . b");
    }

    #[test]
    fn what_cannot_be_added_comes_behind() {
        let trailers = || Some(Ok(Frame::trailers(HeaderMap::new())));
        let error = || Some(Err(io::ErrorKind::Other.into()));
        assert_eq!(polls([data("a"), data("b"), trailers()]), "a b trailers");
        assert_eq!(polls([data("a"), data("b"), error(), None]), "a b error .");
        let large = "x".repeat(LARGE);
        let script = [
            data("a"),
            data("b"),
            data(&large),
            data("c"),
            None,
            None,
            None,
            data("d"),
        ];
        assert_eq!(polls(script), "a b 8192 . . c d");
    }

    #[test]
    fn enough_is_not_kept_any_longer() {
        let script = (0..7).map(|_| data(&"x".repeat(LARGE - 1)));
        assert_eq!(polls(script), "8191 24573 24573");
    }

    #[test]
    fn a_frame_that_waits_has_its_task_woken() {
        struct Woken(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Woken {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let woken = std::sync::Arc::new(Woken(0.into()));
        let waker = std::sync::Arc::clone(&woken).into();
        let script = [None, data("a"), data("b"), None, None, data("c")];
        let mut body = Gathered::new(Script(script.into()));
        for (poll, wakes) in [0, 0, 1, 2, 2].into_iter().enumerate() {
            let _ = Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker));
            let count = woken.0.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(count, wakes, "after poll {poll}");
        }
    }
}
