//! Pools whose backends are found in the DNS: a task for each pool repeats the query, and tells the server when the backends
//! change (`findings`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

use super::findings::{Discovered, Findings};
use super::first_answers::FirstAnswers;
use super::services::{Hosts, Spot};
use super::turns::Turns;
use super::workers::{AbortOnDrop, spawn};
use crate::config::{
    Backend, BackendAddress, BackendHost, Config, Discovery, Family, Name, Question,
};
use crate::dns::message::Kind;
use crate::dns::{Answer, EMPTY_ANSWERS, Fault, Resolver};
use crate::mutex::lock;
use crate::telemetry::{DiscoveryMetrics, DiscoveryResult, Metrics};

/// The minimum time between two queries, however short the TTL of an answer; `refresh` if that is shorter.
const SHORTEST: Duration = Duration::from_secs(1);
/// How often that time doubles while the DNS fails.
const MOST_DOUBLINGS: u32 = 16;
/// The most backends taken from one answer.
const BACKENDS: usize = 1000;

/// The result of a pool's discovery.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The result of the last query; `None` before the first answer.
    pub(super) last: Option<DiscoveryResult>,
    /// Since when the result has been the same.
    pub(super) since: SystemTime,
}

/// The discovery tasks, by pool.
pub(super) struct Discoveries {
    asking: Mutex<BTreeMap<Name, Asking>>,
    /// Held by queries.
    turns: Arc<Turns>,
    /// The pools that hold up readiness after the start.
    pub(super) first: Arc<FirstAnswers>,
    /// What they found and the server has not put into use yet.
    pub(super) findings: Arc<Findings>,
}

struct Asking {
    discovery: Discovery,
    progress: Arc<Mutex<Progress>>,
    hosts: Arc<tokio::sync::Mutex<Hosts>>,
    _task: AbortOnDrop,
}

impl Discoveries {
    /// For a server that starts with `config`; no task runs yet.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            asking: Mutex::default(),
            turns: Arc::new(Turns::new()),
            first: Arc::new(FirstAnswers::of(config)),
            findings: Arc::default(),
        }
    }

    /// Runs a task for each pool of `config` with discovery. Tasks with unchanged settings go on; one with changed settings
    /// takes over what its predecessor knows of the hosts.
    pub(super) fn follow(&self, config: &Config, metrics: &Metrics, runtime: &Handle) {
        let mut asking = lock(&self.asking);
        let wanted = |name: &Name| config.pools.get(name)?.discovery.as_ref();
        asking.retain(|name, _| wanted(name).is_some());
        self.first.retain(|name| wanted(name).is_some());
        for (name, pool) in &config.pools {
            let Some(discovery) = &pool.discovery else {
                continue;
            };
            let before = asking.get(name);
            if before.is_some_and(|before| before.discovery == *discovery) {
                continue;
            }
            let hosts = before.map(|before| Arc::clone(&before.hosts));
            let unknown = || Arc::new(tokio::sync::Mutex::new(Hosts::unknown(&self.turns)));
            let inquiry = Inquiry {
                pool: Arc::clone(name),
                discovery: discovery.clone(),
                findings: Arc::clone(&self.findings),
                metrics: metrics.discovery(name),
                progress: Arc::new(Mutex::new(Progress {
                    last: None,
                    since: SystemTime::now(),
                })),
                told: None,
                pace: Pace::default(),
                is_over: false,
                empty: 0,
                first: Arc::clone(&self.first),
                hosts: hosts.unwrap_or_else(unknown),
            };
            asking.insert(Arc::clone(name), Asking::begin(inquiry, runtime));
        }
    }

    /// The result of a pool's discovery; `None` if it has no discovery.
    pub(super) fn progress(&self, pool: &Name) -> Option<Progress> {
        let asking = lock(&self.asking);
        let progress = lock(&asking.get(pool)?.progress);
        Some(progress.clone())
    }
}

impl Asking {
    fn begin(inquiry: Inquiry, runtime: &Handle) -> Self {
        Self {
            discovery: inquiry.discovery.clone(),
            progress: Arc::clone(&inquiry.progress),
            hosts: Arc::clone(&inquiry.hosts),
            _task: spawn(runtime, inquiry.run()),
        }
    }
}

/// The discovery task of one pool.
struct Inquiry {
    pool: Name,
    discovery: Discovery,
    findings: Arc<Findings>,
    metrics: Arc<DiscoveryMetrics>,
    progress: Arc<Mutex<Progress>>,
    /// The backends that the server was told last.
    told: Option<Vec<Backend>>,
    pace: Pace,
    /// Whether the last answer had more than [`BACKENDS`].
    is_over: bool,
    /// Empty answers in a row.
    empty: u32,
    first: Arc<FirstAnswers>,
    /// Locked during a query. Uncontended, unless a reload has just replaced the task.
    hosts: Arc<tokio::sync::Mutex<Hosts>>,
}

impl Inquiry {
    async fn run(mut self) {
        loop {
            // Read each time: /etc/resolv.conf may have changed.
            let resolver = match &self.discovery.nameservers[..] {
                [] => Resolver::system(),
                servers => Resolver::new(servers.to_vec()),
            };
            let hosts = Arc::clone(&self.hosts);
            let answer = backends(&resolver, &self.discovery, &mut *hosts.lock().await).await;
            let pause = self.pace.after(&answer, self.discovery.refresh);
            self.take(answer);
            tokio::time::sleep(pause).await;
        }
    }

    /// Tells the server the backends if they changed. A failed query changes nothing, and only the last of [`EMPTY_ANSWERS`]
    /// empty answers in a row empties the pool.
    fn take(&mut self, answer: Result<Answer<Backend>, Fault>) {
        let (result, reason) = match &answer {
            Ok(answer) if answer.found.is_empty() => (DiscoveryResult::Empty, String::new()),
            Ok(_) => (DiscoveryResult::Success, String::new()),
            Err(fault @ Fault::Timeout) => (DiscoveryResult::Timeout, fault.to_string()),
            Err(fault) => (DiscoveryResult::Failure, fault.to_string()),
        };
        self.note(result, &reason);
        let Ok(Answer { mut found, .. }) = answer else {
            return;
        };
        self.limit(&mut found);
        self.empty = if found.is_empty() { self.empty + 1 } else { 0 };
        let is_early = found.is_empty() && self.empty < EMPTY_ANSWERS;
        if is_early {
            self.first.answered(&self.pool);
        }
        if is_early || self.told.as_ref() == Some(&found) {
            return;
        }
        if found.is_empty() && self.told.is_some() {
            let (pool, name) = (&self.pool, self.discovery.question.name());
            tracing::warn!(%pool, name, "no backend has been found for long; the pool is now empty");
        }
        self.told = Some(found.clone());
        let found = Discovered {
            discovery: self.discovery.clone(),
            backends: found,
        };
        self.findings.add(&self.pool, found);
    }

    /// Drops what a pool cannot have, which is logged when it begins.
    fn limit(&mut self, found: &mut Vec<Backend>) {
        let was_over = std::mem::replace(&mut self.is_over, found.len() > BACKENDS);
        if self.is_over && !was_over {
            let (pool, name, count) = (&self.pool, self.discovery.question.name(), found.len());
            tracing::warn!(%pool, name, "only the first {BACKENDS} of {count} backends are used");
        }
        found.truncate(BACKENDS);
    }

    /// Counts a result, and logs it if it differs from the one before.
    fn note(&self, result: DiscoveryResult, reason: &str) {
        self.metrics.asked(result);
        let mut progress = lock(&self.progress);
        if progress.last == Some(result) {
            return;
        }
        let is_first = progress.last.is_none();
        *progress = Progress {
            last: Some(result),
            since: SystemTime::now(),
        };
        drop(progress);
        let (pool, name) = (&self.pool, self.discovery.question.name());
        match result {
            DiscoveryResult::Success if is_first => {}
            DiscoveryResult::Success => tracing::info!(%pool, name, "discovery answers"),
            DiscoveryResult::Empty => {
                tracing::warn!(%pool, name, "no backend was found; the pool keeps those that it has, if any, for now");
            }
            DiscoveryResult::Timeout | DiscoveryResult::Failure => {
                tracing::warn!(%pool, name, "discovery failed; the pool keeps the backends that it has, if any: {reason}");
            }
        }
    }
}

/// When the next query is due.
#[derive(Default)]
struct Pace {
    /// The lifetime of the last answer that had one; `refresh` if only empty ones came. `None` before the first answer.
    lifetime: Option<Duration>,
    /// Empty answers and faults in a row.
    lapses: u32,
}

impl Pace {
    /// How long to wait after `answer`. What was found before is as old after a fault or an empty answer as it would be
    /// otherwise, so the query is repeated as soon, and then half as often each time. Before the first answer faults are
    /// retried soon: the name server may just be slower to start than the gateway.
    fn after<T>(&mut self, answer: &Result<Answer<T>, Fault>, refresh: Duration) -> Duration {
        match answer {
            Ok(Answer {
                lifetime: Some(lifetime),
                ..
            }) => {
                self.lifetime = Some(*lifetime);
                self.lapses = 0;
            }
            Ok(_) => {
                self.lifetime.get_or_insert(refresh);
                self.lapses += 1;
            }
            Err(_) => self.lapses += 1,
        }
        let wanted = match self.lifetime {
            Some(lifetime) => {
                let doublings = self.lapses.saturating_sub(1).min(MOST_DOUBLINGS);
                lifetime.max(SHORTEST) * 2_u32.pow(doublings)
            }
            None => SHORTEST,
        };
        wanted.min(refresh)
    }
}

/// Queries the DNS for backends, ordered by priority and address.
async fn backends(
    resolver: &Resolver,
    discovery: &Discovery,
    hosts: &mut Hosts,
) -> Result<Answer<Backend>, Fault> {
    let families: &'static [Kind] = match discovery.family {
        None => &[Kind::A, Kind::Aaaa],
        Some(Family::Ipv4) => &[Kind::A],
        Some(Family::Ipv6) => &[Kind::Aaaa],
    };
    let (mut found, lifetime) = match &discovery.question {
        Question::Addresses { name, port } => {
            let answer = hosts.addresses(resolver, name, families);
            let Answer { found, lifetime } = answer.await?;
            let found = found.into_iter().map(|ip| Spot {
                ip,
                port: *port,
                priority: 0,
                weight: 1,
            });
            (found.collect::<Vec<_>>(), lifetime)
        }
        Question::Services(name) => {
            let Answer { found, lifetime } = hosts.spots(resolver, name, families).await?;
            (found, lifetime)
        }
    };
    found.sort_unstable();
    found.dedup_by_key(|spot| (spot.ip, spot.port));
    found.sort_by_key(|spot| spot.priority);
    let backend = |spot: Spot| {
        let host = BackendHost::Ip(spot.ip);
        let port = spot.port;
        Backend {
            name: format!("{host}:{port}").into(),
            address: BackendAddress::Tcp {
                tls: discovery.tls,
                host,
                port,
            },
            weight: spot.weight,
            max_sessions: discovery.max_sessions,
            priority: spot.priority,
        }
    };
    Ok(Answer {
        found: found.into_iter().map(backend).collect(),
        lifetime,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(lifetime: Option<u64>) -> Result<Answer<()>, Fault> {
        Ok(Answer {
            found: Vec::new(),
            lifetime: lifetime.map(Duration::from_secs),
        })
    }

    fn failed() -> Result<Answer<()>, Fault> {
        Err(Fault::Timeout)
    }

    /// The pauses after these answers in turn.
    #[test]
    fn asks_again_when_what_is_known_is_old_or_soon_where_nothing_is_known() {
        for (answers, expected) in [
            (vec![answered(None), failed()], vec![10, 10]),
            (vec![failed(), failed(), answered(Some(5))], vec![1, 1, 5]),
            (vec![answered(Some(5)), answered(Some(60))], vec![5, 10]),
            (vec![answered(Some(0)), answered(Some(1))], vec![1, 1]),
            // A resolver that fails for a moment, and one that fails for long.
            (
                vec![answered(Some(1)), failed(), answered(Some(1)), failed()],
                vec![1, 1, 1, 1],
            ),
            (
                vec![
                    answered(Some(2)),
                    failed(),
                    answered(None),
                    failed(),
                    failed(),
                ],
                vec![2, 2, 4, 8, 10],
            ),
        ] {
            let mut pace = Pace::default();
            let refresh = Duration::from_secs(10);
            let pauses = answers.iter().map(|it| pace.after(it, refresh).as_secs());
            assert_eq!(pauses.collect::<Vec<_>>(), expected, "{answers:?}");
        }
    }

    #[test]
    fn asks_at_the_latest_after_refresh() {
        let mut pace = Pace::default();
        let short = Duration::from_millis(100);
        for answer in [failed(), answered(Some(0)), answered(Some(u32::MAX.into()))] {
            assert_eq!(pace.after(&answer, short), short, "{answer:?}");
        }
        for _ in 0..100 {
            assert_eq!(pace.after(&failed(), short), short);
        }
    }
}
