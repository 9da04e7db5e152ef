//! What YAML may say: every key, its kind, and its description in the JSON Schema.
//!
//! A new key is one line here and one line in `resolve`, where its default is.

mod health;
mod http;
mod listener;
mod pool;
mod process;
mod route;
mod websocket;

pub(super) use health::{ActiveHealth, Health, PassiveHealth};
pub(super) use http::{Cors, FieldRules, Headers, Http, Redirect};
pub(super) use listener::{
    CertificateFiles, ClientAuth, Listener, ListenerLimits, ListenerTimeouts, Tls,
};
pub(super) use pool::{
    Backend, BackendTls, Discovery, Hash, HashKey, Pool, Queue, Rebalance, Sticky,
};
pub(super) use process::{Admin, Drain, Log, Runtime};
pub(super) use route::{
    Defaults, FixedAnswer, OriginRules, Origins, Route, RouteMatch, SessionTimeouts,
};
pub(super) use websocket::{Ping, SlowConsumer, WebSocket};

use super::reading::{Named, keys};

keys! {
    /// The configuration of wsgate.
    File needs [["listeners", "routes"]] {
        /// The admin side: metrics, health, status, reload.
        admin: Admin,
        /// What is logged and how.
        log: Log,
        /// Threads.
        runtime: Runtime,
        /// Inherited by every route; a route overrides single keys.
        defaults: Defaults,
        /// Required. Where clients connect, by name.
        listeners: Named<Listener>,
        /// Required. What answers, by name; the most specific match wins.
        routes: Named<Route>,
        /// Backends, by name.
        pools: Named<Pool>,
        /// How sessions are ended at a drain.
        drain: Drain,
    }
}
