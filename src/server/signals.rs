//! Signals and the admin side, as one stream of commands.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::discovery::Found;
use crate::admin::ReloadReport;

/// What the server can be told to do.
#[derive(Debug)]
pub enum Command {
    /// Read the configuration again; whoever asks may want the report.
    Reload(Option<oneshot::Sender<ReloadReport>>),
    /// Take the backends that were found for a pool.
    Found(Found),
    /// End all sessions in order, but let the process stay.
    Drain,
    /// Stop in order; the second time, at once.
    Stop,
}

/// The signals that are heard. From the moment this exists none of them ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to hear SIGHUP, SIGTERM and SIGINT; those that come before [`Signals::forward`] wait.
    ///
    /// # Errors
    /// When the system does not let the process listen to signals.
    pub fn hear() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Ready when SIGTERM or SIGINT has come.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Sends a command for each SIGHUP (reload), SIGTERM and SIGINT (stop), until the server is gone.
    pub fn forward(mut self, commands: mpsc::Sender<Command>) {
        tokio::spawn(async move { while commands.send(self.next().await).await.is_ok() {} });
    }

    async fn next(&mut self) -> Command {
        tokio::select! {
            _ = self.hangup.recv() => Command::Reload(None),
            _ = self.terminate.recv() => Command::Stop,
            _ = self.interrupt.recv() => Command::Stop,
        }
    }
}
