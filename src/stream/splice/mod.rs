//! Moving bytes from one connection to another inside the kernel, without copying them (splice(2)).
//!
//! The bytes go through a pipe. Each thread keeps one, and only while it is empty, so that bytes of one session cannot
//! get into another.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::fcntl_setpipe_size;

use super::tcp::splice;
use super::{Backlog, Stream, TcpSocket};

/// The capacity of the pipe in bytes: the largest read of a tunnel, so that a splice takes no longer than a read.
const CAPACITY: usize = 256 * 1024;

thread_local! {
    static PIPE: Cell<Slot> = const { Cell::new(Slot::Empty) };
}

/// Where a thread keeps its pipe.
#[derive(Debug)]
enum Slot {
    /// There is no pipe, or it is in use.
    Empty,
    Here(Pipe),
    /// This process may not use splice.
    Forbidden,
}

/// A pipe, and how many bytes are in it.
#[derive(Debug)]
struct Pipe {
    reader: PipeReader,
    writer: PipeWriter,
    held: usize,
}

/// The result of a splice.
#[derive(Debug)]
pub struct Spliced {
    /// How many bytes came from the source; 0 at its end.
    pub taken: usize,
    /// Whether the sink took them. Pending: it is full, and the rest is in the backlog.
    pub given: Poll<io::Result<()>>,
}

/// Whether [`poll_splice`] can be used between the two: both are plain TCP connections, the source is on epoll, and
/// this thread has a pipe or can make one.
#[must_use]
pub fn can_splice(source: &mut Stream, sink: &mut Stream) -> bool {
    let is_on_epoll = tcp(source).is_some_and(|socket| socket.is_on_epoll());
    is_on_epoll && tcp(sink).is_some() && has_pipe(Pipe::new)
}

/// Moves up to `most` bytes from `source` to `sink`. What the sink does not take goes to `rest`, which must be empty.
///
/// # Errors
/// Those of the source; `Unsupported` where [`can_splice`] is false.
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
            debug_assert!(rest.is_empty(), "what waited was written first");
            *rest = pipe.read_out()?;
        }
        Poll::Ready(Ok(Spliced { taken, given }))
    });
    spliced.unwrap_or_else(|| Poll::Ready(Err(io::ErrorKind::Unsupported.into())))
}

/// Whether this thread has a pipe; if not, it is made by `make`, unless that was forbidden before.
fn has_pipe(make: impl FnOnce() -> io::Result<Pipe>) -> bool {
    let place = match PIPE.replace(Slot::Empty) {
        Slot::Empty => make().map_or_else(Slot::without, Slot::Here),
        known => known,
    };
    let is_here = matches!(place, Slot::Here(_));
    PIPE.set(place);
    is_here
}

/// Runs `work` with the pipe of this thread, if it has one.
fn with_pipe<T>(work: impl FnOnce(&mut Pipe) -> T) -> Option<T> {
    let mut pipe = match PIPE.replace(Slot::Empty) {
        Slot::Here(pipe) => pipe,
        without => {
            PIPE.set(without);
            return None;
        }
    };
    let outcome = work(&mut pipe);
    if pipe.held == 0 {
        PIPE.set(Slot::Here(pipe));
    }
    Some(outcome)
}

fn tcp(stream: &mut Stream) -> Option<&mut TcpSocket> {
    match stream {
        Stream::Plain(socket) => socket.tcp(),
        Stream::Tls(_) | Stream::Shared(_) => None,
    }
}

impl Slot {
    /// What follows when a pipe could not be made.
    fn without(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => Self::Forbidden,
            // Out of descriptors, for instance: try again later.
            _ => Self::Empty,
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // Moves nothing, but fails if a seccomp filter forbids splice.
        splice(&reader, &writer, 0)?;
        // A smaller pipe works too, with more calls.
        let _ = fcntl_setpipe_size(&writer, CAPACITY);
        Ok(Self {
            reader,
            writer,
            held: 0,
        })
    }

    /// Moves up to `most` bytes from the source into the pipe.
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        source: &mut TcpSocket,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let writer = self.writer.as_fd();
        let taken = ready!(source.poll_splice_to(context, writer, most.min(CAPACITY)))?;
        self.held = taken;
        Poll::Ready(Ok(taken))
    }

    /// Moves the bytes in the pipe to the sink.
    fn poll_empty(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut TcpSocket,
    ) -> Poll<io::Result<()>> {
        while self.held > 0 {
            let reader = self.reader.as_fd();
            match ready!(sink.poll_splice_from(context, reader, self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.held -= count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Copies the bytes in the pipe.
    fn read_out(&mut self) -> io::Result<Backlog> {
        let mut bytes = vec![0; self.held];
        self.reader.read_exact(&mut bytes)?;
        self.held = 0;
        Ok(bytes.into())
    }
}
