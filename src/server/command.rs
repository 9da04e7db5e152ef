//! Commands to the server, from signals, the admin side and its own tasks.

use tokio::sync::oneshot;

use super::discovery::Discovered;
use crate::admin::ReloadReport;

/// A command to the server.
#[derive(Debug)]
pub enum Command {
    /// Read the configuration again, and send the report to whoever wants it.
    Reload(Option<oneshot::Sender<ReloadReport>>),
    /// Put the backends in use that discovery found for a pool.
    Found(Discovered),
    /// Drain all sessions, but keep the process running.
    Drain,
    /// Drain and exit; a second one exits at once.
    Stop,
}
