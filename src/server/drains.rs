//! The drains that are under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::config;
use crate::drain::{Drain, Plan, Stage};

/// The drains that are under way, in whatever order they began.
#[derive(Debug, Default)]
pub(super) struct Drains(Mutex<Vec<Arc<Drain>>>);

impl Drains {
    /// Begins `drain`, and cuts at the deadline what is left of it by a task on `runtime`. One that has begun
    /// before goes on as it is.
    pub(super) fn begin(&self, drain: &Arc<Drain>, plan: &config::Drain, runtime: &Handle) {
        if drain.stage() != Stage::Open {
            return;
        }
        self.note(drain);
        drain.begin(Plan::now(plan.window));
        let deadline = Instant::now() + plan.deadline;
        let drain = Arc::clone(drain);
        runtime.spawn(async move { drain.cut_at(deadline).await });
    }

    /// Counts `drain` among those under way.
    pub(super) fn note(&self, drain: &Arc<Drain>) {
        let mut list = self.list();
        if !list.iter().any(|noted| Arc::ptr_eq(noted, drain)) {
            list.push(Arc::clone(drain));
        }
    }

    /// How many sessions are still to end. Drains that are over are forgotten.
    pub(super) fn sessions(&self) -> usize {
        let mut list = self.list();
        list.retain(|drain| drain.open() > 0);
        list.iter().map(|drain| drain.counted()).sum()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Drain>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
