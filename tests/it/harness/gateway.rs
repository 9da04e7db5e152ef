//! A gateway in this process, on ports that the system chooses, from a file that scenarios may rewrite.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wsgate::admin::ReloadReport;
use wsgate::config::{Address, Name};
use wsgate::server::{Command, FileSource, Outcome, Server, Source};
use wsgate::telemetry::{FlushGuard, Telemetry};
use wsgate::tls::Tickets;

use super::log::Kept;
use super::metrics::Metrics;
use super::opening::Opening;
use super::patience::{eventually_some, soon};
use super::wire::{Answer, ask};

/// What a configuration begins with unless it says so itself.
const BEGINNINGS: [(&str, &str); 3] = [
    ("admin:", "admin: { address: \"127.0.0.1:0\" }\n"),
    ("runtime:", "runtime: { workers: 2 }\n"),
    (
        "listeners:",
        "listeners: { main: { address: \"127.0.0.1:0\" } }\n",
    ),
];

/// The metric of what requests came to.
const HANDSHAKES: &str = "wsgate_handshakes_total";

/// A running gateway; it ends when this is dropped.
pub(crate) struct Gateway {
    directory: TempDir,
    addresses: BTreeMap<Name, Address>,
    admin: SocketAddr,
    commands: mpsc::Sender<Command>,
    telemetry: Arc<Telemetry>,
    log: Kept,
    running: JoinHandle<Outcome>,
    _flush: FlushGuard,
}

impl Gateway {
    /// Starts one. What `yaml` leaves out is an admin side, two workers, and a plain listener `main`.
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::start_in(directory(), yaml).await
    }

    /// As [`Gateway::start`], with certificates and the like in `directory`, where relative paths begin.
    pub(crate) async fn start_in(directory: TempDir, yaml: &str) -> Self {
        let started = Self::try_start_in(directory, yaml).await;
        started.unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
    }

    /// As [`Gateway::start_in`], or every problem that the operator is told.
    pub(crate) async fn try_start_in(directory: TempDir, yaml: &str) -> Result<Self, Vec<String>> {
        write(directory.path(), yaml);
        let tickets = Tickets::default();
        let file = file_in(directory.path());
        let source = FileSource::new(file, Box::new(|_| None), tickets);
        let loaded = source.load()?;
        let log = Kept::default();
        let (telemetry, flush) =
            Telemetry::with_writer(&loaded.config.log, log.clone()).expect("a thread");
        let shared = Arc::clone(&telemetry);
        let server = Server::start(Arc::new(source), loaded, shared, None).await?;
        Ok(Self {
            directory,
            addresses: server.addresses(),
            admin: tcp(server.admin_address()),
            commands: server.commands(),
            telemetry,
            log,
            running: tokio::spawn(server.run()),
            _flush: flush,
        })
    }

    /// Where the listener `main` listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address_of("main")
    }

    /// Where a listener that was there from the start listens.
    pub(crate) fn address_of(&self, listener: &str) -> SocketAddr {
        tcp(self
            .addresses
            .get(listener)
            .expect("a listener of the start"))
    }

    /// Where a listener listens now, as the status says.
    pub(crate) async fn address_now(&self, listener: &str) -> SocketAddr {
        let status = self.status().await;
        let listeners = status["listeners"].as_array().expect("a list");
        let found = listeners.iter().find(|entry| entry["name"] == listener);
        let address = found.and_then(|entry| entry["address"].as_str());
        let address = address.expect("the listener is there");
        address.parse().expect("a TCP address")
    }

    /// The directory of its configuration.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes another configuration, completed as at the start, without telling the gateway.
    pub(crate) fn rewrite(&self, yaml: &str) {
        write(self.directory.path(), yaml);
    }

    /// Has it read its file again.
    pub(crate) async fn reload(&self) -> ReloadReport {
        let (sender, report) = oneshot::channel();
        self.command(Command::Reload(Some(sender))).await;
        let report = soon("a report", report).await;
        report.expect("the gateway answers")
    }

    /// Writes another configuration, has it read, and expects that it is taken.
    pub(crate) async fn change(&self, yaml: &str) {
        self.rewrite(yaml);
        let report = self.reload().await;
        let taken = matches!(report, ReloadReport::Taken { .. });
        assert!(taken, "{report:?}");
    }

    /// Tells it to stop, as SIGTERM does.
    pub(crate) async fn stop(&self) {
        self.command(Command::Stop).await;
    }

    /// Waits until it has stopped.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        let outcome = soon("the end of the gateway", &mut self.running).await;
        outcome.expect("the gateway does not panic")
    }

    /// Asks the admin side.
    pub(crate) async fn admin(&self, method: &str, path: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
        ask(self.admin, request).await
    }

    /// Where the admin side listens.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// What the admin side says of what runs.
    pub(crate) async fn status(&self) -> Value {
        let answer = self.admin("GET", "/status").await;
        serde_json::from_str(&answer.body).expect("the status is JSON")
    }

    /// Everything that is counted now.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::read(&self.telemetry.render())
    }

    /// The sum over the series of a metric that have these labels.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let value = self.metrics().value(name, labels);
        value.unwrap_or_else(|| panic!("no series of {name} has {labels:?}"))
    }

    /// How many requests of `route` came to `result`.
    pub(crate) fn handshakes(&self, route: &str, result: &str) -> f64 {
        let labels = [("route", route), ("result", result)];
        self.count(HANDSHAKES, &labels)
    }

    /// The access log.
    pub(crate) fn log(&self) -> &Kept {
        &self.log
    }

    /// The first line of the access log with this event, once it is there.
    pub(crate) async fn line(&self, event: &str) -> Value {
        let find = || {
            self.log
                .lines()
                .into_iter()
                .find(|line| line["event"] == event)
        };
        eventually_some(&format!("a line of the event {event}"), find).await
    }

    /// The first line with this event of the request that was sent as `id`, once it is there.
    pub(crate) async fn line_of(&self, event: &str, id: &str) -> Value {
        let fits = |line: &Value| line["event"] == event && line["request_id"] == id;
        let find = || self.log.lines().into_iter().find(fits);
        eventually_some(&format!("a line of the event {event} for {id}"), find).await
    }

    /// Every line of the access log up to now. Lines are written a moment after what they tell of, so a request follows,
    /// and its line, which is left out, is waited for.
    pub(crate) async fn lines_so_far(&self) -> Vec<Value> {
        let last = Opening::to("/").without("Sec-WebSocket-Key");
        ask(self.address(), last.with("X-Request-ID", "last").text()).await;
        let find = || {
            let mut lines = self.log.lines();
            let end = lines.iter().position(|line| line["request_id"] == "last")?;
            lines.truncate(end);
            Some(lines)
        };
        eventually_some("the last line", find).await
    }

    /// Sends a request that is to be refused, and looks at what is told of that: to the client in a few
    /// plain words, to the operator in the access log and in the count of the route (empty for none).
    pub(crate) async fn expect_refusal(&self, request: Opening, expected: Refusal<'_>) -> Answer {
        let Refusal {
            status,
            result,
            route,
        } = expected;
        let labels = [("route", route), ("result", result)];
        let before = self.count(HANDSHAKES, &labels);
        let id = format!("{result}-{before}");
        let request = request.with("X-Request-ID", &id).text();
        let answer = ask(self.address(), &request).await;
        assert_eq!(answer.status(), status, "{request}{answer:?}");
        expect_few_words(&answer);
        let line = self.line_of("refused", &id).await;
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["result"], result, "{line}");
        assert_eq!(self.count(HANDSHAKES, &labels), before + 1.0);
        answer
    }

    async fn command(&self, command: Command) {
        let sent = soon("a command taken", self.commands.send(command)).await;
        assert!(sent.is_ok(), "the gateway has ended");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// What a refusal is to look like.
#[derive(Clone, Copy)]
pub(crate) struct Refusal<'a> {
    /// The status of the answer.
    pub(crate) status: u16,
    /// The result in log and metrics.
    pub(crate) result: &'a str,
    /// The route that it is counted for; empty for none.
    pub(crate) route: &'a str,
}

/// A body that a person can read: plain text, one short line.
pub(crate) fn expect_few_words(answer: &Answer) {
    let kind = answer.value("content-type");
    assert_eq!(kind, Some("text/plain; charset=utf-8"), "{answer:?}");
    assert!((10..100).contains(&answer.body.len()), "{answer:?}");
    assert_eq!(answer.body.lines().count(), 1, "{answer:?}");
}

/// A directory for one scenario.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().expect("the system has room for a directory")
}

fn write(directory: &Path, yaml: &str) {
    let is_missing = |key: &str| !yaml.lines().any(|line| line.starts_with(key));
    let beginnings = BEGINNINGS.iter().filter(|(key, _)| is_missing(key));
    let mut text: String = beginnings.map(|(_, beginning)| *beginning).collect();
    text.push_str(yaml);
    std::fs::write(file_in(directory), text).expect("the directory takes files");
}

fn file_in(directory: &Path) -> PathBuf {
    directory.join("wsgate.yaml")
}

fn tcp(address: &Address) -> SocketAddr {
    match address {
        Address::Tcp(address) => *address,
        Address::Unix(path) => panic!("{} is no TCP address", path.display()),
    }
}
