//! The configuration: what YAML may say, and what is true once it has been read.
//!
//! [`Config`] is true by construction: every name it mentions exists, every value is in range, every
//! pattern is parsed. No other room sees YAML.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    /// How sessions are ended when something stops.
    pub drain: Drain,
}

/// The admin side: metrics, health, status, reload.
#[derive(Clone, PartialEq, Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: Address,
}

/// A place to listen at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Address {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// What is logged and how.
#[derive(Clone, PartialEq, Debug)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least level that is written.
    pub level: tracing::Level,
    /// Access-log lines.
    pub access: AccessLog,
}

/// The form of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `key=value` pairs for people.
    Text,
}

/// Which access-log lines are written.
#[derive(Clone, PartialEq, Debug)]
pub struct AccessLog {
    /// A line when a session opens.
    pub open: bool,
    /// A line when a session ends.
    pub close: bool,
    /// Whether values in query strings are replaced.
    pub redact_query: bool,
}

/// Threads.
#[derive(Clone, PartialEq, Debug)]
pub struct Runtime {
    /// The number of workers; `None` stands for one per core.
    pub workers: Option<std::num::NonZeroUsize>,
}

/// Where clients connect.
#[derive(Clone, PartialEq, Debug)]
pub struct Listener {
    /// Where it listens.
    pub address: Address,
    /// TLS settings; `None` is a plain listener.
    pub tls: Option<Tls>,
    /// Deadlines of a connection before and between requests.
    pub timeouts: ListenerTimeouts,
    /// Bounds on connections.
    pub limits: ListenerLimits,
}

/// TLS settings of a listener.
#[derive(Clone, PartialEq, Debug)]
pub struct Tls {
    /// Certificates in the order of the file, never empty; the first answers when none fits the SNI.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// From the first byte to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
}

/// A certificate chain and its key, as paths of PEM files (made absolute).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// A TLS version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Whether clients show certificates; the path names a PEM file of authorities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They are asked; one that is shown must be valid.
    Request(PathBuf),
    /// They must show a valid one.
    Require(PathBuf),
}

/// Deadlines of a connection before and between requests.
#[derive(Clone, PartialEq, Debug)]
pub struct ListenerTimeouts {
    /// From the first moment of waiting for a request head to its last byte.
    pub request_header: Duration,
    /// Between an answer and the next request.
    pub keep_alive: Duration,
}

/// Bounds on a listener.
#[derive(Clone, PartialEq, Debug)]
pub struct ListenerLimits {
    /// Connections open at once.
    pub max_connections: usize,
    /// Bytes of a request head.
    pub request_head: usize,
}

/// What requests a route takes and what becomes of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// Which requests it takes.
    pub matcher: RouteMatch,
    /// What answers.
    pub target: Target,
}

/// Which requests a route takes; all that is given must fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteMatch {
    /// Host patterns; empty takes any host.
    pub hosts: Vec<HostPattern>,
    /// The path, beginning with a slash.
    pub path: String,
    /// Whether the path must be equal; otherwise it is a prefix on segment borders.
    pub exact: bool,
    /// The listeners it answers on; empty stands for all.
    pub listeners: Vec<Name>,
}

/// A pattern for hosts, in lower case, without a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HostPattern {
    /// This host only.
    Exact(String),
    /// One or more labels before this suffix; the suffix is written without the leading `*.`.
    Wildcard(String),
}

/// What answers a route's requests.
#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    /// WebSocket sessions to a pool.
    Pool(PoolTarget),
    /// A fixed answer.
    Respond(FixedAnswer),
}

/// WebSocket sessions to a pool.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolTarget {
    /// The pool; it exists.
    pub pool: Name,
    /// Which origins may open sessions.
    pub origins: Origins,
    /// Deadlines of a session.
    pub timeouts: SessionTimeouts,
}

/// A fixed answer.
#[derive(Clone, PartialEq, Debug)]
pub struct FixedAnswer {
    /// The status, 200 to 599.
    pub status: http::StatusCode,
    /// The body, as plain text.
    pub body: String,
}

/// Deadlines of a session.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SessionTimeouts {
    /// To connect to one backend.
    pub connect: Duration,
    /// To the backend's 101, all attempts together.
    pub handshake: Duration,
    /// For the peer's Close before its connection is cut.
    pub close: Duration,
    /// After one side ended its sending half.
    pub half_close: Duration,
}

/// Backends and how sessions are spread over them.
#[derive(Clone, PartialEq, Debug)]
pub struct Pool {
    /// How the order of candidates is found.
    pub strategy: Strategy,
    /// Backends tried before the client is refused; at least 1.
    pub attempts: usize,
    /// The backends in the order of the file, never empty; names and addresses are each unique.
    pub backends: Vec<Backend>,
}

/// How the order of candidates is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// In turn, smooth by weight.
    RoundRobin,
}

/// One backend of a pool.
#[derive(Clone, PartialEq, Debug)]
pub struct Backend {
    /// Its name; the address as written where the file gives none.
    pub name: Name,
    /// Where it is.
    pub address: BackendAddress,
    /// Its share of the sessions; at least 1.
    pub weight: u32,
}

/// Where a backend is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendAddress {
    /// A name or an address (an IPv6 address without brackets).
    pub host: String,
    /// The port; 80 where the file gives none.
    pub port: u16,
}

/// How sessions are ended when something stops.
#[derive(Clone, PartialEq, Debug)]
pub struct Drain {
    /// Not ready, still accepting.
    pub grace: Duration,
    /// The time over which the ends are spread.
    pub window: Duration,
    /// When whatever is left is cut, from the beginning of the drain.
    pub deadline: Duration,
    /// The code of the Close frame.
    pub close_code: u16,
    /// The reason in the Close frame; at most 123 bytes.
    pub reason: String,
}

/// Which origins may open sessions on a route (RFC 6455 section 10.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origins {
    /// The check is off.
    Any,
    /// Only these.
    List(OriginList),
}

/// The origins that are allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginList {
    /// Patterns; one that matches suffices.
    pub allow: Vec<OriginPattern>,
    /// Whether a request without Origin is let in.
    pub allow_missing: bool,
    /// Whether `Origin: null` is let in.
    pub allow_opaque: bool,
}

/// A pattern for origins: scheme, host (exact, or `*.` and a suffix) and port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginPattern {}
