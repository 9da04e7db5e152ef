//! Keys of a pool and its backends.

use std::num::NonZeroUsize;
use std::time::Duration;

use http::HeaderName;
use rustls_pki_types::ServerName;

use super::Health;
use crate::config::model::{Family, ProxyProtocol, SameSite, Secret};
use crate::config::reading::{Each, Placed, ScalarOrMap, keys};
use crate::config::values::choice::{HashWord, StrategyWord};
use crate::config::values::{
    BackendUrl, CookieName, DnsName, FilePath, GivenName, LocalAddress, NameServer, QueryName,
    Rate, Scheme, Surplus, Timeout, Whole,
};

keys! {
    /// Backends and how sessions are spread over them.
    Pool needs [["backends"], ["discovery"]] {
        /// How the order of candidates is found; round_robin by default.
        strategy: StrategyWord,
        /// For the strategy hash: what is hashed.
        hash: Hash,
        /// A cookie that leads clients back to the backend that they had; absent = no cookie.
        sticky: Sticky,
        /// The time in which a backend that joins or returns reaches its share; 0s = at once, the default.
        slow_start: Duration,
        /// Backends tried before the client is refused; 3 by default.
        attempts: Whole<usize, 1, 100>,
        /// Required, or discovery. Addresses such as ws://127.0.0.1:9001, or maps; [] where there are none for now.
        backends: Each<Backend>,
        /// Backends that are found in the DNS.
        discovery: Discovery,
        /// The PROXY header that a connection to a backend begins with; none by default.
        proxy_protocol: ProxyProtocol,
        /// Local addresses that connections go out from, in turn; the system chooses by default.
        source_addresses: Each<LocalAddress>,
        /// How TLS is spoken to wss backends.
        tls: BackendTls,
        /// Which backends get sessions, and what becomes of open ones.
        health: Health,
        /// Where handshakes wait while every backend is full.
        queue: Queue,
        /// How sessions move to a backend that joins or returns; null, the default, for not at all.
        rebalance: Rebalance,
    }

    /// What the strategy hash looks at.
    Hash {
        /// client, path, or one of { header: NAME }, { cookie: NAME }, { query: NAME }, { path_segment: NUMBER }; client by default.
        key: HashKey,
    }

    /// A key of the request; one of the four.
    HashKeyPart needs [["header"], ["cookie"], ["query"], ["path_segment"]] {
        /// The value of this header field.
        header: HeaderName,
        /// The value of this cookie.
        cookie: CookieName,
        /// The value of this parameter in the query.
        query: QueryName,
        /// This segment of the path; the first is 1.
        path_segment: Whole<usize, 1, 100>,
    }

    /// The cookie by which clients come back to the backend that they had.
    Sticky {
        /// Its name; wsgate by default.
        cookie: CookieName,
        /// How long a browser keeps it after the last answer; 0s = until it is closed, the default.
        ttl: Duration,
        /// Signs it, the same in all gateways in front of these backends; at random by default.
        secret: Secret,
        /// From the pages of which sites browsers send it: lax, the default, strict, or none for all sites, over TLS only.
        same_site: SameSite,
    }

    /// Where handshakes wait while every backend is full.
    Queue {
        /// How many may wait; 0 = none, the default.
        max: Whole<usize, 0, 100_000>,
        /// How long; 1s by default.
        timeout: Timeout,
    }

    /// How sessions move to a backend that joins or returns.
    Rebalance {
        /// A backend gives sessions when it has more than this part of its share; 120% by default.
        threshold: Surplus,
        /// The part of the pool's sessions asked to reconnect in a second; 1%/s by default.
        rate: Rate,
    }

    /// Backends that are found in the DNS.
    Discovery needs [["dns", "port"], ["srv"]] {
        /// Required, or srv. A name; each of its addresses is a backend.
        dns: DnsName,
        /// Required beside dns.
        port: Whole<u16, 1, 65535>,
        /// Required, or dns. A service, such as _ws._tcp.chat.internal; its places are the backends.
        srv: DnsName,
        /// ipv4 or ipv6: the addresses that are asked for; ipv4, and ipv6 where there are none, by default.
        family: Family,
        /// Whether they use TLS: ws or wss; ws by default.
        scheme: Scheme,
        /// The most sessions that each of them takes; 0 = any number, the default.
        max_sessions: Whole<Option<NonZeroUsize>, 0, 10_000_000>,
        /// The longest time between two lookups; 10s by default.
        refresh: Timeout,
        /// Name servers to ask; those of /etc/resolv.conf by default.
        nameservers: Vec<Placed<NameServer>>,
    }

    /// How TLS is spoken to the backends of a pool.
    BackendTls {
        /// Authorities in PEM; those of the system by default.
        ca: FilePath,
        /// The name that certificates must have and that SNI sends; the backend's host by default.
        server_name: ServerName<'static>,
        /// The chain that the gateway shows, leaf first; PEM.
        certificate: FilePath,
        /// Its key; PEM.
        key: FilePath,
    }

    /// One backend of a pool.
    BackendKeys needs [["url"]] {
        /// Its name, a metric label; the address by default.
        name: GivenName,
        /// Required. ws://host:port, wss://host:port or unix:/path
        url: BackendUrl,
        /// Its share of the sessions; 1 by default.
        weight: Whole<u32, 1, 1000>,
        /// The most sessions that it takes; 0 = any number, the default.
        max_sessions: Whole<Option<NonZeroUsize>, 0, 10_000_000>,
        /// Lower is preferred: a backend is chosen only if none with a lower one can be; 0 by default.
        priority: Whole<u16, 0, 65535>,
    }
}

/// A backend: its address alone, or a map.
pub(in crate::config) type Backend = ScalarOrMap<BackendUrl, BackendKeys>;

/// What is hashed: a word alone, or a map that names a part of the request.
pub(in crate::config) type HashKey = ScalarOrMap<HashWord, HashKeyPart>;
