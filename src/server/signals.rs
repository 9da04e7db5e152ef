//! Signals and the admin side, as one stream of commands.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::admin::ReloadReport;

/// What the server can be told to do.
#[derive(Debug)]
pub enum Command {
    /// Read the configuration again; whoever asks may want the report.
    Reload(Option<oneshot::Sender<ReloadReport>>),
    /// End all sessions in order, but let the process stay.
    Drain,
    /// Stop in order; the second time, at once.
    Stop,
}

/// Sends a command for each SIGHUP (reload), SIGTERM and SIGINT (stop), until the server is gone.
///
/// # Errors
/// When the system does not let the process listen to signals.
pub fn forward(commands: mpsc::Sender<Command>) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            let command = tokio::select! {
                _ = hangup.recv() => Command::Reload(None),
                _ = terminate.recv() => Command::Stop,
                _ = interrupt.recv() => Command::Stop,
            };
            if commands.send(command).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}
