//! One end of a session: a stream in memory that gives and takes bytes in pieces, pauses and breaks as the input says.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use wsgate::stream::SharedStream;
use wsgate::websocket::Side;

use super::script::{self, Finish, Script, Turn};
use super::walk;

/// What a peer got, for whoever looks when the session is over.
#[derive(Default, Debug)]
pub(crate) struct Got {
    pub(crate) received: Vec<u8>,
    pub(crate) has_ended: bool,
    pub(crate) is_reset: bool,
    /// Whether it broke, so that nobody need end its stream.
    pub(crate) is_broken: bool,
}

pub(crate) type Kept = Arc<Mutex<Got>>;

/// A peer while it plays.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: Vec<u8>,
    borders: Vec<usize>,
    position: usize,
    /// Pongs that are to be sent at the next border.
    answers: VecDeque<u8>,
    reads: VecDeque<Turn>,
    writes: VecDeque<Turn>,
    read_pause: Option<Pin<Box<Sleep>>>,
    write_pause: Option<Pin<Box<Sleep>>>,
    end: Finish,
    answers_pings: bool,
    /// How much of what it got it has looked at.
    looked_at: usize,
    side: Side,
    pub(crate) kept: Kept,
}

impl Peer {
    pub(crate) fn play(script: Script) -> Self {
        let mut borders = vec![0];
        for frame in &script.frames {
            borders.push(borders[borders.len() - 1] + frame.len());
        }
        Self {
            stream: script.stream(),
            borders,
            position: script.early,
            answers: VecDeque::new(),
            reads: script.reads,
            writes: script.writes,
            read_pause: None,
            write_pause: None,
            end: script.end,
            answers_pings: script.is_sound,
            looked_at: 0,
            side: script.side,
            kept: Kept::default(),
        }
    }

    /// Gives up to `count` bytes: at a border those of an answer, wholly before the stream goes on; else those of the
    /// stream, up to the next border if there is an answer.
    fn give(&mut self, count: usize, buffer: &mut ReadBuf<'_>) {
        let count = count.min(buffer.remaining());
        if !self.answers.is_empty() && self.borders.contains(&self.position) {
            for _ in 0..count.min(self.answers.len()) {
                buffer.put_slice(&[self.answers.pop_front().expect("it was counted")]);
            }
            return;
        }
        let next = match self.answers.is_empty() {
            true => self.stream.len(),
            false => self.next_border(),
        };
        let end = next.min(self.position.saturating_add(count));
        buffer.put_slice(&self.stream[self.position..end]);
        self.position = end;
    }

    fn next_border(&self) -> usize {
        let borders = self.borders.iter().copied();
        borders
            .filter(|border| *border > self.position)
            .min()
            .unwrap_or(self.stream.len())
    }

    fn break_off<T>(&self) -> Poll<io::Result<T>> {
        self.kept.lock().expect("no other thread").is_broken = true;
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    /// Answers the Pings of the gateway among the frames that it got.
    fn look(&mut self) {
        let kept = self.kept.lock().expect("no other thread");
        let mut answers = Vec::new();
        while let Some(length) = walk::frame_length(&kept.received[self.looked_at..]) {
            let frame = &kept.received[self.looked_at..self.looked_at + length];
            self.looked_at += length;
            if walk::is_gateway_ping(frame) {
                answers.extend(script::pong(self.side, &walk::payload(frame)));
            }
        }
        drop(kept);
        // Behind its Close it sends nothing more.
        if self.answers_pings && self.position < self.stream.len() {
            self.answers.extend(answers);
        }
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.position == this.stream.len() {
            return match this.end {
                Finish::End => Poll::Ready(Ok(())),
                Finish::Break => this.break_off(),
                Finish::Silence => Poll::Pending,
            };
        }
        let Some(count) = ready!(take_turn(&mut this.reads, &mut this.read_pause, context)) else {
            return this.break_off();
        };
        this.give(count, buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(count) = ready!(take_turn(&mut this.writes, &mut this.write_pause, context))
        else {
            return this.break_off();
        };
        let count = count.min(bytes.len());
        {
            let mut kept = this.kept.lock().expect("no other thread");
            assert!(!kept.has_ended, "something is written behind the end");
            kept.received.extend(&bytes[..count]);
        }
        this.look();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.kept.lock().expect("no other thread").has_ended = true;
        Poll::Ready(Ok(()))
    }
}

impl SharedStream for Peer {
    fn is_broken(&self) -> bool {
        false
    }

    fn reset_on_close(&mut self) {
        self.kept.lock().expect("no other thread").is_reset = true;
    }
}

/// Makes a turn; ready with how many bytes may pass, or `None` if it is a failure.
fn take_turn(
    turns: &mut VecDeque<Turn>,
    pause: &mut Option<Pin<Box<Sleep>>>,
    context: &mut Context<'_>,
) -> Poll<Option<usize>> {
    if let Some(sleep) = pause {
        ready!(sleep.as_mut().poll(context));
        *pause = None;
    }
    match turns.pop_front() {
        None => Poll::Ready(Some(usize::MAX)),
        Some(Turn::Bytes(count)) => Poll::Ready(Some(count)),
        Some(Turn::Yield) => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Some(Turn::Pause(time)) => {
            let mut sleep = Box::pin(sleep(time));
            let _pending = sleep.as_mut().poll(context);
            *pause = Some(sleep);
            Poll::Pending
        }
        Some(Turn::Break) => {
            turns.push_front(Turn::Break);
            Poll::Ready(None)
        }
    }
}
