//! Reading the configuration, beside whoever has to obey meanwhile: a file may hang, on a network file system for example.

use std::future;
use std::io;
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::source::{Loaded, Source};
use crate::admin::ReloadReport;

/// All of a configuration, or every problem, each a line.
type Outcome = Result<Loaded, Vec<String>>;

/// Those who want the report of a reload; a signal does not.
type Askers = Vec<oneshot::Sender<ReloadReport>>;

/// Reads all of `source` on a thread of its own, for which nobody has to wait.
///
/// # Errors
/// Every problem, each a line.
pub async fn load(source: &Arc<dyn Source>) -> Result<Loaded, Vec<String>> {
    outcome(&mut begin(source)).await
}

/// The reloads that were asked for. One is read at a time; all that are asked for meanwhile are one more.
pub(super) struct Loading {
    source: Arc<dyn Source>,
    reading: Option<Reading>,
    /// Who asked while a file was read that may be older than what they mean.
    next: Option<Askers>,
}

/// A reading under way.
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

    /// Reads the source, now or once it has been read.
    pub(super) fn ask(&mut self, asker: Option<oneshot::Sender<ReloadReport>>) {
        let askers = self.next.get_or_insert_default();
        // Whoever has left makes room, so that there are no more than the admin side has connections.
        askers.retain(|asker| !asker.is_closed());
        askers.extend(asker);
        self.go_on();
    }

    /// Ready when the source has been read. May be dropped and called again; [`Loading::report`] has to follow.
    pub(super) async fn outcome(&mut self) -> Outcome {
        match &mut self.reading {
            Some(reading) => outcome(&mut reading.outcome).await,
            None => future::pending().await,
        }
    }

    /// Tells those who asked what came of it, and reads once more if it was asked for meanwhile.
    pub(super) fn report(&mut self, report: &ReloadReport) {
        let reading = self.reading.take();
        for asker in reading.into_iter().flat_map(|reading| reading.askers) {
            // Who asked may have left; the log has the report as well.
            let _ = asker.send(report.clone());
        }
        self.go_on();
    }

    /// Forgets what was asked for; whoever waits is let go.
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
        // Who waited may have given up.
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
