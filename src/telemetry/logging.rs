//! The diagnostic log: what the gateway says about itself, on stderr.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use super::blocking::Blocking;
use super::journal;
use super::line::as_one_line;
use super::queue::{Direct, Queue, Writing};
use crate::config::{Log, LogFormat};

/// The capacity of the queue in lines; further lines are dropped.
const QUEUED_LINES: usize = 4 * 1024;

/// The running diagnostic log; dropping it writes out what is queued.
pub struct Logging {
    level: LevelHandle,
    _writing: Writing,
}

type LevelHandle = reload::Handle<Targets, Registry>;

/// What reads the diagnostic log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// systemd's journal, which takes the priority of each line.
    Journal,
    /// A terminal, where text lines are coloured.
    Terminal,
    /// Anything else: plain lines.
    Plain,
}

/// Why the diagnostic log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LoggingFault {
    /// The process has a diagnostic log already.
    #[error("the diagnostic log was started twice")]
    AlreadyStarted,
    /// No thread can be started.
    #[error("no thread can be started for the diagnostic log: {0}")]
    NoThread(io::Error),
}

impl Logging {
    /// Writes the events of the whole process to stderr, on a thread of its own, in the form for `reader`.
    ///
    /// # Errors
    /// When there is a diagnostic log already, or no thread can be started.
    pub fn start(log: &Log, reader: Reader) -> Result<Self, LoggingFault> {
        let (queue, writing) =
            Queue::start("log", QUEUED_LINES, Direct::new(Blocking(io::stderr())))
                .map_err(LoggingFault::NoThread)?;
        let (subscriber, level) = subscriber(log, queue, reader);
        subscriber
            .try_init()
            .map_err(|_already| LoggingFault::AlreadyStarted)?;
        Ok(Self {
            level,
            _writing: writing,
        })
    }

    /// Changes the minimum level, at once. The format of lines is fixed at the start.
    pub fn set_level(&self, level: Level) {
        if self.level.reload(targets(level)).is_err() {
            tracing::warn!(%level, "the log level could not be changed");
        }
    }
}

fn subscriber(
    log: &Log,
    queue: Queue,
    reader: Reader,
) -> (impl Subscriber + Send + Sync + 'static, LevelHandle) {
    let (filter, level) = reload::Layer::new(targets(log.level));
    let is_journal = reader == Reader::Journal;
    let layer = fmt::layer().with_writer(Lines { queue, is_journal });
    let lines = match log.format {
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => layer.with_ansi(reader == Reader::Terminal).boxed(),
    };
    (
        tracing_subscriber::registry().with(filter).with(lines),
        level,
    )
}

/// Our own events at `level`, those of libraries only if they are errors: details of others may contain client data, and a
/// client can make h2 warn with every frame.
fn targets(level: Level) -> Targets {
    let level = LevelFilter::from_level(level);
    Targets::new()
        .with_default(level.min(LevelFilter::ERROR))
        .with_target("wsgate", level)
}

/// Makes a [`LogLine`] for each event.
struct Lines {
    queue: Queue,
    is_journal: bool,
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = LogLine<'w>;

    fn make_writer(&'w self) -> LogLine<'w> {
        LogLine {
            queue: &self.queue,
            priority: "",
        }
    }

    fn make_writer_for(&'w self, event: &Metadata<'_>) -> LogLine<'w> {
        let mut line = self.make_writer();
        if self.is_journal {
            line.priority = journal::priority(*event.level());
        }
        line
    }
}

/// One line. The formatter writes a whole line by one call.
struct LogLine<'w> {
    queue: &'w Queue,
    priority: &'static str,
}

impl Write for LogLine<'_> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::AccessLog;
    use crate::telemetry::kept::Kept;

    /// What `act` logs.
    fn logged(format: LogFormat, act: impl FnOnce(&LevelHandle)) -> String {
        logged_to(Reader::Plain, format, act)
    }

    fn logged_to(reader: Reader, format: LogFormat, act: impl FnOnce(&LevelHandle)) -> String {
        let access = AccessLog {
            open: true,
            close: true,
            request: true,
            redact_query: true,
        };
        let log = Log {
            format,
            level: Level::INFO,
            access,
        };
        let kept = Kept::default();
        let (queue, writing) = Queue::start("test", 64, Direct::new(kept.clone())).unwrap();
        let (subscriber, level) = subscriber(&log, queue, reader);
        tracing::subscriber::with_default(Arc::new(subscriber), || act(&level));
        drop(writing);
        kept.text()
    }

    #[test]
    fn json_lines_carry_their_fields() {
        let text = logged(LogFormat::Json, |_| {
            tracing::warn!(request_id = "request-1", backend = "a", "a backend failed");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "a backend failed");
        assert_eq!(line["backend"], "a");
        assert_eq!(line["request_id"], "request-1");
    }

    #[test]
    fn the_journal_is_told_what_each_line_is_worth() {
        let text = logged_to(Reader::Journal, LogFormat::Json, |_| {
            tracing::error!("refused");
            tracing::warn!("odd");
            tracing::info!("usual");
        });
        let worth: Vec<_> = text.lines().map(|line| &line[..4]).collect();
        assert_eq!(worth, ["<3>{", "<4>{", "<6>{"]);
    }

    #[test]
    fn only_text_for_a_terminal_has_colours() {
        let is_coloured = |reader, format| {
            let text = logged_to(reader, format, |_| tracing::warn!("odd"));
            text.contains('\u{1b}')
        };
        assert!(is_coloured(Reader::Terminal, LogFormat::Text));
        assert!(!is_coloured(Reader::Terminal, LogFormat::Json));
        assert!(!is_coloured(Reader::Plain, LogFormat::Text));
        assert!(!is_coloured(Reader::Journal, LogFormat::Text));
    }

    #[test]
    fn what_is_written_backwards_is_told_forwards() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format, |_| tracing::warn!("odd: {}", "a\u{202e}b"));
            assert!(text.contains("odd: a\\u202eb"), "{text}");
        }
    }

    /// A name server may say anything.
    #[test]
    fn no_value_begins_another_line() {
        for reader in [Reader::Plain, Reader::Journal, Reader::Terminal] {
            let text = logged_to(reader, LogFormat::Text, |_| {
                tracing::warn!(name = "x\ny", "odd: {}", "a\r\n<3>2026 WARN b\u{1b}[0m");
            });
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(
                text.contains("odd: a\\u000d\\u000a<3>2026 WARN b"),
                "{text}"
            );
            let is_control = |it: char| it.is_control() && it != '\u{1b}';
            assert!(!text.trim_end().contains(is_control), "{text:?}");
            assert!(!text.contains("b\u{1b}[0m"), "{text:?}");
        }
    }

    #[test]
    fn the_level_changes_at_once_and_keeps_libraries_quiet() {
        let text = logged(LogFormat::Text, |level| {
            tracing::debug!("before");
            level.reload(targets(Level::DEBUG)).unwrap();
            tracing::debug!("after");
            tracing::debug!(target: "hyper::proto", "of a library");
            tracing::warn!(target: "h2::proto", "a frame that nobody asked for");
            tracing::error!(target: "hyper::proto", "loud library");
            level.reload(targets(Level::ERROR)).unwrap();
            tracing::warn!("too quiet");
            tracing::warn!(target: "hyper::proto", "too quiet");
        });
        let said: Vec<_> = text
            .lines()
            .map(|line| line.rsplit(": ").next().unwrap())
            .collect();
        assert_eq!(said, ["after", "loud library"]);
    }
}
