//! Selects the certificate for a client by the server name that it asks for (RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// Certificates by the names that they cover.
///
/// An exact name takes precedence over a wildcard. Of several for the same name (an ECDSA and an RSA one) the first in the file
/// is used whose signatures the client can verify. For a client without a server name, or with one that no certificate covers,
/// the choice is among all: its own error about the name tells more than an alert would.
#[derive(Debug)]
pub(super) struct ByServerName {
    all: Vec<Arc<CertifiedKey>>,
    exact: Named,
    /// By the name behind `*.`; a wildcard covers exactly one label (RFC 6125 section 6.4.3).
    wildcard: Named,
}

/// In the order of the file.
type Named = HashMap<String, Vec<Arc<CertifiedKey>>>;

impl ByServerName {
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        let all = certificates.iter().map(|it| Arc::clone(&it.key));
        let mut choice = Self {
            all: all.collect(),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        };
        for certificate in certificates {
            for name in &certificate.dns_names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut choice.wildcard, suffix),
                    None => (&mut choice.exact, name.as_str()),
                };
                let keys = names.entry(name.to_owned()).or_default();
                keys.push(Arc::clone(&certificate.key));
            }
        }
        choice
    }

    /// The certificates for a name, the best first. rustls passes names in lower case.
    fn fitting(&self, name: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> + Clone {
        let name = name.strip_suffix('.').unwrap_or(name);
        let suffix = name.split_once('.').map(|(_, suffix)| suffix);
        let by_wildcard = suffix.and_then(|suffix| self.wildcard.get(suffix));
        let keys = [self.exact.get(name), by_wildcard];
        keys.into_iter().flatten().flatten()
    }
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let name = hello.server_name();
        let fitting = name.and_then(|name| choose(self.fitting(name), schemes));
        fitting
            .or_else(|| choose(self.all.iter(), schemes))
            .map(Arc::clone)
    }
}

/// The first one that supports one of `schemes`; if none does, the first.
fn choose<'c>(
    mut keys: impl Iterator<Item = &'c Arc<CertifiedKey>> + Clone,
    schemes: &[SignatureScheme],
) -> Option<&'c Arc<CertifiedKey>> {
    let usable = keys
        .clone()
        .find(|it| it.key.choose_scheme(schemes).is_some());
    usable.or_else(|| keys.next())
}
