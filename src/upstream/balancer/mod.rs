//! Which backend of a pool is to be tried next.

mod round_robin;

use std::sync::Arc;

use super::backend::{Backend, Member};
use crate::config::Strategy;
use round_robin::RoundRobin;

/// The strategies. Each names one backend at a time, so that failing over is a loop.
#[derive(Debug)]
pub(super) enum Balancer {
    /// In turn, smooth by weight.
    RoundRobin(RoundRobin),
}

impl Balancer {
    pub(super) fn new(strategy: Strategy, members: usize) -> Self {
        match strategy {
            Strategy::RoundRobin => Self::RoundRobin(RoundRobin::new(members)),
        }
    }

    /// Takes over where `previous` stood for those `members` that were there `before`.
    pub(super) fn resume(&mut self, members: &[Member], previous: &Self, before: &[Member]) {
        let (Self::RoundRobin(new), Self::RoundRobin(old)) = (self, previous);
        new.resume(members, old, before);
    }

    /// The backend to try next, as an index into the members; none where no weight is left in the field.
    pub(super) fn pick(&mut self, field: &Field<'_>) -> Option<usize> {
        match self {
            Self::RoundRobin(round_robin) => round_robin.pick(field),
        }
    }
}

/// The backends among which one is chosen.
pub(super) struct Field<'a> {
    pub(super) members: &'a [Member],
    /// Those that were tried before, by identity: the members may be of another configuration by now.
    pub(super) tried: &'a [Arc<Backend>],
}

impl Field<'_> {
    /// The share of the backend at `index` in this choice; 0 where it may not be chosen.
    pub(super) fn weight(&self, index: usize) -> u32 {
        let member = &self.members[index];
        let is_tried = self
            .tried
            .iter()
            .any(|backend| Arc::ptr_eq(backend, member.backend()));
        if is_tried || !member.is_ready() {
            return 0;
        }
        member.weight()
    }
}
