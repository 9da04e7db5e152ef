//! Moving bytes from one connection to another inside the system, which copies none of them.
//!
//! The way leads through a pipe. A thread keeps one, and only while it is empty: bytes of one session can so never
//! come to another.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::fcntl_setpipe_size;

use super::tcp::splice;
use super::{Backlog, Stream, TcpSocket};

/// What the pipe holds at most: as much as the largest read of a tunnel, so that none has a longer turn than others.
const CAPACITY: usize = 256 * 1024;

thread_local! {
    static PIPE: Cell<Place> = const { Cell::new(Place::Empty) };
}

/// Where a thread keeps its pipe.
#[derive(Debug)]
enum Place {
    /// There is none, or it is in use.
    Empty,
    Here(Pipe),
    /// There can be none.
    Forbidden,
}

/// A pipe, and how many bytes are in it.
#[derive(Debug)]
struct Pipe {
    exit: PipeReader,
    entrance: PipeWriter,
    held: usize,
}

/// What a splice came to.
#[derive(Debug)]
pub struct Spliced {
    /// So many bytes were taken from the source; none at its end.
    pub taken: usize,
    /// How far the sink took them. Pending: it is full, and what is left is in the backlog.
    pub given: Poll<io::Result<()>>,
}

/// Whether [`poll_splice`] can be used between the two: both are plain TCP connections, of which the source is read by
/// epoll, and this thread has, or can have, a pipe.
#[must_use]
pub fn can_splice(source: &mut Stream, sink: &mut Stream) -> bool {
    let is_direct = tcp(source).is_some_and(|socket| socket.is_direct());
    is_direct && tcp(sink).is_some() && is_pipe_here(Pipe::new)
}

/// Moves up to `most` bytes from `source` to `sink`. What the sink does not take goes to `rest`, which has to be empty.
///
/// # Errors
/// The source's; or [`can_splice`] says no.
pub fn poll_splice(
    context: &mut Context<'_>,
    source: &mut Stream,
    sink: &mut Stream,
    most: usize,
    rest: &mut Backlog,
) -> Poll<io::Result<Spliced>> {
    let (Some(source), Some(sink)) = (tcp(source), tcp(sink)) else {
        return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
    };
    let spliced = with_pipe(|pipe| {
        let taken = ready!(pipe.poll_fill(context, source, most))?;
        let given = pipe.poll_empty(context, sink);
        if given.is_pending() {
            pipe.read_out(rest)?;
        }
        Poll::Ready(Ok(Spliced { taken, given }))
    });
    spliced.unwrap_or_else(|| Poll::Ready(Err(io::ErrorKind::Unsupported.into())))
}

/// Whether this thread has a pipe, which is made by `make` where that is possible. What is forbidden once stays so.
fn is_pipe_here(make: impl FnOnce() -> io::Result<Pipe>) -> bool {
    let place = match PIPE.replace(Place::Empty) {
        Place::Empty => make().map_or_else(Place::without, Place::Here),
        known => known,
    };
    let is_here = matches!(place, Place::Here(_));
    PIPE.set(place);
    is_here
}

/// Runs `work` with the pipe of this thread, if it has one.
fn with_pipe<T>(work: impl FnOnce(&mut Pipe) -> T) -> Option<T> {
    let mut pipe = match PIPE.replace(Place::Empty) {
        Place::Here(pipe) => pipe,
        without => {
            PIPE.set(without);
            return None;
        }
    };
    let outcome = work(&mut pipe);
    if pipe.held == 0 {
        PIPE.set(Place::Here(pipe));
    }
    Some(outcome)
}

fn tcp(stream: &mut Stream) -> Option<&mut TcpSocket> {
    match stream {
        Stream::Plain(socket) => socket.tcp(),
        Stream::Tls(_) | Stream::Shared(_) => None,
    }
}

impl Place {
    /// There is no pipe, for this reason.
    fn without(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => Self::Forbidden,
            // Descriptors may be had later.
            _ => Self::Empty,
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (exit, entrance) = io::pipe()?;
        // A filter of system calls may forbid it. Nothing is moved.
        splice(&exit, &entrance, 0)?;
        // A smaller one does as well, with more calls.
        let _ = fcntl_setpipe_size(&entrance, CAPACITY);
        Ok(Self {
            exit,
            entrance,
            held: 0,
        })
    }

    /// Takes up to `most` bytes from the source.
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        source: &mut TcpSocket,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let entrance = self.entrance.as_fd();
        let taken = ready!(source.poll_splice_to(context, entrance, most.min(CAPACITY)))?;
        self.held = taken;
        Poll::Ready(Ok(taken))
    }

    /// Gives the sink what is held.
    fn poll_empty(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut TcpSocket,
    ) -> Poll<io::Result<()>> {
        while self.held > 0 {
            let exit = self.exit.as_fd();
            match ready!(sink.poll_splice_from(context, exit, self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.held -= count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Puts what is held into `rest`.
    fn read_out(&mut self, rest: &mut Backlog) -> io::Result<()> {
        let mut bytes = vec![0; self.held];
        self.exit.read_exact(&mut bytes)?;
        rest.append(&bytes);
        self.held = 0;
        Ok(())
    }
}
