//! The configuration: what YAML may say, and the validated result.
//!
//! [`Config`] is valid by construction: every name it mentions exists, every value is in range, every
//! pattern is parsed. No other room sees YAML.
//!
//! A file becomes a `Config` in four steps, each in a place of its own: `yaml` makes a tree of the
//! text, `reading` fills the types of `schema` from the tree and finds unknown keys and wrong types,
//! `values` parses single values, `resolve` puts in defaults and checks one part against another.
//! Each step continues after a problem, so that all [`Problems`] of a file are reported at once. `warnings`, with
//! `cookie_conflicts`, reports what is valid but may surprise.

mod cookie_conflicts;
mod diff;
mod environment;
mod file;
mod host;
mod model;
mod networks;
mod origin;
mod problems;
mod reading;
mod resolve;
mod schema;
mod tree;
mod values;
mod warnings;
mod yaml;

pub use environment::Environment;
pub use file::{Written, not_a_file, read_at_most};
pub use host::{HostFault, HostPattern, PortFault};
pub use model::{
    AccessLog, ActiveHealth, Address, Admin, Backend, BackendAddress, BackendHost, BackendTls,
    CertificateFiles, Check, CheckRequest, ClientAuth, Config, Cors, Discovery, Drain, Family,
    FieldRules, FixedAnswer, Forwarded, HashKey, HeaderRules, Health, Http, Listener,
    ListenerLimits, ListenerTimeouts, Log, LogFormat, Name, NamedFile, OnProtocolError,
    OnUnhealthy, PassiveHealth, Piece, Ping, Pool, PoolTarget, ProxyHeader, ProxyProtocol,
    Question, Queue, Rebalance, Redirect, Route, RouteMatch, Runtime, SameSite, Secret,
    SessionTimeouts, Sticky, Strategy, Target, Tls, TlsVersion, Transport, WebSocket,
};
pub use networks::{Access, Networks, TrustedProxies};
pub use origin::{Origin, OriginFault, OriginList, OriginPattern, OriginPatterns, Origins};
pub use problems::{Position, Problem, Problems};

use reading::{Definitions, FromNode};

/// The JSON Schema of a configuration file, for editors.
#[must_use]
pub fn json_schema() -> String {
    format!("{:#}", definitions().schema("File"))
}

/// The maps of a configuration file; the whole is called `File`.
fn definitions() -> Definitions {
    let mut definitions = Definitions::default();
    schema::File::forms(&mut definitions);
    definitions
}

#[cfg(test)]
mod tests;
