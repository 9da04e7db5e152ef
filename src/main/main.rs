//! The program: arguments, configuration, runtime, exit code.

mod demo;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use mimalloc::MiMalloc;
use tracing::Level;
use wsgate::cli::{self, Command, Exit};
use wsgate::config;
use wsgate::server::{FileSource, Hangup, Outcome, Server, Signals, Source, hold_signals, load};
use wsgate::telemetry::{Logging, Reader, Telemetry, journal};
use wsgate::tls::Tickets;

// Measured: less time per handshake and request, less memory per session (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let exit = match cli::parse(std::env::args_os()) {
        Ok(command) => execute(command).unwrap_or_else(|error| {
            report(&error);
            Exit::Failed
        }),
        Err(exit) => exit,
    };
    exit.into()
}

fn execute(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run(file) => {
            hold_signals()?;
            run(&file.config)
        }
        Command::Check(file) => {
            let mut output = io::stdout().lock();
            Ok(cli::check::check(&file.config, &environment, &mut output)?)
        }
        Command::Demo(ports) => {
            hold_signals()?;
            block_on(demo::run(ports))
        }
        Command::Reload(gateway) => block_on(async move {
            let mut output = io::stdout();
            Ok(cli::reload::reload(gateway, &environment, &mut output).await?)
        }),
        Command::Schema => {
            writeln!(io::stdout().lock(), "{}", config::json_schema())?;
            Ok(Exit::Done)
        }
    }
}

fn run(path: &Path) -> anyhow::Result<Exit> {
    let source = FileSource::new(path.to_owned(), Box::new(environment), Tickets::default());
    block_on(serve(source, Hangup::Reload, |_| Ok(())))
}

/// Serves until told to stop; `ready` is called when everything is bound.
async fn serve(
    source: impl Source,
    on_hangup: Hangup,
    ready: impl FnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::hear(on_hangup).context("signals cannot be heard")?;
    let source: Arc<dyn Source> = Arc::new(source);
    let loaded = tokio::select! {
        loaded = load(&source) => loaded.map_err(join_lines)?,
        () = signals.stop() => return Ok(Exit::Done),
    };
    let logging = Logging::start(&loaded.config.log, reader())?;
    // Dropping the guard writes queued lines of the access log, so it outlives the server, which keeps `logging`.
    let (telemetry, _flush) = Telemetry::start(&loaded.config.log)
        .context("no thread can be started for the access log")?;
    let server = Server::start(source, loaded, telemetry, Some(logging));
    let server = server.await.map_err(join_lines)?;
    signals.forward(server.commands());
    ready(&server)?;
    Ok(match server.run().await {
        Outcome::Drained => Exit::Done,
        Outcome::Cut(_) => Exit::Failed,
    })
}

/// Runs on the runtime of signals, reloads and drains; traffic has its own runtimes.
fn block_on(life: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(life)
}

/// The environment is read here and nowhere else.
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn join_lines(problems: Vec<String>) -> anyhow::Error {
    anyhow!(problems.join("\n"))
}

fn report(error: &anyhow::Error) {
    let priority = match reader() {
        Reader::Journal => journal::priority(Level::ERROR),
        Reader::Terminal | Reader::Plain => "",
    };
    for line in format!("wsgate: {error:#}").lines() {
        // Writing fails if the terminal is gone; nobody is left to see it.
        let _ = writeln!(io::stderr().lock(), "{priority}{line}");
    }
}

/// What reads stderr. NO_COLOR turns colours off at a terminal (<https://no-color.org>).
fn reader() -> Reader {
    if journal::reads_stderr(environment("JOURNAL_STREAM").as_deref()) {
        return Reader::Journal;
    }
    let without_colors = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stderr().is_terminal() && !without_colors {
        Reader::Terminal
    } else {
        Reader::Plain
    }
}
