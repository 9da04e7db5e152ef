//! Which certificate answers a client: the one that covers the name it asks for (RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// Certificates by the names that they cover.
///
/// An exact name goes before a wildcard, and where two certificates cover the same name the
/// first in the file answers. Whoever asks for no name, or for one that nothing covers, gets the
/// first certificate of all: its own complaint tells a client more than an alert would.
#[derive(Debug)]
pub(super) struct ByServerName {
    first: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`; a wildcard covers exactly one label (RFC 6125 section 6.4.3).
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl ByServerName {
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        let first = certificates
            .first()
            .map(|certificate| Arc::clone(&certificate.key));
        let mut choice = Self {
            first,
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        };
        for certificate in certificates {
            for name in &certificate.dns_names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut choice.wildcard, suffix),
                    None => (&mut choice.exact, name.as_str()),
                };
                names
                    .entry(name.to_owned())
                    .or_insert_with(|| Arc::clone(&certificate.key));
            }
        }
        choice
    }

    /// The certificate for a name, which rustls hands over in lower case.
    fn choose(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let by_wildcard = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(by_wildcard)
    }
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fitting = hello.server_name().and_then(|name| self.choose(name));
        fitting.or(self.first.as_ref()).map(Arc::clone)
    }
}
