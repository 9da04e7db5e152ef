//! Puts lines of the diagnostic log into its queue, with a priority if they go to systemd's journal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::line::as_one_line;
use super::queue::Queue;

/// Whether stderr goes to the journal: `address`, the value of JOURNAL_STREAM, is its device and inode (systemd.exec(5)).
#[must_use]
pub fn reads_stderr(address: Option<&OsStr>) -> bool {
    let named = address.and_then(OsStr::to_str);
    named.is_some() && named == stderr_address().ok().as_deref()
}

fn stderr_address() -> io::Result<String> {
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let metadata = stderr.metadata()?;
    Ok(format!("{}:{}", metadata.dev(), metadata.ino()))
}

/// The prefix of a line that gives it this priority in the journal (sd-daemon(3)).
#[must_use]
pub fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// Makes a [`Line`] for each event.
pub(super) struct Lines {
    queue: Queue,
    is_journal: bool,
}

impl Lines {
    pub(super) fn new(queue: Queue, is_journal: bool) -> Self {
        Self { queue, is_journal }
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Line<'w>;

    fn make_writer(&'w self) -> Line<'w> {
        Line {
            queue: &self.queue,
            priority: "",
        }
    }

    fn make_writer_for(&'w self, event: &Metadata<'_>) -> Line<'w> {
        let mut line = self.make_writer();
        if self.is_journal {
            line.priority = priority(*event.level());
        }
        line
    }
}

/// One line. The formatter writes a whole line by one call.
pub(super) struct Line<'w> {
    queue: &'w Queue,
    priority: &'static str,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = as_one_line(text.strip_suffix('\n').unwrap_or(&text));
        let whole = [self.priority, &*text, "\n"].concat();
        // Nobody counts those that find no room.
        let _ = self.queue.add(whole.into_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
