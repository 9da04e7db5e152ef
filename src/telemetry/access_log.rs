//! The access log: a bounded queue of lines and the thread that writes them.
//!
//! `record` decides what a line says. If the queue is full or a line cannot be written, it is dropped and counted: a slow disk
//! or terminal must not hold up sessions.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;

use super::line::Line;
use super::queue::{Output, Queue, Writing, write_as_much_as_goes};
use crate::config::{self, LogFormat};

/// The capacity of the queue in lines.
const QUEUED_LINES: usize = 16 * 1024;

/// How long lines are collected before they are written, so that a busy gateway wakes the thread and makes a system call for
/// many lines at a time.
const BATCH_TIME: Duration = Duration::from_millis(20);
/// The maximum size of a batch in bytes.
const BATCH_SIZE: usize = 64 * 1024;

/// The access log of the process.
pub struct AccessLog {
    queue: Queue,
    /// Lines that were dropped.
    dropped: IntCounter,
    format: LogFormat,
    open: AtomicBool,
    close: AtomicBool,
    request: AtomicBool,
    redact_query: AtomicBool,
}

impl AccessLog {
    /// Starts the thread that writes to `writer`; dropping the guard writes out what is queued. Lines that find no room in the
    /// queue or cannot be written are counted in `dropped`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(
        log: &config::Log,
        writer: impl Write + Send + 'static,
        dropped: IntCounter,
    ) -> io::Result<(Self, FlushGuard)> {
        let batches = Batches::new(writer, dropped.clone());
        let (queue, writing) = Queue::start("access-log", QUEUED_LINES, batches)?;
        let access_log = Self {
            queue,
            dropped,
            format: log.format,
            open: AtomicBool::new(log.access.open),
            close: AtomicBool::new(log.access.close),
            request: AtomicBool::new(log.access.request),
            redact_query: AtomicBool::new(log.access.redact_query),
        };
        Ok((access_log, FlushGuard { _writing: writing }))
    }

    /// Applies which lines are written and whether queries are redacted, from the next line on. Lines that are turned on
    /// are those of requests that begin later. The format of lines is fixed at the start.
    pub fn apply(&self, settings: &config::AccessLog) {
        self.open.store(settings.open, Relaxed);
        self.close.store(settings.close, Relaxed);
        self.request.store(settings.request, Relaxed);
        self.redact_query.store(settings.redact_query, Relaxed);
    }

    pub(super) fn writes_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    pub(super) fn writes_close(&self) -> bool {
        self.close.load(Relaxed)
    }

    pub(super) fn writes_request(&self) -> bool {
        self.request.load(Relaxed)
    }

    pub(super) fn redacts_query(&self) -> bool {
        self.redact_query.load(Relaxed)
    }

    pub(super) fn format(&self) -> LogFormat {
        self.format
    }

    pub(super) fn write(&self, line: Line) {
        if !self.queue.add(line.finish().into()) {
            self.dropped.inc();
        }
    }
}

/// When dropped, writes out the lines still queued, for at most a second. Must outlive everything that logs.
#[must_use = "lines are lost when it is dropped early"]
pub struct FlushGuard {
    _writing: Writing,
}

/// Collects lines and writes them in batches. Lines that cannot be written are counted and logged.
struct Batches<W> {
    writer: W,
    lines: Vec<u8>,
    /// Whether the first line has been written in part.
    is_partial: bool,
    dropped: IntCounter,
    is_failing: bool,
}

impl<W: Write> Batches<W> {
    fn new(writer: W, dropped: IntCounter) -> Self {
        Self {
            writer,
            lines: Vec::with_capacity(BATCH_SIZE),
            is_partial: false,
            dropped,
            is_failing: false,
        }
    }

    fn write_out(&mut self) {
        let (written, outcome) = write_as_much_as_goes(&mut self.writer, &self.lines);
        let outcome = outcome.and_then(|()| self.writer.flush());
        if let Some(last) = self.lines[..written].last() {
            self.is_partial = *last != b'\n';
        }
        self.lines.drain(..written);
        match outcome {
            Ok(()) if written > 0 && mem::take(&mut self.is_failing) => {
                tracing::info!("the access log is written again");
            }
            Ok(()) => {}
            Err(error) => self.lose_lines(&error),
        }
    }

    /// Drops what cannot be written, except for the rest of a partial line: without it the next line would be appended to
    /// that part.
    fn lose_lines(&mut self, error: &io::Error) {
        let end = self.lines.iter().position(|byte| *byte == b'\n');
        let kept = end.filter(|_| self.is_partial).map_or(0, |end| end + 1);
        let lost = self.lines[kept..].iter().filter(|byte| **byte == b'\n');
        self.dropped.inc_by(lost.count() as u64);
        self.lines.truncate(kept);
        if !mem::replace(&mut self.is_failing, true) {
            tracing::error!(%error, "the access log cannot be written: lines are lost");
        }
    }
}

impl<W: Write + Send + 'static> Output for Batches<W> {
    /// Adds a line to the batch.
    fn add(&mut self, line: &[u8]) {
        if self.lines.len() + line.len() > BATCH_SIZE {
            self.write_out();
        }
        self.lines.extend_from_slice(line);
    }

    fn pause(&mut self) {
        self.write_out();
        thread::sleep(BATCH_TIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::kept::Disk;

    fn batches(room: usize) -> Batches<Disk> {
        let dropped = IntCounter::new("dropped", "Lines that were dropped.").unwrap();
        Batches::new(Disk::with_room(room), dropped)
    }

    fn write(log: &mut Batches<Disk>, lines: &[&str]) {
        for line in lines {
            log.add(line.as_bytes());
        }
        log.pause();
    }

    #[test]
    fn lines_that_find_no_room_are_counted_and_none_is_torn() {
        let mut log = batches(6);
        write(&mut log, &["one\n", "two\n", "three\n"]);
        assert_eq!(log.dropped.get(), 1);
        write(&mut log, &["four\n", "five\n"]);
        assert_eq!(log.dropped.get(), 3);
        assert!(log.is_failing);
        log.writer.room = 100;
        write(&mut log, &["six\n"]);
        assert_eq!(log.writer.kept, b"one\ntwo\nsix\n");
        assert_eq!(log.dropped.get(), 3);
        assert!(!log.is_failing);
    }

    #[test]
    fn no_more_gathers_than_is_written_at_once() {
        let mut log = batches(0);
        let line = "x".repeat(1000) + "\n";
        for _ in 0..1000 {
            log.add(line.as_bytes());
            assert!(log.lines.len() <= BATCH_SIZE);
        }
        log.pause();
        assert_eq!(log.dropped.get(), 1000);
    }
}
