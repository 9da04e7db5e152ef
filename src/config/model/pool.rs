//! Backends and how sessions are spread over them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use rustls_pki_types::ServerName;

use super::{CertificateFiles, Discovery, Health, Name, NamedFile};

/// Backends and how sessions are spread over them.
#[derive(Clone, PartialEq, Debug)]
pub struct Pool {
    /// How the order of candidates is found.
    pub strategy: Strategy,
    /// The cookie by which clients come back to their backend.
    pub sticky: Option<Sticky>,
    /// The time in which a backend that joins or returns reaches its share; 0 for at once.
    pub slow_start: Duration,
    /// Backends tried before the client is refused; at least 1.
    pub attempts: usize,
    /// The backends in the order of the file; names and addresses are each unique. Where there are none,
    /// sessions are refused.
    pub backends: Vec<Backend>,
    /// Where handshakes wait while every backend is full.
    pub queue: Queue,
    /// Which of them get sessions.
    pub health: Health,
    /// How sessions move to a backend that joins or returns; `None` if they stay.
    pub rebalance: Option<Rebalance>,
    /// How backends are discovered instead; none are named then.
    pub discovery: Option<Discovery>,
    /// How they are reached.
    pub transport: Transport,
}

/// How the backends of a pool are reached.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Transport {
    /// The PROXY header that a connection begins with.
    pub proxy_protocol: ProxyProtocol,
    /// What connections go out from, in turn; the system chooses where there are none.
    pub source_addresses: Vec<IpAddr>,
    /// TLS settings; `None` if no backend uses TLS.
    pub tls: Option<BackendTls>,
}

impl Transport {
    /// Certificates of discovered backends must be for the name that was looked up, not for their addresses, unless the
    /// file names another.
    pub(in crate::config) fn for_discovery(mut self, discovery: Option<&Discovery>) -> Self {
        if let (Some(tls), Some(discovery)) = (&mut self.tls, discovery)
            && tls.server_name.is_none()
        {
            let name = discovery.question.domain().to_owned();
            tls.server_name = ServerName::try_from(name).ok();
        }
        self
    }
}

/// How TLS is spoken to the backends of a pool.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct BackendTls {
    /// The PEM file of the authorities that are trusted; the system's where there is none.
    pub ca: Option<NamedFile>,
    /// The name that certificates must have and that SNI sends; `None` for the backend's host.
    pub server_name: Option<ServerName<'static>>,
    /// The certificate that the gateway shows to backends that ask.
    pub identity: Option<CertificateFiles>,
}

/// Which PROXY header tells a backend the address of the client.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ProxyProtocol {
    /// No header.
    #[default]
    None,
    /// One line of text.
    V1,
    /// A binary header.
    V2,
}

/// How sessions go to a backend that joins or returns.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rebalance {
    /// A backend gives sessions when it has more than this many times its share; more than 1.
    pub threshold: f64,
    /// The part of the pool's sessions that is asked to reconnect in a second; more than 0, at most 1.
    pub rate: f64,
}

/// How the order of candidates is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// In turn, smooth by weight.
    RoundRobin,
    /// The one with the fewest sessions for its weight.
    LeastSessions,
    /// The better of two random ones.
    TwoChoices,
    /// At random.
    Random,
    /// Always the same for the same key, by a table that all gateways with this configuration agree on.
    Hash(HashKey),
}

/// What is hashed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HashKey {
    /// The client's address.
    Client,
    /// The path as the client sent it, without the query.
    Path,
    /// A segment of that path; the first is 1.
    PathSegment(usize),
    /// The value of a header field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a parameter in the query, as it is written there.
    Query(String),
}

/// The cookie by which clients come back to their backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sticky {
    /// Its name.
    pub cookie: String,
    /// How long it is kept after the last answer; until the browser is closed where this is 0.
    pub ttl: Duration,
    /// What signs it; `None` for a random key of this process.
    pub secret: Option<Secret>,
    /// Which pages send it.
    pub same_site: SameSite,
}

/// From the pages of which sites a browser sends a cookie (RFC 6265bis section 4.1.2.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SameSite {
    /// From its own, and when it follows a link from another.
    Lax,
    /// From its own.
    Strict,
    /// From all, if the cookie has the attribute Secure.
    None,
}

impl Sticky {
    /// Whether browsers take the cookie with the attribute Secure only, and so over TLS only: because of its name (RFC 6265bis
    /// section 4.1.3), or because pages of other sites send it.
    #[must_use]
    pub fn demands_secure(&self) -> bool {
        let is_begin = |prefix: &&str| {
            let begin = self.cookie.get(..prefix.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        self.same_site == SameSite::None || ["__Host-", "__Secure-"].iter().any(is_begin)
    }
}

/// A secret of at least 32 bytes; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// Where handshakes wait while every backend is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queue {
    /// How many may wait; 0 for none.
    pub max: usize,
    /// How long.
    pub timeout: Duration,
}

impl Queue {
    /// How long by default.
    pub(in crate::config) const TIMEOUT: Duration = Duration::from_secs(1);
}

/// One backend of a pool.
#[derive(Clone, PartialEq, Debug)]
pub struct Backend {
    /// Its name; the address as written where the file gives none.
    pub name: Name,
    /// Its address.
    pub address: BackendAddress,
    /// Its share of the sessions; at least 1.
    pub weight: u32,
    /// The most sessions that it takes.
    pub max_sessions: Option<NonZeroUsize>,
    /// Lower is preferred: a backend is chosen only if none with a lower one can be.
    pub priority: u16,
}

/// The address of a backend. With and without TLS are different addresses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BackendAddress {
    /// A port of a host.
    Tcp {
        /// Whether TLS is spoken there.
        tls: bool,
        /// Which host.
        host: BackendHost,
        /// The port; 80, or 443 under TLS, where the file gives none.
        port: u16,
    },
    /// The path of a unix socket, made absolute.
    Unix(PathBuf),
}

/// The host of a backend.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BackendHost {
    /// An address.
    Ip(IpAddr),
    /// A name, resolved at every connect.
    Name(String),
}

impl BackendAddress {
    /// Whether TLS is spoken there.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Tcp { tls, .. } => *tls,
            Self::Unix(_) => false,
        }
    }

    /// The Host field that names this backend; `localhost` for a unix socket, which has no name.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// A port without TLS.
impl From<SocketAddr> for BackendAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp {
            tls: false,
            host: BackendHost::Ip(address.ip()),
            port: address.port(),
        }
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { tls, host, port } => {
                let scheme = if *tls { "wss://" } else { "" };
                write!(formatter, "{scheme}{host}:{port}")
            }
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// As in a URL: an IPv6 address has brackets.
impl fmt::Display for BackendHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(formatter, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(formatter),
            Self::Name(name) => formatter.write_str(name),
        }
    }
}
