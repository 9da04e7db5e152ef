//! Stopping in order: not ready, listeners closed, sessions drained, the rest cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::Server;
use super::signals::Command;
use crate::admin::ReloadReport;
use crate::drain::{Drain, Plan};
use crate::telemetry::Telemetry;

/// How a gateway stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every session ended in its time.
    Drained,
    /// So many connections were cut.
    Cut(usize),
}

/// How long those who are cut are given to write their records.
const LAST_RECORDS: Duration = Duration::from_secs(1);
/// How often the progress of a drain is shown.
const PROGRESS: Duration = Duration::from_millis(200);

impl Server {
    pub(super) async fn stop(mut self) -> Outcome {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let config = self.shared.current.load().config.drain.clone();
        let drains = self.shared.ports().drains();
        let deadline = Instant::now() + config.deadline;
        tracing::info!(connections = open(&drains), "stopping");
        let is_patient = tokio::select! {
            () = sleep(config.grace) => true,
            () = second_stop(&mut self.commands) => false,
        };
        self.close_listeners();
        if is_patient {
            drains
                .iter()
                .for_each(|drain| drain.begin(Plan::now(config.window)));
            tokio::select! {
                () = ended(&drains, &self.telemetry) => {}
                () = sleep_until(deadline) => {}
                () = second_stop(&mut self.commands) => {}
            }
        }
        self.cut(&drains).await
    }

    async fn cut(&self, drains: &[Arc<Drain>]) -> Outcome {
        let left = open(drains);
        if left == 0 {
            tracing::info!("stopped");
            return Outcome::Drained;
        }
        drains.iter().for_each(|drain| drain.cut());
        // Whoever does not hear it in time ends with the workers.
        let _ = timeout(LAST_RECORDS, ended(drains, &self.telemetry)).await;
        tracing::warn!(connections = left, "stopped; these were cut");
        Outcome::Cut(left)
    }

    fn close_listeners(&self) {
        for port in self.shared.ports().iter_mut() {
            port.remove_file();
            port.close();
        }
    }
}

fn open(drains: &[Arc<Drain>]) -> usize {
    drains.iter().map(|drain| drain.open()).sum()
}

/// Ready when no connection is left; shows how many are until then.
async fn ended(drains: &[Arc<Drain>], telemetry: &Telemetry) {
    let mut progress = interval(PROGRESS);
    loop {
        let left = open(drains);
        telemetry.metrics.set_drain_sessions(left);
        if left == 0 {
            return;
        }
        progress.tick().await;
    }
}

/// Ready when a stop is asked for once more. A reload that is asked for meanwhile is refused.
async fn second_stop(commands: &mut mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Stop => return,
            Command::Reload(None) => {}
            Command::Reload(Some(answer)) => {
                let errors = vec!["the gateway is stopping".to_owned()];
                // Who asked may have left.
                let _ = answer.send(ReloadReport::Refused { errors });
            }
        }
    }
    std::future::pending().await
}
