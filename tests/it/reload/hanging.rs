//! A configuration that takes for ever to be read, as on a network file system that hangs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use wsgate::admin::ReloadReport;
use wsgate::server::{Command, FileSource, Loaded, Outcome, Server, Source};
use wsgate::telemetry::Telemetry;
use wsgate::tls::Tickets;

use crate::harness::{directory, eventually, soon};

const YAML: &str = "
admin: { address: 127.0.0.1:0 }
listeners: { main: { address: 127.0.0.1:0 } }
routes: { fixed: { respond: { status: 200 } } }
";

/// A file of which each reading waits for a word.
struct Hanging {
    file: FileSource,
    begun: AtomicUsize,
    words: Mutex<mpsc::Receiver<()>>,
}

impl Hanging {
    /// With what gives the word; when that is dropped, nothing hangs any more.
    fn new(path: PathBuf) -> (Arc<Self>, mpsc::Sender<()>) {
        let (go, words) = mpsc::channel();
        let tickets = Tickets::default();
        let hanging = Self {
            file: FileSource::new(path, Box::new(|_| None), tickets),
            begun: AtomicUsize::new(0),
            words: Mutex::new(words),
        };
        (Arc::new(hanging), go)
    }

    async fn has_begun(&self, count: usize) {
        let has_begun = || self.begun.load(Ordering::Relaxed) == count;
        eventually("the file is being read", has_begun).await;
    }
}

impl Source for Hanging {
    fn load(&self) -> Result<Loaded, Vec<String>> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = words.recv();
        self.file.load()
    }

    fn name(&self) -> String {
        self.file.name()
    }
}

async fn ask(server: &tokio::sync::mpsc::Sender<Command>) -> oneshot::Receiver<ReloadReport> {
    let (asker, report) = oneshot::channel();
    let sent = server.send(Command::Reload(Some(asker))).await;
    assert!(sent.is_ok(), "the gateway has ended");
    let is_heard = || server.capacity() == server.max_capacity();
    eventually("the gateway hears of it", is_heard).await;
    report
}

#[tokio::test]
async fn a_stop_does_not_wait_for_it_and_who_asks_meanwhile_shares_one_more_reading() {
    let directory = directory();
    let path = directory.path().join("wsgate.yaml");
    std::fs::write(&path, YAML).expect("the directory takes files");
    let (source, go) = Hanging::new(path);
    let loaded = source
        .file
        .load()
        .unwrap_or_else(|errors| panic!("{errors:?}"));
    let (telemetry, _flush) =
        Telemetry::with_writer(&loaded.config.log, std::io::sink()).expect("a thread");
    let server = Server::start(Arc::clone(&source) as _, loaded, telemetry, None).await;
    let server = server.unwrap_or_else(|errors| panic!("{errors:?}"));
    let commands = server.commands();
    let running = tokio::spawn(server.run());

    let first = ask(&commands).await;
    source.has_begun(1).await;
    let mut second = ask(&commands).await;
    let third = ask(&commands).await;
    go.send(()).expect("the file is being read");
    let unchanged = ReloadReport::Unchanged { changes: vec![] };
    assert_eq!(soon("a report", first).await.as_ref(), Ok(&unchanged));
    source.has_begun(2).await;
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    go.send(()).expect("the file is being read");
    assert_eq!(soon("a report", second).await.as_ref(), Ok(&unchanged));
    assert_eq!(soon("a report", third).await.as_ref(), Ok(&unchanged));

    let last = ask(&commands).await;
    source.has_begun(3).await;
    let sent = commands.send(Command::Stop).await;
    assert!(sent.is_ok(), "the gateway has ended");
    let outcome = soon("the end of the gateway", running).await;
    assert_eq!(outcome.expect("no panic"), Outcome::Drained);
    assert!(soon("an answer", last).await.is_err());
}
