//! Backends, pools and choices for tests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Balancer, Field, Purpose, Reach};
use crate::config::{self, BackendAddress, BackendHost, Name};
use crate::telemetry::Metrics;
use crate::upstream::backend::Failed;
use crate::upstream::{Backend, Lease, Member, Queue, Transport, positions};

/// The slow start of every member here.
pub(in crate::upstream) const SLOW_START: Duration = Duration::from_secs(100);

/// `backend0`, `backend1` and so on with these weights.
pub(in crate::upstream) fn members(weights: &[u32]) -> Vec<Member> {
    let named = |(index, weight): (usize, &u32)| member(&format!("backend{index}"), *weight, 0);
    weights.iter().enumerate().map(named).collect()
}

/// A backend of this name; `most` is its max_sessions.
pub(in crate::upstream) fn member(name: &str, weight: u32, most: usize) -> Member {
    member_of_priority(0, name, weight, most)
}

/// A backend of this name and priority; `most` is its max_sessions.
pub(in crate::upstream) fn member_of_priority(
    priority: u16,
    name: &str,
    weight: u32,
    most: usize,
) -> Member {
    let config = config(priority, name, weight, most);
    let backend = Backend::new(config.address.clone(), &Arc::<Queue>::default());
    built(&config, Arc::new(backend))
}

/// The same backend with another weight.
pub(super) fn reweighted(member: &Member, weight: u32) -> Member {
    let config = config(member.priority(), member.name(), weight, 0);
    built(&config, Arc::clone(member.backend()))
}

fn config(priority: u16, name: &str, weight: u32, most: usize) -> config::Backend {
    config::Backend {
        name: name.into(),
        address: BackendAddress::Tcp {
            tls: false,
            host: BackendHost::Name(name.to_owned()),
            port: 80,
        },
        weight,
        max_sessions: most.try_into().ok(),
        priority,
    }
}

fn built(config: &config::Backend, backend: Arc<Backend>) -> Member {
    let metrics = Metrics::new().member(&Name::from("pool"), &config.name);
    let transport = Arc::new(Transport::new(&config::Transport::default(), None));
    Member::new(config, SLOW_START, backend, metrics, transport)
}

/// A strategy that is asked for backends again and again.
pub(super) struct Chooser {
    pub(super) members: Vec<Member>,
    pub(super) balancer: Balancer,
    pub(super) key: u64,
    pub(super) purpose: Purpose,
}

impl Chooser {
    pub(super) fn new(strategy: &config::Strategy, members: Vec<Member>) -> Self {
        Self {
            balancer: Balancer::new(strategy, &members),
            members,
            key: 0,
            purpose: Purpose::Session,
        }
    }

    /// The next backend after these have been tried.
    pub(super) fn pick(&mut self, tried: &[usize]) -> Option<usize> {
        let failed = |index: &usize| Failed::now(&self.members[*index]);
        let failed: Vec<Failed> = tried.iter().map(failed).collect();
        let field = Field {
            members: &self.members,
            failed: &failed,
            has_made_trial: false,
            reach: Reach::Untried,
            purpose: self.purpose,
            key: self.key,
            now: Instant::now(),
            priority: None,
        };
        let priorities = Field::priorities(&self.members);
        self.balancer.pick(&field.narrowed(&priorities))
    }

    /// Chooses and takes a place.
    pub(super) fn open(&mut self) -> Option<(usize, Lease)> {
        let index = self.pick(&[])?;
        Some((index, self.members[index].lease(Purpose::Session)?))
    }

    /// How often each backend is chosen in `choices` choices, none of which lasts.
    pub(super) fn shares(&mut self, choices: usize) -> Vec<usize> {
        let mut shares = vec![0; self.members.len()];
        for _ in 0..choices {
            self.key = fastrand::u64(..);
            if let Some(index) = self.pick(&[]) {
                shares[index] += 1;
            }
        }
        shares
    }

    /// The members of the next configuration; what the strategy remembers is taken over.
    pub(super) fn reload(&mut self, strategy: &config::Strategy, members: Vec<Member>) {
        let mut next = Balancer::new(strategy, &members);
        let positions = positions(&members, &self.members);
        next.resume(&members, &self.balancer, &self.members, &positions);
        (self.balancer, self.members) = (next, members);
    }
}
