//! What the server can be told: by signals, by the admin side, and by its own tasks.

use tokio::sync::oneshot;

use super::discovery::Discovered;
use crate::admin::ReloadReport;

/// What the server can be told to do.
#[derive(Debug)]
pub enum Command {
    /// Read the configuration again; whoever asks may want the report.
    Reload(Option<oneshot::Sender<ReloadReport>>),
    /// Take the backends that were found for a pool.
    Found(Discovered),
    /// End all sessions in order, but let the process stay.
    Drain,
    /// Stop in order; the second time, at once.
    Stop,
}
