//! Where clients connect.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::{Address, NamedFile};
use crate::config::networks::{Access, TrustedProxies};

/// Where clients connect.
#[derive(Clone, PartialEq, Debug)]
pub struct Listener {
    /// Where it listens.
    pub address: Address,
    /// Proxies that are believed when they name the client.
    pub trusted_proxies: TrustedProxies,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyHeader,
    /// Who may connect.
    pub access: Access,
    /// TLS settings; `None` is a plain listener.
    pub tls: Option<Tls>,
    /// Whether a plain listener takes HTTP/2 by prior knowledge.
    pub h2c: bool,
    /// Deadlines of a connection before and between requests.
    pub timeouts: ListenerTimeouts,
    /// Bounds on connections.
    pub limits: ListenerLimits,
}

/// Whether connections of trusted proxies begin with a PROXY header, which names the client.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ProxyHeader {
    /// None is expected.
    #[default]
    None,
    /// There may be one.
    Accept,
    /// There must be one; only trusted proxies may connect.
    Require,
}

/// TLS settings of a listener.
#[derive(Clone, PartialEq, Debug)]
pub struct Tls {
    /// Certificates in the order of the file, never empty; the first answers when none fits the SNI.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// How long a TLS handshake may take, once its turn has come.
    pub handshake_timeout: Duration,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: NamedFile,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key: NamedFile,
}

/// A TLS version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Whether clients show certificates; the PEM file has authorities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They are asked; one that is shown must be valid.
    Request(NamedFile),
    /// They must show a valid one.
    Require(NamedFile),
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
    /// Connections open at once of one client.
    pub max_connections_per_client: Option<NonZeroUsize>,
    /// TLS handshakes under way at once.
    pub concurrent_tls_handshakes: Option<NonZeroUsize>,
    /// Opening handshakes per second.
    pub handshakes_per_second: Option<NonZeroU32>,
    /// Bytes of a request head.
    pub request_head: usize,
    /// Streams open at once on an HTTP/2 connection.
    pub http2_streams: u32,
}
