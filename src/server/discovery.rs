//! Pools whose backends are found in the DNS: one task each asks again and again, and tells the server when the
//! answer is another one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::command::Command;
use super::services::{Hosts, Spot};
use super::workers::{AbortOnDrop, spawn};
use crate::config::{Backend, BackendAddress, BackendHost, Config, Discovery, Name, Question};
use crate::dns::{Answer, Fault, Resolver};
use crate::telemetry::{DiscoveryMetrics, DiscoveryResult, Metrics};

/// Between two questions lies at least this much, or `refresh` if that is less, however short the lifetime of an answer is.
const SHORTEST: Duration = Duration::from_secs(1);
/// So many times in a row the DNS has to say that nothing is there before a pool is emptied: name servers say so
/// of a name that is there when they have just started, or were asked too early.
const EMPTY_ANSWERS: u32 = 5;
/// The most backends that are taken from one answer.
const BACKENDS: usize = 1000;

/// The backends that were found for a pool.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// Which pool.
    pub pool: Name,
    /// What was asked; a reload may ask otherwise meanwhile.
    pub discovery: Discovery,
    /// The backends, by priority and address.
    pub backends: Vec<Backend>,
}

/// How the discovery of a pool goes.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// What the last question came to; none before the first answer.
    pub(super) last: Option<DiscoveryResult>,
    /// Since when that is so.
    pub(super) since: SystemTime,
}

/// The tasks that ask, by pool.
#[derive(Default)]
pub(super) struct Discoveries(Mutex<BTreeMap<Name, Asking>>);

struct Asking {
    discovery: Discovery,
    progress: Arc<Mutex<Progress>>,
    _task: AbortOnDrop,
}

impl Discoveries {
    /// Asks for the pools of `config` that want it. What is asked for as before goes on.
    pub(super) fn follow(
        &self,
        config: &Config,
        commands: &mpsc::Sender<Command>,
        metrics: &Metrics,
        runtime: &Handle,
    ) {
        let mut asking = self.asking();
        let wanted = |name: &Name| config.pools.get(name)?.discovery.as_ref();
        asking.retain(|name, asking| wanted(name) == Some(&asking.discovery));
        for (name, pool) in &config.pools {
            let Some(discovery) = &pool.discovery else {
                continue;
            };
            if asking.contains_key(name) {
                continue;
            }
            let progress = Arc::new(Mutex::new(Progress {
                last: None,
                since: SystemTime::now(),
            }));
            let inquiry = Inquiry {
                pool: Arc::clone(name),
                discovery: discovery.clone(),
                commands: commands.clone(),
                metrics: metrics.discovery(name),
                progress: Arc::clone(&progress),
                told: None,
                empty: 0,
                hosts: Hosts::default(),
            };
            let task = spawn(runtime, inquiry.run());
            let discovery = discovery.clone();
            asking.insert(
                Arc::clone(name),
                Asking {
                    discovery,
                    progress,
                    _task: task,
                },
            );
        }
    }

    /// How the discovery of a pool goes, if its backends are discovered.
    pub(super) fn progress(&self, pool: &Name) -> Option<Progress> {
        let asking = self.asking();
        let progress = &asking.get(pool)?.progress;
        let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        Some(progress.clone())
    }

    fn asking(&self) -> MutexGuard<'_, BTreeMap<Name, Asking>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one pool.
struct Inquiry {
    pool: Name,
    discovery: Discovery,
    commands: mpsc::Sender<Command>,
    metrics: Arc<DiscoveryMetrics>,
    progress: Arc<Mutex<Progress>>,
    /// What the server was told last.
    told: Option<Vec<Backend>>,
    /// How often in a row nothing was found.
    empty: u32,
    /// Of a service.
    hosts: Hosts,
}

impl Inquiry {
    async fn run(mut self) {
        loop {
            // The file of the system may name other servers by now.
            let resolver = match &self.discovery.nameservers[..] {
                [] => Resolver::system(),
                servers => Resolver::new(servers.to_vec()),
            };
            let answer = backends(&resolver, &self.discovery, &mut self.hosts).await;
            let lifetime = answer.as_ref().ok().and_then(|answer| answer.lifetime);
            if self.take(answer).await.is_none() {
                // The server is gone.
                return;
            }
            let lifetime = lifetime.unwrap_or(self.discovery.refresh);
            let pause = lifetime.max(SHORTEST).min(self.discovery.refresh);
            tokio::time::sleep(pause).await;
        }
    }

    /// Tells the server what changed. A resolver that fails changes nothing, one that finds nothing only after
    /// a while.
    async fn take(&mut self, answer: Result<Answer<Backend>, Fault>) -> Option<()> {
        let (result, reason) = match &answer {
            Ok(answer) if answer.found.is_empty() => (DiscoveryResult::Empty, String::new()),
            Ok(_) => (DiscoveryResult::Success, String::new()),
            Err(fault @ Fault::Timeout) => (DiscoveryResult::Timeout, fault.to_string()),
            Err(fault) => (DiscoveryResult::Failure, fault.to_string()),
        };
        self.note(result, &reason);
        let Ok(Answer { found, .. }) = answer else {
            return Some(());
        };
        self.empty = if found.is_empty() { self.empty + 1 } else { 0 };
        let is_early = found.is_empty() && self.empty < EMPTY_ANSWERS;
        if is_early || self.told.as_ref() == Some(&found) {
            return Some(());
        }
        self.told = Some(found.clone());
        let found = Discovered {
            pool: Arc::clone(&self.pool),
            discovery: self.discovery.clone(),
            backends: found,
        };
        self.commands.send(Command::Found(found)).await.ok()
    }

    /// Counts a result, and logs it where it is another one than before.
    fn note(&self, result: DiscoveryResult, reason: &str) {
        self.metrics.asked(result);
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
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
            DiscoveryResult::Success => tracing::info!(%pool, name, "discovery answers again"),
            DiscoveryResult::Empty => {
                tracing::warn!(%pool, name, "nothing is there; the last backends are kept for now");
            }
            DiscoveryResult::Timeout | DiscoveryResult::Failure => {
                tracing::warn!(%pool, name, "discovery failed, the last backends are kept: {reason}");
            }
        }
    }
}

/// The backends that the DNS tells, by priority and address.
async fn backends(
    resolver: &Resolver,
    discovery: &Discovery,
    hosts: &mut Hosts,
) -> Result<Answer<Backend>, Fault> {
    let (mut found, lifetime) = match &discovery.question {
        Question::Addresses { name, port } => {
            let Answer { found, lifetime } = resolver.addresses(name).await?;
            let found = found.into_iter().map(|ip| Spot {
                ip,
                port: *port,
                priority: 0,
                weight: 1,
            });
            (found.collect::<Vec<_>>(), lifetime)
        }
        Question::Services(name) => {
            let Answer { found, lifetime } = hosts.places(resolver, name).await?;
            (found, lifetime)
        }
    };
    found.sort_unstable();
    found.dedup_by_key(|spot| (spot.ip, spot.port));
    found.sort_by_key(|spot| spot.priority);
    found.truncate(BACKENDS);
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
