//! A client's stream under hyper: other tasks get their turn, SETTINGS frames are counted, and it is known whether an answer is
//! still being sent. hyper does not give the stream back; this does when it is dropped.
//!
//! h2 processes all that it can read before it returns, and a SETTINGS frame may cost it a step for each open stream (RFC 9113
//! section 6.9.2): a megabyte of them would hold up everything else on the worker for seconds (CVE-2019-9515).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::frames::{Frame, Frames};
use super::streams::Streams;
use crate::stream::{Stream, poll_again};

/// After this many bytes other tasks get their turn. Smaller turns would mean more writes to backends.
const TURN: usize = 64 * 1024;
/// As how many bytes of a turn a SETTINGS frame counts. What one read brings may still be a thousand of them, which take some
/// 10 ms with 500 streams.
const COST_OF_SETTINGS: usize = 1024;
/// How many resets by the client are remembered; h2 holds 16 KiB of what it is to write, and hardly more heads than this.
const MOST_RESET: usize = 1024;

/// A client's stream under hyper.
#[derive(Debug)]
pub(super) struct Intake {
    /// Taken out when this is dropped.
    stream: Option<Stream>,
    /// Gets the stream then.
    returns: Option<oneshot::Sender<Stream>>,
    streams: Arc<Streams>,
    received: Frames,
    sent: Frames,
    unfinished: Unfinished,
    /// Whether the socket did not take all of what was written last. Otherwise h2 holds no frames.
    is_blocked: bool,
    /// How many bytes were read in this turn, with what SETTINGS frames count beyond their own.
    read: usize,
}

impl Intake {
    /// For a connection that begins with the preface. SETTINGS frames are charged to `streams`. The receiver gets the stream
    /// back.
    pub(super) fn new(stream: Stream, streams: Arc<Streams>) -> (Self, oneshot::Receiver<Stream>) {
        let (returns, returned) = oneshot::channel();
        let intake = Self {
            stream: Some(stream),
            returns: Some(returns),
            streams,
            received: Frames::of_client(),
            sent: Frames::of_server(),
            unfinished: Unfinished::default(),
            is_blocked: false,
            read: 0,
        };
        (intake, returned)
    }

    fn stream(&mut self) -> &mut Stream {
        self.stream.as_mut().expect("it is taken out on Drop")
    }

    /// Looks at what the client sent.
    fn hear(&mut self, bytes: &[u8]) {
        let mut settings = 0;
        let unfinished = &mut self.unfinished;
        self.received.follow(bytes, |frame| match frame.kind {
            Frame::SETTINGS => settings += u32::from(!frame.has_first_flag()),
            Frame::RST_STREAM => unfinished.reset(frame.stream),
            _ => {}
        });
        if settings > 0 {
            self.read += COST_OF_SETTINGS * settings as usize;
            self.streams.charge(settings);
        }
        self.tell_whether_sending();
    }

    /// Notes how much of `pieces` was `written`.
    fn note_sent<'a>(
        &mut self,
        written: Poll<io::Result<usize>>,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        let mut count = match &written {
            Poll::Ready(Ok(count)) => *count,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        for piece in pieces {
            let taken = count.min(piece.len());
            count -= taken;
            let unfinished = &mut self.unfinished;
            self.sent
                .follow(&piece[..taken], |frame| unfinished.pass(frame));
        }
        self.is_blocked = written.is_pending();
        self.tell_whether_sending();
        written
    }

    fn tell_whether_sending(&self) {
        let is_sending = self.is_blocked || !self.unfinished.begun.is_empty();
        self.streams.set_sending(is_sending);
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if let (Some(stream), Some(returns)) = (self.stream.take(), self.returns.take()) {
            // Nobody may want it.
            let _ = returns.send(stream);
        }
    }
}

impl AsyncRead for Intake {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = std::mem::take(&mut self.read);
        if read >= TURN {
            return poll_again(context);
        }
        if !self.is_blocked {
            self.unfinished.forget_resets();
        }
        let before = buffer.filled().len();
        ready!(Pin::new(self.stream()).poll_read(context, buffer))?;
        let bytes = &buffer.filled()[before..];
        if bytes.is_empty() && buffer.remaining() > 0 {
            // The client has closed: nothing is left to wait for.
            self.returns = None;
        }
        self.read = read + bytes.len();
        self.hear(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Intake {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.stream()).poll_write(context, bytes);
        self.note_sent(written, [bytes])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.stream()).poll_write_vectored(context, slices);
        self.note_sent(written, slices.iter().map(|slice| &**slice))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(self.stream()).poll_flush(context);
        self.is_blocked = flushed.is_pending();
        self.tell_whether_sending();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }
}

/// The streams whose answers have begun and not ended.
#[derive(Default, Debug)]
struct Unfinished {
    begun: Vec<u32>,
    /// Those that the client has reset lately. h2 may hold their heads, and sends nothing behind them.
    reset: Vec<u32>,
}

impl Unfinished {
    /// A frame of the gateway was sent.
    fn pass(&mut self, frame: Frame) {
        match frame.kind {
            Frame::HEADERS | Frame::DATA if frame.has_first_flag() => self.end(frame.stream),
            Frame::RST_STREAM => self.end(frame.stream),
            Frame::HEADERS if !self.is_known(frame.stream) => self.begun.push(frame.stream),
            _ => {}
        }
    }

    fn is_known(&self, stream: u32) -> bool {
        self.reset.contains(&stream) || self.begun.contains(&stream)
    }

    fn end(&mut self, stream: u32) {
        if let Some(place) = self.begun.iter().position(|it| *it == stream) {
            self.begun.swap_remove(place);
        }
    }

    /// The client has reset a stream.
    fn reset(&mut self, stream: u32) {
        self.end(stream);
        if self.reset.len() < MOST_RESET {
            self.reset.push(stream);
        }
    }

    /// h2 holds no head of a stream that was reset: it has handled all that it has read, and written all that it had.
    fn forget_resets(&mut self) {
        self.reset.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::stream::Socket;

    #[test]
    fn an_answer_is_unfinished_from_its_head_to_its_end() {
        let frame = |kind, flags, stream| Frame {
            kind,
            flags,
            stream,
        };
        let mut unfinished = Unfinished::default();
        for (frame, left) in [
            (frame(Frame::HEADERS, 0, 1), 1),
            (frame(Frame::HEADERS, 0, 1), 1), // behind a 100
            (frame(Frame::HEADERS, 1, 3), 1), // without a body
            (frame(Frame::HEADERS, 0, 5), 2),
            (frame(Frame::DATA, 0, 1), 2),
            (frame(Frame::SETTINGS, 1, 0), 2),
            (frame(Frame::DATA, 1, 1), 1),
            (frame(Frame::RST_STREAM, 0, 1), 1),
            (frame(Frame::RST_STREAM, 0, 5), 0),
        ] {
            unfinished.pass(frame);
            assert_eq!(unfinished.begun.len(), left, "{frame:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_leaves_behind_the_reset_of_its_stream_begins_nothing() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let streams = Streams::new(Instant::now(), None);
        let socket = Stream::Plain(Socket::Unix(socket));
        let (mut intake, _returned) = Intake::new(socket, Arc::clone(&streams));
        // More than the socket takes, and a head behind it.
        let data = [0x40, 0, 0, Frame::DATA, 1, 0, 0, 0, 1];
        let head = [0, 0, 0, Frame::HEADERS, 0, 0, 0, 0, 3];
        let bytes = [&data[..], &vec![0; 0x40_0000], &head].concat();
        let mut sent = 0;
        let moment = Duration::from_millis(1);
        while let Ok(written) = timeout(moment, intake.write(&bytes[sent..])).await {
            sent += written.unwrap();
        }
        assert!(streams.is_sending());

        let reset = [0, 0, 4, Frame::RST_STREAM, 0, 0, 0, 0, 3, 0, 0, 0, 8];
        peer.write_all(&[&[0; 24][..], &reset].concat())
            .await
            .unwrap();
        hear(&mut intake, 24 + reset.len()).await;
        let mut received = vec![0; bytes.len()];
        let taken = peer.read_exact(&mut received);
        let (written, taken) = tokio::join!(intake.write_all(&bytes[sent..]), taken);
        written.and(taken.map(drop)).unwrap();
        assert!(!streams.is_sending());

        // The next ones are others.
        let acknowledgement = [0, 0, 0, Frame::SETTINGS, 1, 0, 0, 0, 0];
        peer.write_all(&acknowledgement).await.unwrap();
        hear(&mut intake, acknowledgement.len()).await;
        intake.write_all(&head).await.unwrap();
        assert!(streams.is_sending());
    }

    /// Reads all of what the peer sent.
    async fn hear(intake: &mut Intake, length: usize) {
        let mut heard = vec![0; length];
        intake.read_exact(&mut heard).await.unwrap();
    }

    #[tokio::test]
    async fn gives_others_their_turn() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(&[0; 2 * TURN]).await.unwrap();
        let streams = Streams::new(Instant::now(), None);
        let (mut intake, _returned) = Intake::new(Stream::Plain(Socket::Unix(socket)), streams);
        let mut turns = Vec::new();
        std::future::poll_fn(|context| {
            // Before the first, the reactor has yet to see that there is something.
            turns.extend(Some(read_until_pending(&mut intake, context)).filter(|read| *read > 0));
            match turns.len() {
                2 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        assert_eq!(turns, [TURN, TURN]);
    }

    fn read_until_pending(intake: &mut Intake, context: &mut Context<'_>) -> usize {
        let (mut room, mut read) = ([0; 1024], 0);
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            match Pin::new(&mut *intake).poll_read(context, &mut buffer) {
                Poll::Pending => return read,
                Poll::Ready(_) => read += buffer.filled().len(),
            }
        }
    }
}
