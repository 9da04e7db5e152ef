//! The backends as a strategy sees them in one choice: which may be chosen, with which weight and load.

use tokio::time::Instant;

use crate::upstream::backend::{Failed, Member};
use crate::upstream::health::State;

/// What a backend is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A session: it takes one of the `max_sessions` places, or waits for one.
    Session,
    /// A plain HTTP request: it counts as load like a session, but takes no place.
    Request,
}

/// Which backends may be chosen beside those that are ready and have not failed this session or request. Each level includes
/// the ones before it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::upstream) enum Reach {
    /// No others.
    Untried,
    /// Those that failed it and have been found well since.
    Recovered,
    /// Those that are ejected, also before their time.
    Ejected,
}

/// The backends among which one is chosen.
#[derive(Clone, Copy)]
pub(in crate::upstream) struct Field<'a> {
    pub(in crate::upstream) members: &'a [Member],
    /// Those that this session or request has tried in vain.
    pub(in crate::upstream) failed: &'a [Failed],
    pub(in crate::upstream) reach: Reach,
    /// Whether this session or request has made a trial. Then only [`Reach::Ejected`] includes further ones.
    pub(in crate::upstream) has_made_trial: bool,
    pub(in crate::upstream) purpose: Purpose,
    /// The hash of the request's key, for the strategy `hash`.
    pub(in crate::upstream) key: u64,
    pub(in crate::upstream) now: Instant,
    /// If set, only backends of this priority may be chosen.
    pub(in crate::upstream) priority: Option<u16>,
}

impl Field<'_> {
    /// The priorities of `members`, the best first.
    pub(in crate::upstream) fn priorities(members: &[Member]) -> Vec<u16> {
        let mut priorities: Vec<u16> = members.iter().map(Member::priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        priorities
    }

    /// The field restricted to the first of these priorities that has a backend to choose.
    pub(in crate::upstream) fn narrowed(self, priorities: &[u16]) -> Self {
        if priorities.len() < 2 {
            return self;
        }
        let of = |priority: u16| Self {
            priority: Some(priority),
            ..self
        };
        let has_one = |field: &Self| (0..field.len()).any(|index| field.may_be_chosen(index));
        let mut fields = priorities.iter().map(|priority| of(*priority));
        fields.find(has_one).unwrap_or(self)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the backend at `index` may be chosen.
    pub(in crate::upstream) fn may_be_chosen(&self, index: usize) -> bool {
        self.weight(index) > 0
    }

    /// Whether the backend at `index` may be chosen: now, or for a caller that `waits`, once it has a free place.
    pub(in crate::upstream) fn may_be_chosen_later(&self, index: usize, waits: bool) -> bool {
        let member = &self.members[index];
        let is_full = || self.purpose == Purpose::Session && member.is_full();
        !self.is_out(member) && (waits || !is_full())
    }

    /// The weight of the backend at `index` in this choice; 0 where it may not be chosen.
    pub(super) fn weight(&self, index: usize) -> u32 {
        let member = &self.members[index];
        let is_full = self.purpose == Purpose::Session && member.is_full();
        if is_full || self.is_out(member) {
            return 0;
        }
        member.effective_weight(self.now)
    }

    /// Its weight without a slow start.
    pub(super) fn full_weight(&self, index: usize) -> u32 {
        self.members[index].full_weight()
    }

    /// How many sessions and requests the backend has.
    pub(super) fn load(&self, index: usize) -> u64 {
        self.members[index].backend().load() as u64
    }

    /// Whether one more session would leave the backend at `one` less loaded for its weight than that at `other`. The
    /// quotients are compared as products, so that nothing is rounded.
    pub(super) fn is_lighter(&self, one: usize, other: usize) -> bool {
        let cost = |index, against| (self.load(index) + 1) * u64::from(self.weight(against));
        cost(one, other) < cost(other, one)
    }

    /// Whether some backend could be chosen if it were not full.
    pub(in crate::upstream) fn has_full(&self) -> bool {
        self.members
            .iter()
            .any(|member| member.is_full() && !self.is_out(member))
    }

    /// Whether some backend may be chosen, now or once it has a free place.
    pub(in crate::upstream) fn is_worth_waiting(&self) -> bool {
        self.members.iter().any(|member| !self.is_out(member))
    }

    /// Whether a session that has tried no backend yet could have one now.
    pub(in crate::upstream) fn has_place_for_another(&self) -> bool {
        let another = Self {
            failed: &[],
            has_made_trial: false,
            ..*self
        };
        (0..self.len()).any(|index| another.may_be_chosen(index))
    }

    fn is_out(&self, member: &Member) -> bool {
        let has_failed = |failed: &Failed| {
            failed.is(member.backend()) && (self.reach == Reach::Untried || !failed.has_recovered())
        };
        let is_other = |priority: u16| priority != member.priority();
        let is_ejected = || member.backend().state() == State::Ejected;
        let is_fit = match self.reach {
            Reach::Ejected => member.is_ready() || is_ejected(),
            Reach::Untried | Reach::Recovered => {
                member.is_ready() && !(self.has_made_trial && is_ejected())
            }
        };
        self.priority.is_some_and(is_other) || self.failed.iter().any(has_failed) || !is_fit
    }
}
