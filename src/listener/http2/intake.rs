//! What a client sends, as hyper reads it: other tasks get their turn, and SETTINGS frames are counted. hyper does not give the
//! stream back; this does when it is dropped.
//!
//! h2 processes all that it can read before it returns, and a SETTINGS frame may cost it a step for each open stream (RFC 9113
//! section 6.9.2): a megabyte of them would hold up everything else on the worker for seconds (CVE-2019-9515).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::streams::Streams;
use crate::stream::{Stream, delegate_writes, poll_again};

/// After this many bytes other tasks get their turn. Smaller turns would mean more writes to backends.
const TURN: usize = 64 * 1024;
/// As how many bytes of a turn a SETTINGS frame counts. What one read brings may still be a thousand of them, which take some
/// 10 ms with 500 streams.
const COST_OF_SETTINGS: usize = 1024;
/// The length of a client's connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// The length of a frame's header (RFC 9113 section 4.1).
const HEADER: usize = 9;
/// The type of a SETTINGS frame (RFC 9113 section 6.5).
const SETTINGS: u8 = 4;
/// The flag of a SETTINGS frame that acknowledges ours.
const ACK: u8 = 1;

/// A client's stream under hyper.
#[derive(Debug)]
pub(super) struct Intake {
    /// Taken out when this is dropped.
    stream: Option<Stream>,
    /// Gets the stream then.
    returns: Option<oneshot::Sender<Stream>>,
    streams: Arc<Streams>,
    frames: Frames,
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
            frames: Frames::default(),
            read: 0,
        };
        (intake, returned)
    }

    fn stream(&mut self) -> &mut Stream {
        self.stream.as_mut().expect("it is taken out on Drop")
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
        let before = buffer.filled().len();
        ready!(Pin::new(self.stream()).poll_read(context, buffer))?;
        let bytes = &buffer.filled()[before..];
        self.read = read + bytes.len();
        let settings = self.frames.follow(bytes);
        if settings > 0 {
            self.read += COST_OF_SETTINGS * settings as usize;
            self.streams.charge(settings);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Intake {
    delegate_writes! {
        intake => intake.stream()
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }
}

/// Follows the frames of a client through any pieces of its stream.
#[derive(Debug)]
struct Frames {
    /// How many bytes there are until the next header.
    rest: usize,
    /// The bytes of that header which have arrived.
    header: [u8; HEADER],
    arrived: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            rest: PREFACE,
            header: [0; HEADER],
            arrived: 0,
        }
    }
}

impl Frames {
    /// The number of SETTINGS frames whose headers end in `bytes`, acknowledgements not included.
    fn follow(&mut self, mut bytes: &[u8]) -> u32 {
        let mut settings = 0;
        loop {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return settings;
            }
            let (taken, after) = bytes.split_at((HEADER - self.arrived).min(bytes.len()));
            self.header[self.arrived..][..taken.len()].copy_from_slice(taken);
            self.arrived += taken.len();
            bytes = after;
            if self.arrived == HEADER {
                let [high, middle, low, kind, flags, ..] = self.header;
                self.rest = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.arrived = 0;
                settings += u32::from(kind == SETTINGS && flags & ACK == 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;
    use tokio::time::Instant;

    use super::*;
    use crate::stream::Socket;

    const ONE: &[u8] = &[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1];
    const EMPTY: &[u8] = &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
    const ACKNOWLEDGED: &[u8] = &[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0];
    /// Its payload looks like SETTINGS.
    const DATA: &[u8] = &[0, 0, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];

    #[test]
    fn counts_the_same_in_any_pieces() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let sent = [preface, ONE, DATA, EMPTY, ACKNOWLEDGED, DATA, ONE].concat();
        for size in 1..=sent.len() {
            let mut frames = Frames::default();
            let counted: u32 = sent.chunks(size).map(|piece| frames.follow(piece)).sum();
            assert_eq!(counted, 3, "in pieces of {size}");
            assert_eq!((frames.rest, frames.arrived), (0, 0));
        }
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
