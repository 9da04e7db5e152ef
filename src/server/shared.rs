//! What the parts of the server have in common.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::command::Command;
use super::discovery::Discoveries;
use super::drains::Drains;
use super::ports::Ports;
use crate::snapshot::Current;

/// What the parts of the server share.
pub(super) struct Shared {
    pub(super) current: Arc<Current>,
    pub(super) ports: Mutex<Ports>,
    pub(super) started: SystemTime,
    /// The same moment, where the clock may be set.
    pub(super) began: Instant,
    pub(super) stopping: AtomicBool,
    pub(super) drains: Drains,
    pub(super) discoveries: Discoveries,
    /// The server's own runtime: drains, checks and discovery run there.
    pub(super) runtime: Handle,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Shared {
    /// The open listeners; the lock is never held across an await.
    pub(super) fn ports(&self) -> MutexGuard<'_, Ports> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
