//! Reads the configuration on a thread of its own, so that the server can execute commands meanwhile: a read may hang, for
//! instance on a network file system.

use std::future;
use std::io;
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::source::{Loaded, Source};
use crate::admin::ReloadReport;

/// A configuration, or one line for each problem.
type Outcome = Result<Loaded, Vec<String>>;

/// Where the report of a reload goes; a signal wants none.
type Askers = Vec<oneshot::Sender<ReloadReport>>;

/// Reads all of `source` on a thread of its own; dropping the future does not wait for it.
///
/// # Errors
/// One line for each problem.
pub async fn load(source: &Arc<dyn Source>) -> Result<Loaded, Vec<String>> {
    outcome(&mut begin(source)).await
}

/// The requested reloads. One read runs at a time; all requests that arrive meanwhile share the next one.
pub(super) struct Loading {
    source: Arc<dyn Source>,
    reading: Option<Reading>,
    /// Requests that arrived during a read, which may have missed the change that they are about.
    next: Option<Askers>,
}

/// A read in progress.
struct Reading {
    outcome: oneshot::Receiver<Outcome>,
    askers: Askers,
}

impl Loading {
    pub(super) fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            reading: None,
            next: None,
        }
    }

    pub(super) fn source_name(&self) -> String {
        self.source.name()
    }

    /// Reads the source, now or after the read in progress.
    pub(super) fn ask(&mut self, asker: Option<oneshot::Sender<ReloadReport>>) {
        let askers = self.next.get_or_insert_default();
        // Without callers that have left there are no more than the admin side has connections.
        askers.retain(|asker| !asker.is_closed());
        askers.extend(asker);
        self.go_on();
    }

    /// Ready when the source has been read. Cancel safe; [`Loading::report`] must be called with the result.
    pub(super) async fn outcome(&mut self) -> Outcome {
        match &mut self.reading {
            Some(reading) => outcome(&mut reading.outcome).await,
            None => future::pending().await,
        }
    }

    /// Sends the report to the callers that asked, and starts the next read if there were requests meanwhile.
    pub(super) fn report(&mut self, report: &ReloadReport) {
        let reading = self.reading.take();
        for asker in reading.into_iter().flat_map(|reading| reading.askers) {
            // An error means that the asker has left; the log has the report as well.
            let _ = asker.send(report.clone());
        }
        self.go_on();
    }

    /// Drops all requests; the callers that wait get an error.
    pub(super) fn give_up(&mut self) {
        self.reading = None;
        self.next = None;
    }

    fn go_on(&mut self) {
        if self.reading.is_some() {
            return;
        }
        self.reading = self.next.take().map(|askers| Reading {
            outcome: begin(&self.source),
            askers,
        });
    }
}

fn begin(source: &Arc<dyn Source>) -> oneshot::Receiver<Outcome> {
    let (sender, outcome) = oneshot::channel();
    let source = Arc::clone(source);
    let read = move || {
        // An error means that no caller waits any more.
        let _ = sender.send(source.load());
    };
    match thread::Builder::new().name("load".to_owned()).spawn(read) {
        Ok(_) => outcome,
        Err(error) => unread(&error),
    }
}

fn unread(error: &io::Error) -> oneshot::Receiver<Outcome> {
    let (sender, outcome) = oneshot::channel();
    let problem = format!("no thread can be started to read the configuration: {error}");
    let _ = sender.send(Err(vec![problem]));
    outcome
}

async fn outcome(reading: &mut oneshot::Receiver<Outcome>) -> Outcome {
    let failed = |_| Err(vec!["it could not be read".to_owned()]);
    reading.await.unwrap_or_else(failed)
}
