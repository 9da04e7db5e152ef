//! Stopping in order: not ready, listeners closed, sessions drained, the rest cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Server;
use super::command::Command;
use super::supervisor;
use crate::admin::ReloadReport;
use crate::drain::{Drain, Plan};
use crate::telemetry::Metrics;

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

impl Server {
    /// Drains. After [`Command::Drain`] the process stays until it is told to stop.
    pub(super) async fn stop(mut self, command: Command) -> Outcome {
        let drains = self.shared.ports().drains();
        drains
            .iter()
            .for_each(|drain| self.shared.drains.note(drain));
        self.shared.stopping.store(true, Ordering::Relaxed);
        tracing::info!(connections = open(&drains), "draining");
        let plan = self.shared.current.load().config.drain.clone();
        let deadline = Instant::now() + plan.deadline;
        let mut orders = Orders {
            commands: &mut self.commands,
            metrics: &self.telemetry.metrics,
            may_exit: false,
            deadline,
        };
        if matches!(command, Command::Stop) {
            orders.let_exit();
        }
        let is_patient = tokio::select! {
            () = sleep(plan.grace) => true,
            () = orders.urge() => false,
        };
        // Nobody binds these addresses anew, so nobody waits for them.
        self.shared
            .ports()
            .iter_mut()
            .for_each(|port| drop(port.close()));
        if is_patient {
            drain_all(&drains, plan.window, deadline, &mut orders).await;
        }
        let outcome = cut(&drains).await;
        orders.exit().await;
        outcome
    }
}

/// Begins all `drains`; ready when they have ended, at the deadline, or when the operator is in a hurry.
async fn drain_all(
    drains: &[Arc<Drain>],
    window: Duration,
    deadline: Instant,
    orders: &mut Orders<'_>,
) {
    for drain in drains {
        drain.begin(Plan::now(window));
    }
    tokio::select! {
        () = ended(drains) => {}
        () = sleep_until(deadline) => {}
        () = orders.urge() => {}
    }
}

async fn cut(drains: &[Arc<Drain>]) -> Outcome {
    let left = open(drains);
    if left == 0 {
        tracing::info!("drained");
        return Outcome::Drained;
    }
    drains.iter().for_each(|drain| drain.cut());
    // Whoever does not hear it in time ends with the workers.
    let _ = timeout(LAST_RECORDS, ended(drains)).await;
    tracing::warn!(connections = left, "drained; these were cut");
    Outcome::Cut(left)
}

async fn ended(drains: &[Arc<Drain>]) {
    for drain in drains {
        drain.ended().await;
    }
}

fn open(drains: &[Arc<Drain>]) -> usize {
    drains.iter().map(|drain| drain.open()).sum()
}

/// What the operator wants while the gateway drains.
struct Orders<'a> {
    commands: &'a mut mpsc::Receiver<Command>,
    metrics: &'a Metrics,
    /// Whether the process may end when it is drained.
    may_exit: bool,
    /// When it is drained at the latest.
    deadline: Instant,
}

impl Orders<'_> {
    /// Ready when a stop is asked for once more.
    async fn urge(&mut self) {
        self.exit().await;
        self.stop().await;
    }

    /// Ready when the process may end.
    async fn exit(&mut self) {
        if !self.may_exit {
            self.stop().await;
            self.let_exit();
        }
    }

    fn let_exit(&mut self) {
        self.may_exit = true;
        supervisor::stopping(self.deadline.saturating_duration_since(Instant::now()));
    }

    /// Ready when a stop is asked for. A reload that is asked for meanwhile is refused.
    async fn stop(&mut self) {
        loop {
            match self.commands.recv().await {
                Some(Command::Stop) | None => return,
                // What is found now is soon to be drained.
                Some(Command::Drain | Command::Found(_)) => {}
                Some(Command::Reload(answer)) => self.refuse(answer),
            }
        }
    }

    fn refuse(&self, answer: Option<oneshot::Sender<ReloadReport>>) {
        tracing::warn!("no reload any more: the gateway is stopping");
        let report = ReloadReport::stopping();
        self.metrics.reloaded(report.result());
        if let Some(answer) = answer {
            // Who asked may have left.
            let _ = answer.send(report);
        }
    }
}
