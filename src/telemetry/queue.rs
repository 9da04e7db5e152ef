//! A bounded queue of log lines, and the thread that puts them out.
//!
//! Adding a line never blocks: if the queue is full, in lines or in bytes, the line is dropped. `tracing-appender` does the
//! same, but panics if no thread can be started, prints to stdout if it cannot shut down, and may wait for that for ever.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long shutdown waits for queued lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum size of all lines that wait, in bytes: clients decide how long a line is. Every queue has room for all its lines
/// of usual length.
const QUEUED_BYTES: usize = 16 * 1024 * 1024;

/// Where the thread of a queue puts lines.
pub(super) trait Output: Send + 'static {
    /// Puts out a line, or keeps it until the next pause at most.
    fn add(&mut self, line: &[u8]);

    /// The queue is empty: the next line may be long in coming.
    fn pause(&mut self);
}

/// The sending end of the queue.
#[derive(Clone)]
pub(super) struct Queue {
    lines: SyncSender<Vec<u8>>,
    /// The bytes that the waiting lines take.
    bytes: Arc<AtomicUsize>,
}

/// The running thread. Dropping this writes out what is queued, for at most [`FLUSH_TIMEOUT`], and ends the thread.
pub(super) struct Writing {
    is_ending: Arc<AtomicBool>,
    lines: SyncSender<Vec<u8>>,
    /// Disconnected when the thread has ended. The mutex only makes this type `Sync`.
    ended: Mutex<Receiver<()>>,
}

impl Queue {
    /// Starts a thread that puts lines into `output`, with a queue of `room` lines.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(
        thread: &str,
        room: usize,
        output: impl Output,
    ) -> io::Result<(Self, Writing)> {
        let (lines, waiting) = mpsc::sync_channel(room);
        let (end, ended) = mpsc::sync_channel::<()>(0);
        let is_ending = Arc::<AtomicBool>::default();
        let writing = Writing {
            is_ending: Arc::clone(&is_ending),
            lines: lines.clone(),
            ended: Mutex::new(ended),
        };
        let bytes = Arc::<AtomicUsize>::default();
        let held = Arc::clone(&bytes);
        let work = move || {
            put_out(&waiting, &held, output, &is_ending);
            // From now on lines are dropped.
            drop(waiting);
            drop(end);
        };
        thread::Builder::new().name(thread.to_owned()).spawn(work)?;
        Ok((Self { lines, bytes }, writing))
    }

    /// Adds a line, or drops it if the queue is full. Returns whether it was added.
    pub(super) fn add(&self, line: Vec<u8>) -> bool {
        let size = line.capacity();
        let waiting = self.bytes.fetch_add(size, Ordering::Relaxed);
        let has_room = waiting.saturating_add(size) <= QUEUED_BYTES;
        let is_added = has_room && self.lines.try_send(line).is_ok();
        if !is_added {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        is_added
    }
}

/// Puts out lines until shutdown is requested and the queue is empty. Takes the size of each line from `bytes`.
fn put_out(
    waiting: &Receiver<Vec<u8>>,
    bytes: &AtomicUsize,
    mut output: impl Output,
    is_ending: &AtomicBool,
) {
    loop {
        // Read before the queue, so that every line added before the request is still found below.
        let is_last_look = is_ending.load(Ordering::Acquire);
        let line = match waiting.try_recv() {
            Ok(line) => line,
            Err(_) => {
                output.pause();
                if is_last_look {
                    return;
                }
                let Ok(line) = waiting.recv() else { return };
                line
            }
        };
        bytes.fetch_sub(line.capacity(), Ordering::Relaxed);
        output.add(&line);
    }
}

/// Writes each line at once. What cannot be written is lost: the reader is gone or the disk is full, and there is no place to
/// report it.
pub(super) struct Direct<W> {
    writer: W,
    /// Whether the last line has been written in part.
    is_torn: bool,
}

impl<W> Direct<W> {
    pub(super) fn new(writer: W) -> Self {
        Self {
            writer,
            is_torn: false,
        }
    }
}

impl<W: Write + Send + 'static> Output for Direct<W> {
    fn add(&mut self, line: &[u8]) {
        // The rest of a line that did not fit is lost, but not the beginning of the next one.
        let line = match self.is_torn {
            true => Cow::Owned([b"\n", line].concat()),
            false => Cow::Borrowed(line),
        };
        let (written, _) = write_as_much_as_goes(&mut self.writer, &line);
        if let Some(last) = line[..written].last() {
            self.is_torn = *last != b'\n';
        }
    }

    fn pause(&mut self) {
        let _ = self.writer.flush();
    }
}

/// Returns how many bytes were written, and the error that stopped it.
pub(super) fn write_as_much_as_goes(
    writer: &mut impl Write,
    bytes: &[u8],
) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match writer.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        // Wakes the thread. If the queue is full it is awake already.
        let _ = self.lines.try_send(Vec::new());
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Always an error: disconnected, or a timeout after which nothing more can be done.
        let _ = ended.recv_timeout(FLUSH_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::telemetry::kept::{Disk, Kept};

    /// An output that blocks until it is released.
    struct Stuck(Receiver<()>);

    impl Output for Stuck {
        fn add(&mut self, _line: &[u8]) {
            let _ = self.0.recv();
        }

        fn pause(&mut self) {}
    }

    #[test]
    fn the_end_waits_for_every_line() {
        let kept = Kept::default();
        let (queue, writing) = Queue::start("test", 64, Direct::new(kept.clone())).unwrap();
        for number in 0..64 {
            assert!(queue.add(format!("{number}\n").into()), "{number}");
        }
        drop(writing);
        assert_eq!(kept.text().lines().count(), 64);
        let is_added = queue.add(b"late\n".to_vec());
        assert!(!is_added, "nobody is there to write it");
    }

    #[test]
    fn long_lines_wait_only_as_far_as_there_is_room_for_their_bytes() {
        let (release, held) = mpsc::channel();
        let (queue, writing) = Queue::start("test", 1024, Stuck(held)).unwrap();
        let added = (0..100).filter(|_| queue.add(vec![b'x'; 1 << 20])).count();
        let bytes = || queue.bytes.load(Ordering::Relaxed);
        assert!(added <= 17, "sixteen wait, one is being written");
        assert!(bytes() <= QUEUED_BYTES, "{}", bytes());
        drop(release);
        let begun = Instant::now();
        while bytes() > 0 && begun.elapsed() < Duration::from_secs(60) {
            thread::yield_now();
        }
        assert_eq!(bytes(), 0, "what is written does not wait");
        drop(writing);
    }

    #[test]
    fn a_line_after_a_torn_one_begins_anew() {
        let mut disk = Disk::with_room(6);
        disk.grows_after_failures = Some((1, 100));
        let mut direct = Direct::new(disk);
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            direct.add(line.as_bytes());
        }
        assert_eq!(
            String::from_utf8_lossy(&direct.writer.kept),
            "one\ntw\nthree\nfour\n"
        );
    }

    #[test]
    fn a_reader_that_stands_still_holds_up_neither_lines_nor_the_end() {
        let (_release, held) = mpsc::channel();
        let (queue, writing) = Queue::start("test", 8, Stuck(held)).unwrap();
        let added = (0..100).filter(|_| queue.add(b"line\n".to_vec())).count();
        assert!(added <= 9, "eight wait, one is being written");
        let before = Instant::now();
        drop(writing);
        assert!(before.elapsed() < 10 * FLUSH_TIMEOUT);
    }
}
