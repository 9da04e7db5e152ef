//! The program: arguments, configuration, runtime, exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use mimalloc::MiMalloc;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tracing::Level;
use wsgate::cli::{self, Command, DemoPorts, Exit, demo};
use wsgate::config::{self, Address, Config};
use wsgate::server::{
    FileSource, Hangup, Loaded, Outcome, Server, Signals, Source, hold_signals, load,
};
use wsgate::telemetry::{Logging, Reader, Telemetry, journal};
use wsgate::tls::{self, Material, Tickets};

// Measured: less time per handshake and request, less memory per session (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long a TLS handshake with the demo may take.
const DEMO_HANDSHAKE: Duration = Duration::from_secs(10);

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
            block_on(run_demo(ports))
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

/// Runs four backends, a gateway in front of them, and a page to try it with.
async fn run_demo(wanted: DemoPorts) -> anyhow::Result<Exit> {
    let wanted = wanted.without_clashes();
    let ports = DemoPorts {
        page: free(wanted.page),
        ws: free(wanted.ws),
        wss: free(wanted.wss),
        admin: free(wanted.admin),
    };
    let backends = demo::Backends::start()
        .await
        .context("a backend cannot be started")?;
    let page = demo::Page::bind(ports.page)
        .await
        .context("the page cannot be served")?;
    let page_address = page.address();
    let text = demo::configuration(&backends, page_address, ports);
    let (certificate, key) = tls::self_signed(&demo::CERTIFICATE_NAMES)?;
    let client = tls::client_in_memory(certificate.clone())?;
    let source = DemoSource {
        text,
        certificate,
        key,
        tickets: Tickets::default(),
    };
    let mut serving = None;
    serve(source, Hangup::Stop, |server| {
        let addresses = demo::Addresses {
            page: page_address,
            ws: address_of(server, "ws")?,
            wss: address_of(server, demo::SECURE_LISTENER)?,
            admin: tcp(server.admin_address())?,
        };
        serving = Some(page.serve(&addresses));
        let words = demo::words(&backends, &addresses);
        writeln!(io::stdout().lock(), "{words}")?;
        tokio::spawn(async move {
            let tried = demo::trial(&addresses, &client).await;
            // Whoever closed the output does not want to read it.
            let _ = writeln!(io::stdout().lock(), "{tried}");
        });
        Ok(())
    })
    .await
}

/// The demo's configuration, and a certificate made in memory.
struct DemoSource {
    text: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    tickets: Tickets,
}

impl Source for DemoSource {
    fn load(&self) -> Result<Loaded, Vec<String>> {
        let config = Config::parse(&self.text, &self.name(), Path::new("."), &environment)
            .map_err(|problems| problems.lines())?;
        let chain = vec![self.certificate.clone()];
        let key = self.key.clone_key();
        let tls = tls::server_in_memory(chain, key, DEMO_HANDSHAKE, &self.tickets)
            .map_err(|problem| vec![problem.to_string()])?;
        let tls = Material {
            listeners: [(demo::SECURE_LISTENER.into(), tls)].into(),
            ..Material::default()
        };
        Ok(Loaded::new(config, tls))
    }

    fn name(&self) -> String {
        "demo".to_owned()
    }
}

/// `port`, or 0 for any free port if it is in use; the port that was bound is printed.
fn free(port: u16) -> u16 {
    let is_free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    if is_free { port } else { 0 }
}

fn address_of(server: &Server, listener: &str) -> anyhow::Result<std::net::SocketAddr> {
    let addresses = server.addresses();
    tcp(addresses
        .get(listener)
        .context("the demo has this listener")?)
}

fn tcp(address: &Address) -> anyhow::Result<std::net::SocketAddr> {
    match address {
        Address::Tcp(address) => Ok(*address),
        Address::Unix(_) => Err(anyhow!("the demo listens at TCP addresses")),
    }
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
