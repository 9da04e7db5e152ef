//! Keys of a listener.

use std::num::{NonZeroU32, NonZeroUsize};

use ipnet::IpNet;

use crate::config::model::{Address, ProxyHeader, TlsVersion};
use crate::config::reading::{Each, NotEmpty, Placed, keys};
use crate::config::values::choice::ClientAuthMode;
use crate::config::values::{FilePath, Size, Timeout, TrustedProxy, Whole};

keys! {
    /// An address where clients connect.
    Listener needs [["address"]] {
        /// Required. An address and a port, or unix: and a path.
        address: Address,
        /// Proxies that are believed when they name the client: networks, or unix on a unix socket; none by default.
        trusted_proxies: Vec<Placed<TrustedProxy>>,
        /// Whether connections of trusted_proxies, or of a unix socket, may or must begin with a PROXY header; none by default.
        proxy_protocol: ProxyHeader,
        /// TLS settings; a listener without them is plain.
        tls: NotEmpty<Tls>,
        /// Whether HTTP/2, and WebSocket over it, is offered under TLS; true by default.
        http2: bool,
        /// Whether HTTP/2 by prior knowledge is accepted without TLS; false by default.
        h2c: bool,
        /// Deadlines before and between requests.
        timeouts: ListenerTimeouts,
        /// Bounds on connections.
        limits: ListenerLimits,
        /// Networks that may connect; all by default.
        allow: NotEmpty<Vec<Placed<IpNet>>>,
        /// Networks that may not connect, whatever allow says; none by default.
        deny: NotEmpty<Vec<Placed<IpNet>>>,
    }

    /// TLS settings of a listener.
    Tls needs [["certificates"]] {
        /// Required. Chosen by SNI; the first answers when none fits.
        certificates: Each<CertificateFiles>,
        /// The oldest version spoken; 1.2 by default.
        min_version: TlsVersion,
        /// How long a TLS handshake may take, once its turn has come; 10s by default.
        handshake_timeout: Timeout,
        /// Whether clients show certificates.
        client_auth: NotEmpty<ClientAuth>,
    }

    /// A certificate chain and its key, as PEM files.
    CertificateFiles needs [["certificate", "key"]] {
        /// Required. The chain, leaf first.
        certificate: FilePath,
        /// Required. The key: PKCS#8, PKCS#1 or SEC1.
        key: FilePath,
    }

    /// Whether clients show certificates.
    ClientAuth {
        /// Whether they are asked, or must; none by default.
        mode: ClientAuthMode,
        /// Authorities in PEM; required unless the mode is none.
        ca: FilePath,
    }

    /// Deadlines of a connection before and between requests.
    ListenerTimeouts {
        /// For a whole request head; 10s by default.
        request_header: Timeout,
        /// Between an answer and the next request; 75s by default.
        keep_alive: Timeout,
    }

    /// Bounds on a listener.
    ListenerLimits {
        /// Connections open at once; 100000 by default.
        max_connections: Whole<usize, 1, 10_000_000>,
        /// Connections open at once of one address, or one /64 of IPv6; 0, the default, for none.
        max_connections_per_client: Whole<Option<NonZeroUsize>, 0, 10_000_000>,
        /// TLS handshakes under way at once; as many wait for up to a second. 0, the default, for none.
        concurrent_tls_handshakes: Whole<Option<NonZeroUsize>, 0, 10_000_000>,
        /// Opening handshakes per second; those of one more second wait. 0, the default, for none.
        handshakes_per_second: Whole<Option<NonZeroU32>, 0, 1_000_000>,
        /// Bytes of a request head, 1KiB to 1MiB; 32KiB by default.
        request_head: Size,
        /// Streams open at once on an HTTP/2 connection; 512 by default.
        http2_streams: Whole<u32, 1, 10_000>,
    }
}
