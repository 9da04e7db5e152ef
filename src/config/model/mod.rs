//! The validated configuration: every name exists, every value is in range.
//!
//! Types only; `resolve` makes them and nothing else does.

mod discovery;
mod file;
mod health;
mod http;
mod listener;
mod pool;
mod process;
mod route;
mod websocket;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use discovery::{Discovery, Family, Question};
pub use file::NamedFile;
pub use health::{ActiveHealth, Check, CheckRequest, Health, OnUnhealthy, PassiveHealth};
pub use http::{Cors, FieldRules, Forwarded, HeaderRules, Http, Piece, Redirect};
pub use listener::{
    CertificateFiles, ClientAuth, Listener, ListenerLimits, ListenerTimeouts, ProxyHeader, Tls,
    TlsVersion,
};
pub use pool::{
    Backend, BackendAddress, BackendHost, BackendTls, HashKey, Pool, ProxyProtocol, Queue,
    Rebalance, SameSite, Secret, Sticky, Strategy, Transport,
};
pub use process::{AccessLog, Address, Admin, Drain, Log, LogFormat, Runtime};
pub use route::{FixedAnswer, PoolTarget, Route, RouteMatch, SessionTimeouts, Target};
pub use websocket::{OnProtocolError, Ping, WebSocket};

/// A name given by the operator to a listener, route, pool or backend; also its metric label.
pub type Name = Arc<str>;

/// A whole configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The admin side.
    pub admin: Admin,
    /// What is logged and how.
    pub log: Log,
    /// Threads.
    pub runtime: Runtime,
    /// Where clients connect, by name; never empty.
    pub listeners: BTreeMap<Name, Listener>,
    /// What answers, by name; never empty.
    pub routes: BTreeMap<Name, Route>,
    /// Backends, by name.
    pub pools: BTreeMap<Name, Pool>,
    /// How sessions are ended at a drain.
    pub drain: Drain,
}
