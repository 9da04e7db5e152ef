//! The drains in progress.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::config;
use crate::drain::{Drain, Plan, Stage};
use crate::mutex::lock;

/// The drains in progress, in no particular order.
#[derive(Debug, Default)]
pub(super) struct Drains(Mutex<Vec<Arc<Drain>>>);

impl Drains {
    /// Begins `drain`, and spawns a task on `runtime` that cuts what is left at the deadline. A drain that has already begun
    /// is not changed.
    pub(super) fn begin(&self, drain: &Arc<Drain>, plan: &config::Drain, runtime: &Handle) {
        if drain.stage() != Stage::Open {
            return;
        }
        self.note(drain);
        drain.begin(Plan::now(plan.window).to_end_within(plan.deadline));
        let deadline = Instant::now() + plan.deadline;
        let drain = Arc::clone(drain);
        runtime.spawn(async move { drain.cut_at(deadline).await });
    }

    /// Adds `drain` to those in progress, and removes those that are over.
    pub(super) fn note(&self, drain: &Arc<Drain>) {
        let mut list = self.list();
        list.retain(|drain| drain.open() > 0);
        if !list.iter().any(|noted| Arc::ptr_eq(noted, drain)) {
            list.push(Arc::clone(drain));
        }
    }

    /// How many sessions have still to end.
    pub(super) fn sessions(&self) -> usize {
        self.list().iter().map(|drain| drain.counted()).sum()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Drain>>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_over_do_not_gather() {
        let drains = Drains::default();
        let drained = || {
            let drain = Arc::<Drain>::default();
            drains.note(&drain);
            drain
        };
        let under_way = drained();
        let watch = under_way.watch();
        (0..10).for_each(|_| drop(drained()));
        assert_eq!(
            drains.list().len(),
            2,
            "the one that has somebody, the last"
        );
        drop(watch);
        drained();
        assert_eq!(drains.list().len(), 1);
    }
}
