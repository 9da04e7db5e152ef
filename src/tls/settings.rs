//! The settings of rustls for one listener.

use std::sync::Arc;

use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::certificate::Certificate;
use super::choice::ByServerName;
use super::provider::{Tickets, provider};
use super::verifier::ClientVerifier;
use crate::config::TlsVersion;

/// HTTP/2 in ALPN (RFC 7301, RFC 9113 section 3.2).
pub const HTTP2: &[u8] = b"h2";
/// HTTP/1.1 in ALPN.
const HTTP1: &[u8] = b"http/1.1";
/// HTTP/1.0 in ALPN, which is all that some old clients offer. The same code answers them.
const HTTP1_0: &[u8] = b"http/1.0";

/// Builds the settings of a listener.
pub(super) fn build(
    certificates: &[Certificate],
    clients: Option<ClientVerifier>,
    min_version: TlsVersion,
    http2: bool,
    tickets: &Tickets,
) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(min_version))
        .expect("both providers speak TLS 1.2 and 1.3");
    // With client certificates no tickets are issued or accepted. All listeners share the ticket keys, so a ticket from a
    // listener without client certificates would be accepted here; and a ticket would outlive the removal of an authority.
    let resumes = clients.is_none();
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByServerName::new(certificates)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = usize::from(resumes);
    if resumes {
        config.ticketer = tickets.producer();
    }
    let offered = http2.then_some(HTTP2).into_iter().chain([HTTP1, HTTP1_0]);
    config.alpn_protocols = offered.map(<[u8]>::to_vec).collect();
    Arc::new(config)
}

fn versions(min_version: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match min_version {
        TlsVersion::Tls12 => vec![&TLS13, &TLS12],
        TlsVersion::Tls13 => vec![&TLS13],
    }
}
