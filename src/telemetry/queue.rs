//! Lines that wait to be written, and the thread that writes them.
//!
//! Nobody who has a line waits: one that finds the queue full is counted and gone. `tracing-appender` does the same, but
//! panics where there is no thread, and says on stdout when it cannot end, for which it may wait for ever.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long the end waits for lines that are still to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A queue of lines. Each write is a line.
#[derive(Clone)]
pub(super) struct Queue {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

/// Ends the writing when it is dropped: what is queued is written out, for at most a second.
pub(super) struct Writing {
    is_ending: Arc<AtomicBool>,
    lines: SyncSender<Vec<u8>>,
    /// Hears nothing but that the thread has ended. The lock lets others hold this; nobody else asks.
    ended: Mutex<Receiver<()>>,
}

impl Queue {
    /// Starts a thread that writes to `writer`; so many lines may wait for it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        thread: &str,
        room: usize,
        writer: impl Write + Send + 'static,
    ) -> io::Result<(Self, Writing)> {
        let (lines, waiting) = mpsc::sync_channel(room);
        let (end, ended) = mpsc::sync_channel::<()>(0);
        let is_ending = Arc::<AtomicBool>::default();
        let writing = Writing {
            is_ending: Arc::clone(&is_ending),
            lines: lines.clone(),
            ended: Mutex::new(ended),
        };
        let work = move || {
            write_all(&waiting, writer, &is_ending);
            // From the end on a line finds nobody.
            drop(waiting);
            drop(end);
        };
        thread::Builder::new().name(thread.to_owned()).spawn(work)?;
        let queue = Self {
            lines,
            dropped: Arc::default(),
        };
        Ok((queue, writing))
    }

    /// How many lines found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Adds a line, or counts it as dropped.
    pub(super) fn add(&self, line: Vec<u8>) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes until the end is asked for and nothing waits; flushes whenever nothing does.
fn write_all(waiting: &Receiver<Vec<u8>>, mut writer: impl Write, is_ending: &AtomicBool) {
    loop {
        // Asked first: what came before the end is then found below.
        let is_last_look = is_ending.load(Ordering::Acquire);
        let line = match waiting.try_recv() {
            Ok(line) => line,
            Err(_) => {
                // Whoever reads this log is gone, or its disk is full: there is nobody to be told.
                let _ = writer.flush();
                if is_last_look {
                    return;
                }
                let Ok(line) = waiting.recv() else { return };
                line
            }
        };
        let _ = writer.write_all(&line);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        // Wakes the thread; where there is no room for that, it is awake.
        let _ = self.lines.try_send(Vec::new());
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        // That it has ended is an error, as is that it has not, and nothing more can be done.
        let _ = ended.recv_timeout(LAST_LINES);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::telemetry::kept::Kept;

    /// A reader that stands still until it is told otherwise.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_end_waits_for_every_line() {
        let kept = Kept::default();
        let (queue, writing) = Queue::start("test", 64, kept.clone()).unwrap();
        for number in 0..64 {
            queue.add(format!("{number}\n").into());
        }
        drop(writing);
        assert_eq!(kept.text().lines().count() as u64 + queue.dropped(), 64);
        assert_eq!(queue.dropped(), 0);
        queue.add(b"late\n".to_vec());
        assert_eq!(queue.dropped(), 1, "nobody is there to write it");
    }

    #[test]
    fn a_reader_that_stands_still_holds_up_neither_lines_nor_the_end() {
        let (_release, held) = mpsc::channel();
        let (queue, writing) = Queue::start("test", 8, Stuck(held)).unwrap();
        for _ in 0..100 {
            queue.add(b"line\n".to_vec());
        }
        assert!(queue.dropped() >= 91, "eight wait, one is being written");
        let before = Instant::now();
        drop(writing);
        assert!(before.elapsed() < 10 * LAST_LINES);
    }
}
