//! Commands to the server, from signals and the admin side.

use tokio::sync::oneshot;

use crate::admin::ReloadReport;

/// A command to the server.
#[derive(Debug)]
pub enum Command {
    /// Read the configuration again, and send the report to the caller that asked for it.
    Reload(Option<oneshot::Sender<ReloadReport>>),
    /// Drain all sessions, but keep the process running.
    Drain,
    /// Drain and exit; a second one exits at once.
    Stop,
}
