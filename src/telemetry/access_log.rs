//! The access log: a bounded queue of lines and the thread that writes them.
//!
//! What a line says is decided by `record`; here is only where it goes. A full queue drops lines and
//! counts them, because a slow disk or terminal must not hold up sessions.

use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use super::line::Line;
use crate::config::{self, LogFormat};

/// Lines that may wait to be written.
const QUEUED_LINES: usize = 16 * 1024;

/// How long lines gather before they are written: a busy gateway so wakes the writing thread and calls the
/// system for many lines at a time, instead of for each.
const GATHERING: Duration = Duration::from_millis(20);
/// Bytes of lines that are written at once.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// The access log of a process.
pub struct AccessLog {
    queue: NonBlocking,
    dropped: ErrorCounter,
    format: LogFormat,
    open: AtomicBool,
    close: AtomicBool,
    request: AtomicBool,
    redact_query: AtomicBool,
}

impl AccessLog {
    /// Starts the thread that writes to `writer`; dropping the guard writes out what is queued.
    pub fn start(log: &config::Log, writer: impl Write + Send + 'static) -> (Self, FlushGuard) {
        let (queue, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUED_LINES)
            .lossy(true)
            .thread_name("access-log")
            .finish(Gathered(BufWriter::with_capacity(WRITTEN_AT_ONCE, writer)));
        let access_log = Self {
            dropped: queue.error_counter(),
            queue,
            format: log.format,
            open: AtomicBool::new(log.access.open),
            close: AtomicBool::new(log.access.close),
            request: AtomicBool::new(log.access.request),
            redact_query: AtomicBool::new(log.access.redact_query),
        };
        (access_log, FlushGuard { _worker: guard })
    }

    /// Takes over which lines are written and whether queries are redacted, from the next line on. The
    /// form of a line is fixed at the start.
    pub fn apply(&self, settings: &config::AccessLog) {
        self.open.store(settings.open, Relaxed);
        self.close.store(settings.close, Relaxed);
        self.request.store(settings.request, Relaxed);
        self.redact_query.store(settings.redact_query, Relaxed);
    }

    /// How many lines were dropped because the queue was full.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.dropped.dropped_lines() as u64
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

    pub(super) fn line(&self) -> Line {
        Line::new(self.format)
    }

    pub(super) fn write(&self, line: Line) {
        // The queue takes a line or counts it as dropped; it reports no error.
        let _: io::Result<()> = self.queue.clone().write_all(line.finish().as_bytes());
    }
}

/// Writes out the lines still queued when it is dropped, for at most a second; the last thing a process
/// lets go of.
#[must_use = "lines are lost when it is dropped early"]
pub struct FlushGuard {
    _worker: WorkerGuard,
}

/// What the writing thread writes to. It flushes whenever it has found the queue empty, and waits to be woken
/// for the next line only after that.
struct Gathered<W: Write>(BufWriter<W>);

impl<W: Write> Write for Gathered<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(GATHERING);
        Ok(())
    }
}
