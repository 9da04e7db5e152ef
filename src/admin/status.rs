//! The state of the gateway, as GET /status shows it.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::config::Name;
use crate::telemetry::{DiscoveryResult, Rfc3339};
use crate::upstream::{LastCheck, Standing};

/// The state of the gateway.
#[derive(Clone, Debug)]
pub struct Status {
    /// When the process started.
    pub started: SystemTime,
    /// How long it has run, by the monotonic clock.
    pub uptime: Duration,
    /// The number of the configuration, counted from the start.
    pub generation: u64,
    /// When the configuration came into force.
    pub configured: SystemTime,
    /// Whether the process is stopping.
    pub draining: bool,
    /// Sessions that still have to end because something is drained.
    pub drain_sessions: usize,
    /// The listeners, by name.
    pub listeners: Vec<ListenerStatus>,
    /// The routes, by name.
    pub routes: Vec<RouteStatus>,
    /// The pools, by name.
    pub pools: Vec<PoolStatus>,
}

/// A listener in [`Status`].
#[derive(Clone, Debug)]
pub struct ListenerStatus {
    /// Its name.
    pub name: Name,
    /// Its address; for port 0, with the port that the system chose.
    pub address: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Connections open now.
    pub connections: u64,
}

/// A route in [`Status`].
#[derive(Clone, Debug)]
pub struct RouteStatus {
    /// Its name.
    pub name: Name,
    /// Its pool; `None` if it answers by itself.
    pub pool: Option<Name>,
    /// Sessions open now.
    pub sessions: u64,
    /// Whether the operator drained it.
    pub draining: bool,
}

/// A pool in [`Status`].
#[derive(Clone, Debug)]
pub struct PoolStatus {
    /// Its name.
    pub name: Name,
    /// The state of discovery, if its backends are discovered.
    pub discovery: Option<DiscoveryStatus>,
    /// Opening handshakes that wait for a place on one of its backends.
    pub waiting: usize,
    /// Its backends, in the order of the file.
    pub backends: Vec<BackendStatus>,
}

/// The discovery of a pool's backends in [`Status`].
#[derive(Clone, Debug)]
pub struct DiscoveryStatus {
    /// The result of the last query; `None` before the first answer.
    pub last: Option<DiscoveryResult>,
    /// Since when the result has been the same.
    pub since: SystemTime,
}

/// A backend in [`Status`].
#[derive(Clone, Debug)]
pub struct BackendStatus {
    /// Its name.
    pub name: Name,
    /// Its address.
    pub address: String,
    /// Its share of the sessions.
    pub weight: u32,
    /// The lowest is chosen first; 0 is the default.
    pub priority: u16,
    /// Its current share: less than the weight during a slow start.
    pub effective_weight: f64,
    /// Sessions open now.
    pub sessions: u64,
    /// The maximum number of sessions.
    pub max_sessions: Option<u64>,
    /// Whether it has that many.
    pub is_full: bool,
    /// Its health, and how it came to that.
    pub standing: Standing,
}

impl Status {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started": Rfc3339(self.started).to_string(),
            "uptime_seconds": self.uptime.as_secs(),
            "draining": self.draining,
            "drain_sessions": self.drain_sessions,
            "configuration": {
                "generation": self.generation,
                "time": Rfc3339(self.configured).to_string(),
            },
            "listeners": self.listeners.iter().map(ListenerStatus::to_json).collect::<Value>(),
            "routes": self.routes.iter().map(RouteStatus::to_json).collect::<Value>(),
            "pools": self.pools.iter().map(PoolStatus::to_json).collect::<Value>(),
        })
    }
}

impl ListenerStatus {
    fn to_json(&self) -> Value {
        json!({
            "name": &*self.name,
            "address": self.address,
            "tls": self.tls,
            "connections": self.connections,
        })
    }
}

impl RouteStatus {
    fn to_json(&self) -> Value {
        json!({
            "name": &*self.name,
            "pool": self.pool.as_deref(),
            "sessions": self.sessions,
            "draining": self.draining,
        })
    }
}

impl PoolStatus {
    fn to_json(&self) -> Value {
        let sessions: u64 = self.backends.iter().map(|backend| backend.sessions).sum();
        let backends: Value = self.backends.iter().map(BackendStatus::to_json).collect();
        let mut shown = json!({ "name": &*self.name, "sessions": sessions, "waiting": self.waiting, "backends": backends });
        if let Some(discovery) = &self.discovery {
            shown["discovery"] = discovery.to_json();
        }
        shown
    }
}

impl DiscoveryStatus {
    fn to_json(&self) -> Value {
        let result = self.last.map_or("waiting", DiscoveryResult::label);
        json!({ "result": result, "since": Rfc3339(self.since).to_string() })
    }
}

impl BackendStatus {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": &*self.name,
            "address": self.address,
            "weight": self.weight,
            "priority": self.priority,
            "effective_weight": self.effective_weight,
            "sessions": self.sessions,
            "max_sessions": self.max_sessions,
            "full": self.is_full,
            "state": self.standing.last.to.label(),
            "reason": self.standing.last.reason,
            "since": Rfc3339(self.standing.last.at).to_string(),
            "failures": self.standing.failures,
            "failed_checks": self.standing.failed_checks,
            "last_check": self.standing.check.as_ref().map(check_to_json),
        })
    }
}

fn check_to_json(check: &LastCheck) -> Value {
    json!({
        "time": Rfc3339(check.at).to_string(),
        "passed": check.fault.is_none(),
        "error": check.fault,
    })
}
