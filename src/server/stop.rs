//! The graceful stop: report not ready, close the listeners, drain the sessions, cut the rest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Server;
use super::command::Command;
use super::shared::Shared;
use super::supervisor;
use crate::admin::ReloadReport;
use crate::drain::{Drain, Plan};
use crate::telemetry::Metrics;

/// How a gateway stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every session ended in time.
    Drained,
    /// This many connections were cut.
    Cut(usize),
}

/// How long to wait for the records of sessions that were cut.
const LAST_RECORDS: Duration = Duration::from_secs(1);

impl Server {
    /// Drains, and returns when the process may exit: after [`Command::Drain`] only once a stop is asked for.
    pub(super) async fn stop(mut self, command: Command) -> Outcome {
        let drains = self.shared.listeners().drains();
        drains
            .iter()
            .for_each(|drain| self.shared.drains.note(drain));
        self.shared.stopping.store(true, Ordering::Relaxed);
        let asked_by = match command {
            Command::Drain => "POST /drain",
            Command::Stop | Command::Reload(_) => "a request to stop",
        };
        tracing::info!(connections = open(&drains), asked_by, "draining");
        let plan = self.shared.current.load().config.drain.clone();
        let deadline = Instant::now() + plan.deadline;
        let mut orders = Orders {
            commands: &mut self.commands,
            shared: &self.shared,
            metrics: &self.telemetry.metrics,
            may_exit: false,
            deadline,
        };
        if matches!(command, Command::Stop) {
            orders.allow_exit();
        }
        let may_drain = tokio::select! {
            () = sleep(plan.grace) => true,
            () = orders.second_stop() => false,
        };
        // Nobody binds these addresses again, so there is no need to wait until they are free.
        self.shared
            .listeners()
            .iter_mut()
            .for_each(|open| drop(open.close()));
        let is_time_over =
            may_drain && drain_all(&drains, plan.window, deadline, &mut orders).await;
        let outcome = cut(&drains, is_time_over).await;
        orders.exit_allowed().await;
        outcome
    }
}

/// Begins all `drains`; ready when they have ended, at the deadline, or at a second request to stop. False in the last case.
async fn drain_all(
    drains: &[Arc<Drain>],
    window: Duration,
    deadline: Instant,
    orders: &mut Orders<'_>,
) -> bool {
    let plan = Plan::now(window).to_end_within(deadline.saturating_duration_since(Instant::now()));
    for drain in drains {
        // That of a removed listener has begun, perhaps over a longer window.
        drain.hasten(plan);
    }
    tokio::select! {
        () = ended(drains) => true,
        () = sleep_until(deadline) => true,
        () = orders.second_stop() => false,
    }
}

/// Cuts what is left, because the time is over or somebody asked a second time.
async fn cut(drains: &[Arc<Drain>], is_time_over: bool) -> Outcome {
    let left = open(drains);
    if left == 0 {
        tracing::info!("drained");
        return Outcome::Drained;
    }
    drains.iter().for_each(|drain| drain.cut());
    // A session that does not react in time ends with its worker.
    let _ = timeout(LAST_RECORDS, ended(drains)).await;
    let cause = match is_time_over {
        true => "the drain is over",
        false => "asked to stop again",
    };
    tracing::warn!(
        connections = left,
        "{cause}; the remaining connections were cut"
    );
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

/// Handles commands during a drain, and what discovery finds.
struct Orders<'a> {
    commands: &'a mut mpsc::Receiver<Command>,
    shared: &'a Shared,
    metrics: &'a Metrics,
    /// Whether a stop was asked for: the process exits once it is drained.
    may_exit: bool,
    /// When the drain ends at the latest.
    deadline: Instant,
}

impl Orders<'_> {
    /// Ready at a second request to stop, which cuts the drain short.
    async fn second_stop(&mut self) {
        self.exit_allowed().await;
        self.stop_asked().await;
    }

    /// Ready when the process may exit.
    async fn exit_allowed(&mut self) {
        if !self.may_exit {
            self.stop_asked().await;
            self.allow_exit();
        }
    }

    fn allow_exit(&mut self) {
        self.may_exit = true;
        supervisor::stopping(self.deadline.saturating_duration_since(Instant::now()));
    }

    /// Ready when a stop is asked for. Reloads are refused meanwhile. Backends still come and go: sessions are opened in the
    /// time of grace, and open connections have their requests answered for longer.
    async fn stop_asked(&mut self) {
        let findings = &self.shared.discoveries.findings;
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Stop) | None => return,
                    Some(Command::Drain) => {}
                    Some(Command::Reload(answer)) => self.refuse(answer),
                },
                found = findings.take() => self.shared.take_found(found, self.metrics),
            }
        }
    }

    fn refuse(&self, answer: Option<oneshot::Sender<ReloadReport>>) {
        tracing::warn!("not reloaded: the gateway is stopping");
        let report = ReloadReport::stopping();
        self.metrics.reloaded(report.result());
        if let Some(answer) = answer {
            // An error means that the asker has left.
            let _ = answer.send(report);
        }
    }
}
