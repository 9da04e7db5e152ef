//! The diagnostic log: what the gateway says about itself, on stderr.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Lines that may wait to be written; more are dropped.
const QUEUED_LINES: usize = 4 * 1024;

/// The running diagnostic log; dropping it writes out what is queued.
pub struct Logging {
    filter: reload::Handle<Targets, Filtered>,
    _worker: WorkerGuard,
}

type Filtered = Registry;

/// The process logs already; there is one diagnostic log for all of it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the diagnostic log was started twice")]
pub struct LoggingAlreadyStarted;

impl Logging {
    /// Sends the events of the whole process to stderr, by a thread of its own.
    pub fn start(log: &Log) -> Result<Self, LoggingAlreadyStarted> {
        let (queue, worker) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUED_LINES)
            .lossy(true)
            .thread_name("log")
            .finish(io::stderr());
        let (filter, handle) = reload::Layer::new(targets(log.level));
        tracing_subscriber::registry()
            .with(filter)
            .with(lines(log.format, queue))
            .try_init()
            .map_err(|_already| LoggingAlreadyStarted)?;
        Ok(Self {
            filter: handle,
            _worker: worker,
        })
    }

    /// Changes the least level that is written, at once. The form of a line is fixed at the start.
    pub fn set_level(&self, level: Level) {
        if self.filter.reload(targets(level)).is_err() {
            tracing::warn!(%level, "the log level could not be changed");
        }
    }
}

/// Our own events at `level`; those of libraries only from warnings up, because their details may hold
/// what clients sent.
fn targets(level: Level) -> Targets {
    let level = LevelFilter::from_level(level);
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("wsgate", level)
}

fn lines<S>(format: LogFormat, queue: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = fmt::layer().with_writer(queue).with_target(false);
    match format {
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
    }
}
