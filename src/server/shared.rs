//! State that the parts of the server share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::command::Command;
use super::discovery::Discoveries;
use super::drains::Drains;
use super::listeners::OpenListeners;
use crate::config;
use crate::drain::Drain;
use crate::mutex::lock;
use crate::snapshot::{Current, Snapshot};

/// State that the parts of the server share.
pub(super) struct Shared {
    pub(super) current: Arc<Current>,
    /// Notified when another snapshot is in force.
    pub(super) replaced: Notify,
    pub(super) listeners: Mutex<OpenListeners>,
    pub(super) started: SystemTime,
    /// The same moment on the monotonic clock.
    pub(super) began: Instant,
    pub(super) stopping: AtomicBool,
    pub(super) drains: Drains,
    pub(super) discoveries: Discoveries,
    /// The server's own runtime, for drains, checks and discovery.
    pub(super) runtime: Handle,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Shared {
    /// For a server that starts now with `snapshot` on the caller's runtime.
    pub(super) fn new(snapshot: Arc<Snapshot>, commands: mpsc::Sender<Command>) -> Self {
        Self {
            discoveries: Discoveries::of(&snapshot.config),
            current: Arc::new(Current::new(snapshot)),
            replaced: Notify::new(),
            listeners: Mutex::default(),
            started: SystemTime::now(),
            began: Instant::now(),
            stopping: AtomicBool::new(false),
            drains: Drains::default(),
            runtime: Handle::current(),
            commands,
        }
    }

    /// Puts `snapshot` in force.
    pub(super) fn replace(&self, snapshot: &Arc<Snapshot>) {
        self.current.replace(Arc::clone(snapshot));
        self.replaced.notify_one();
    }

    /// Begins `drain`; see [`Drains::begin`].
    pub(super) fn begin_drain(&self, drain: &Arc<Drain>, plan: &config::Drain) {
        self.drains.begin(drain, plan, &self.runtime);
    }

    /// The open listeners; the lock is never held across an await.
    pub(super) fn listeners(&self) -> MutexGuard<'_, OpenListeners> {
        lock(&self.listeners)
    }
}
