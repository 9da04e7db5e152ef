//! Backends, members and pools for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::judge::{Evidence, Witness};
use super::{Backend, Failure, Member, Pool, Queue, Transport};
use crate::config::{self, BackendAddress, BackendHost, Name, Strategy};
use crate::telemetry::{ConnectResult, Metrics};

/// The slow start of a [`member`] of no pool.
pub(super) const SLOW_START: Duration = Duration::from_secs(100);

/// The backend that is tried opens the session.
pub(super) fn answer(witness: &mut Witness) {
    witness.testify(ConnectResult::Opened, Evidence::Sound);
}

/// The backend that is tried refuses the connection.
pub(super) fn refuse(witness: &mut Witness) {
    let failure = Failure::Refused;
    witness.testify(failure.result(), Evidence::of(Some(&failure)));
}

/// A pool of three backends that ejects after two failures.
pub(super) fn config(strategy: &Strategy) -> config::Pool {
    config::Pool {
        strategy: strategy.clone(),
        sticky: None,
        slow_start: Duration::from_secs(5),
        queue: config::Queue {
            max: 0,
            timeout: Duration::from_secs(1),
        },
        attempts: 3,
        backends: [0, 1, 2].map(backend).to_vec(),
        discovery: None,
        transport: config::Transport::default(),
        health: config::Health {
            active: None,
            passive: Some(config::PassiveHealth {
                failures: 2,
                window: Duration::from_secs(30),
                eject: Duration::from_secs(2),
                max_ejected: 0.5,
            }),
            on_unhealthy: config::OnUnhealthy::Keep,
        },
        rebalance: None,
    }
}

/// The backend of this number, which its name is, too.
pub(super) fn backend(number: u16) -> config::Backend {
    config::Backend {
        name: number.to_string().into(),
        address: SocketAddr::from(([127, 0, 0, 1], 9000 + number)).into(),
        weight: 1,
        max_sessions: None,
        priority: 0,
    }
}

/// That of one of these backends.
pub(super) fn number(member: &Member) -> u16 {
    member.name().parse().expect("its number is its name")
}

/// As a snapshot does: live state by address, and those that join begin slowly.
pub(super) fn build(config: &config::Pool, metrics: &Metrics, previous: Option<&Pool>) -> Pool {
    let name = Name::from("chat");
    let queue = previous.map(Pool::queue).cloned().unwrap_or_default();
    let members = config.backends.iter().map(|backend| {
        let mut before = previous.into_iter().flat_map(Pool::members);
        let kept = before.find(|member| member.address() == &backend.address);
        let live = kept.map_or_else(
            || {
                let live = Backend::new(backend.address.clone(), &queue);
                if previous.is_some() {
                    live.became_ready(Instant::now());
                }
                Arc::new(live)
            },
            |member| Arc::clone(member.backend()),
        );
        let transport = Arc::new(Transport::new(&config.transport, None));
        let metrics = metrics.member(&name, &backend.name);
        Member::new(backend, config.slow_start, live, metrics, transport)
    });
    let members = members.collect();
    Pool::new(config, members, queue, metrics.pool(&name), previous)
}

/// Members of no pool: `backend0`, `backend1` and so on with these weights.
pub(super) fn members(weights: &[u32]) -> Vec<Member> {
    let named = |(index, weight): (usize, &u32)| member(&format!("backend{index}"), *weight, 0);
    weights.iter().enumerate().map(named).collect()
}

/// A backend of this name; `most` is its max_sessions.
pub(super) fn member(name: &str, weight: u32, most: usize) -> Member {
    member_of_priority(0, name, weight, most)
}

/// A backend of this name and priority; `most` is its max_sessions.
pub(super) fn member_of_priority(priority: u16, name: &str, weight: u32, most: usize) -> Member {
    let config = backend_named(priority, name, weight, most);
    let backend = Backend::new(config.address.clone(), &Arc::<Queue>::default());
    built(&config, Arc::new(backend))
}

/// The same backend with another weight.
pub(super) fn reweighted(member: &Member, weight: u32) -> Member {
    let config = backend_named(member.priority(), member.name(), weight, 0);
    built(&config, Arc::clone(member.backend()))
}

fn backend_named(priority: u16, name: &str, weight: u32, most: usize) -> config::Backend {
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
