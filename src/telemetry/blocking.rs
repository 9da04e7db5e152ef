//! Writing to a descriptor that another process may have made non-blocking.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// A writer that blocks even if its descriptor is non-blocking: a process that shares our pipe or terminal and makes it
/// non-blocking does so for all of them.
pub(super) struct Blocking<W>(pub(super) W);

impl<W: Write + AsFd> Blocking<W> {
    /// Repeats `io` until it does not fail with `WouldBlock`, waiting for room in between.
    fn wait<T>(&mut self, mut io: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        loop {
            match io(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                outcome => return outcome,
            }
        }
    }
}

impl<W: Write + AsFd> Write for Blocking<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|writer| writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wait(Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    #[test]
    fn waits_for_a_reader() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        let bytes = vec![7; 4 << 20];
        let expected = bytes.clone();
        let writing = thread::spawn(move || Blocking(writer).write_all(&bytes));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        writing.join().unwrap().unwrap();
        assert!(read == expected, "every byte comes, in order");
    }

    #[test]
    fn tells_that_the_reader_is_gone() {
        let (reader, writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        let writing = thread::spawn(move || Blocking(writer).write_all(&vec![7; 4 << 20]));
        drop(reader);
        let error = writing.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
