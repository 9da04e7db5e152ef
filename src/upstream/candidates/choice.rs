//! Which backend a candidate is: the choice among those that may be had now, and the claim on its place.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Candidate, Candidates, Preference};
use crate::upstream::backend::{Lease, Member};
use crate::upstream::balancer::{Balancer, Field, Purpose};
use crate::upstream::judge::Witness;

/// How long an ejected backend that is tried before its time has for its answer. Its client may be waiting in vain.
const EARLY_TRIAL: Duration = Duration::from_secs(1);

/// What a choice came to.
pub(super) enum Choice {
    /// This one.
    Taken(Taken),
    /// None, but there are some that are only full.
    Full,
    /// None.
    Nobody,
}

/// A choice of which nobody else has the place.
pub(super) struct Taken {
    /// Of the member.
    pub(super) index: usize,
    pub(super) lease: Lease,
    pub(super) witness: Witness,
}

impl Candidates<'_> {
    /// As [`Candidates::choose`], but nobody takes a place before those who wait and have not seen it yet.
    pub(super) fn choose_at_once(&self) -> Choice {
        let has_queue = self.purpose == Purpose::Session && self.pool.queue_limits.max > 0;
        if has_queue && self.pool.queue.is_calling() && self.field().is_worth_waiting() {
            return Choice::Full;
        }
        self.choose()
    }

    /// Chooses and claims in one step, so that of two who choose at once the second sees the session of the first.
    pub(super) fn choose(&self) -> Choice {
        let mut balancer = self.pool.balancer();
        let field = self.field();
        // First those that have not failed at all.
        let strict = Field {
            is_forgiving: self.failed.is_empty(),
            ..field
        };
        if let Some(taken) = self.preferred(&strict).and_then(|index| self.take(index)) {
            return Choice::Taken(taken);
        }
        if let Some(taken) = self.pick(&mut balancer, strict) {
            return Choice::Taken(taken);
        }
        let has_failed = !self.failed.is_empty();
        if has_failed && let Some(taken) = self.pick(&mut balancer, field) {
            return Choice::Taken(taken);
        }
        if self.purpose == Purpose::Session && field.is_only_full() {
            return Choice::Full;
        }
        // Those that are ready have failed. One that was ejected may be well again by now.
        let last_resort = Field {
            is_last_resort: has_failed,
            ..field
        };
        match self.pick(&mut balancer, last_resort) {
            Some(taken) => Choice::Taken(taken),
            None => Choice::Nobody,
        }
    }

    /// What may be chosen now.
    pub(super) fn field(&self) -> Field<'_> {
        Field {
            members: &self.pool.members,
            failed: &self.failed,
            is_forgiving: true,
            purpose: self.purpose,
            key: self.key,
            now: Instant::now(),
            priority: None,
            is_last_resort: false,
        }
    }

    /// In which order the priorities are looked at. The last attempt is not made at one more of those that have failed so far,
    /// where none of them is known to be well and a spare backend is: many may be dead and not ejected.
    fn priorities(&self) -> Cow<'_, [u16]> {
        let all = &self.pool.priorities;
        match self.worst_failed {
            Some(worst) if self.left() == 1 && self.has_sound_spare_only(worst) => {
                let (worse, rest): (Vec<u16>, Vec<u16>) = all.iter().partition(|it| **it > worst);
                Cow::Owned([worse, rest].concat())
            }
            _ => Cow::Borrowed(all),
        }
    }

    /// Whether of the ready backends some of a worse priority than this one are sound, and no others.
    fn has_sound_spare_only(&self, worst: u16) -> bool {
        let ready = self.pool.members.iter().filter(|it| it.is_ready());
        let mut sound = ready.filter(|it| !it.backend().is_suspect()).peekable();
        sound.peek().is_some() && sound.all(|member| member.priority() > worst)
    }

    fn pick(&self, balancer: &mut Balancer, field: Field<'_>) -> Option<Taken> {
        loop {
            let index = balancer.pick(&field.narrowed(&self.priorities()))?;
            // A pool of an older configuration may have taken the last place just now.
            if let Some(taken) = self.take(index) {
                return Some(taken);
            }
        }
    }

    /// One that was ejected and that nobody tries: the others are full, and it may be well again by now. It has a moment to
    /// show that. Once, and not for those who wait: who fails there comes after them.
    pub(super) fn take_early(&mut self) -> Option<Candidate> {
        if self.has_tried_early {
            return None;
        }
        let taken = self.choose_early()?;
        self.has_tried_early = true;
        let mut candidate = self.candidate(taken);
        candidate.deadline = candidate.deadline.min(Instant::now() + EARLY_TRIAL);
        Some(candidate)
    }

    fn choose_early(&self) -> Option<Taken> {
        // One at a time.
        let _choosing = self.pool.balancer();
        let last_resort = Field {
            is_last_resort: true,
            ..self.field()
        };
        let members = self.pool.members.iter().enumerate();
        let resting = members.filter(|(_, member)| member.backend().is_resting());
        let fitting = resting.filter(|(index, _)| last_resort.may_be_chosen(*index));
        let (index, _) = fitting.min_by_key(|(_, member)| member.priority())?;
        self.take(index)
    }

    /// Claims a place. Who chooses next sees that it is taken, and that the backend is tried.
    fn take(&self, index: usize) -> Option<Taken> {
        let member = &self.pool.members[index];
        Some(Taken {
            index,
            lease: member.lease(self.purpose)?,
            witness: Witness::of(&self.pool, member),
        })
    }

    /// The backend of the sticky cookie, if it may be chosen; of whatever priority, as it knows the client.
    fn preferred(&self, field: &Field<'_>) -> Option<usize> {
        let Preference::Backend(backend) = &self.sticky else {
            return None;
        };
        let is_it = |member: &Member| Arc::ptr_eq(member.backend(), backend);
        let index = self.pool.members.iter().position(is_it)?;
        field.may_be_chosen(index).then_some(index)
    }
}
