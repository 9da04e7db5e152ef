//! Which backend is the next candidate: the choice among those that may be had now, and the claim on a place.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

use super::{Candidate, Candidates};
use crate::mutex::lock;
use crate::upstream::backend::{Lease, Member};
use crate::upstream::balancer::{Balancer, Field, Purpose, Reach};
use crate::upstream::health::State;
use crate::upstream::judge::Witness;
use crate::upstream::sticky::Claimed;

/// How long an ejected backend has for its answer if it is tried before its ejection ends. The client may wait in vain.
const EARLY_TRIAL: Duration = Duration::from_secs(1);

/// The outcome of a choice.
pub(super) enum Choice {
    /// A backend was chosen, and a place on it is claimed.
    Taken(Taken),
    /// No backend has a free place; at least one could be chosen once it has.
    Full,
    /// No backend may be chosen, nor is there one to wait for.
    Nobody,
}

/// A chosen backend with a claimed place.
pub(super) struct Taken {
    /// Of the member.
    pub(super) index: usize,
    pub(super) lease: Lease,
    pub(super) witness: Witness,
}

impl Candidates<'_> {
    /// As [`Candidates::choose`], but takes no place ahead of waiters that have been called and have not tried yet.
    pub(super) fn choose_at_once(&self) -> Choice {
        let has_queue = self.purpose == Purpose::Session && self.pool.queue_limits.max > 0;
        if has_queue && self.pool.queue.is_calling() && self.field().is_worth_waiting() {
            return Choice::Full;
        }
        self.choose()
    }

    /// Chooses and claims in one step, under the lock of the balancer: of two concurrent choices the second sees the session
    /// of the first.
    ///
    /// The order of preference: the backend of the sticky cookie; backends that have not failed this session; those that
    /// failed it and have recovered since; waiting for one that is full; ejected ones, if others have failed it. A backend whose
    /// trial is due counts among the first, for one trial of this session.
    pub(super) fn choose(&self) -> Choice {
        let mut balancer = lock(&self.pool.balancer);
        let field = self.field();
        let untried = Field {
            reach: Reach::Untried,
            ..field
        };
        if let Some(taken) = self.preferred(&untried).and_then(|index| self.take(index)) {
            return Choice::Taken(taken);
        }
        if let Some(taken) = self.pick(&mut balancer, untried) {
            return Choice::Taken(taken);
        }
        let has_failed = !self.failed.is_empty();
        if has_failed && let Some(taken) = self.pick(&mut balancer, field) {
            return Choice::Taken(taken);
        }
        if self.purpose == Purpose::Session && field.has_full() {
            return Choice::Full;
        }
        if !has_failed {
            return Choice::Nobody;
        }
        // All that are ready have failed. One that was ejected may be well again by now.
        let ejected = Field {
            reach: Reach::Ejected,
            ..field
        };
        match self.pick(&mut balancer, ejected) {
            Some(taken) => Choice::Taken(taken),
            None => Choice::Nobody,
        }
    }

    /// How many candidates there may be beside the member at `index`, of those that can be had.
    pub(super) fn others(&self, index: usize, now: Instant) -> usize {
        let most = self.left().saturating_sub(1);
        let field = Field {
            reach: Reach::Ejected,
            ..self.field_at(now)
        };
        let waits = self.purpose == Purpose::Session && self.pool.queue_limits.max > 0;
        let may_be_had =
            |other: &usize| *other != index && field.may_be_chosen_later(*other, waits);
        let others = (0..self.pool.members.len()).filter(may_be_had);
        others.take(most).count()
    }

    /// The backends that this session or request may have now.
    pub(super) fn field(&self) -> Field<'_> {
        self.field_at(Instant::now())
    }

    fn field_at(&self, now: Instant) -> Field<'_> {
        Field {
            members: &self.pool.members,
            failed: &self.failed,
            reach: Reach::Recovered,
            has_made_trial: self.has_made_trial,
            purpose: self.purpose,
            key: self.key,
            now,
            priority: None,
        }
    }

    /// In which order the priorities are tried: the best first. But the last attempt goes to a worse priority than those that
    /// have failed so far, if only there a ready backend has no recent failures: the better ones may be dead and not ejected yet.
    fn priorities(&self) -> Cow<'_, [u16]> {
        let all = &self.pool.priorities;
        match self.failed.iter().map(|failed| failed.priority).max() {
            Some(worst) if self.left() == 1 && self.has_sound_spare_only(worst) => {
                let (worse, rest): (Vec<u16>, Vec<u16>) = all.iter().partition(|it| **it > worst);
                Cow::Owned([worse, rest].concat())
            }
            _ => Cow::Borrowed(all),
        }
    }

    /// Whether some ready backends have no recent failures, and all of those are of a worse priority than this one.
    fn has_sound_spare_only(&self, worst: u16) -> bool {
        let ready = self.pool.members.iter().filter(|it| it.is_ready());
        let mut sound = ready.filter(|it| !it.backend().is_suspect()).peekable();
        sound.peek().is_some() && sound.all(|member| member.priority() > worst)
    }

    fn pick(&self, balancer: &mut Balancer, field: Field<'_>) -> Option<Taken> {
        loop {
            let index = balancer.pick(&field.narrowed(&self.priorities()))?;
            // A session of an older configuration's pool, which has a lock of its own, may have taken the last place just now.
            if let Some(taken) = self.take(index) {
                return Some(taken);
            }
        }
    }

    /// Where all others are full: an ejected backend that nobody is trying, as it may be well again by now. Once per session,
    /// and not while it waits in the queue; if it fails there it waits behind those that came before.
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
        // Held so that two sessions do not try the same backend.
        let _choosing = lock(&self.pool.balancer);
        let field = Field {
            reach: Reach::Ejected,
            ..self.field()
        };
        let members = self.pool.members.iter().enumerate();
        let untouched = members.filter(|(_, member)| is_left_alone(member));
        let fitting = untouched.filter(|(index, _)| field.may_be_chosen(*index));
        let (index, _) = fitting.min_by_key(|(_, member)| member.priority())?;
        self.take(index)
    }

    /// Claims a place. From then on other choices see that it is taken, and that the backend is being tried.
    fn take(&self, index: usize) -> Option<Taken> {
        let member = &self.pool.members[index];
        Some(Taken {
            index,
            lease: member.lease(self.purpose)?,
            witness: Witness::of(&self.pool, member),
        })
    }

    /// The backend of the sticky cookie, if it may be chosen. Its priority does not matter, as it knows the client.
    fn preferred(&self, field: &Field<'_>) -> Option<usize> {
        match self.claimed {
            Claimed::Member(index) if field.may_be_chosen(index) => Some(index),
            Claimed::Member(_) | Claimed::Unknown | Claimed::Nothing => None,
        }
    }
}

/// Whether it is ejected and nobody is trying it. Most are not even suspect, which is known without their lock.
fn is_left_alone(member: &Member) -> bool {
    let backend = member.backend();
    let is_untouched =
        || backend.is_resting() || member.is_ready() && backend.state() == State::Ejected;
    backend.is_suspect() && is_untouched()
}
