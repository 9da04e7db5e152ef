//! Which certificate answers a client: the one that covers the name it asks for (RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// Certificates by the names that they cover.
///
/// An exact name goes before a wildcard. Of several for the same name (an ECDSA and an RSA one) the first in the file
/// answers whose signatures the client can verify. Whoever asks for no name, or for one that nothing covers, is answered
/// by all of them as if they were for its name: its own complaint tells a client more than an alert would.
#[derive(Debug)]
pub(super) struct ByServerName {
    all: Vec<Arc<CertifiedKey>>,
    exact: Named,
    /// By what follows `*.`; a wildcard covers exactly one label (RFC 6125 section 6.4.3).
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

    /// The certificates for a name, which rustls hands over in lower case, the best first.
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

/// The first that can sign by one of `schemes`; if none can, the first.
fn choose<'c>(
    mut keys: impl Iterator<Item = &'c Arc<CertifiedKey>> + Clone,
    schemes: &[SignatureScheme],
) -> Option<&'c Arc<CertifiedKey>> {
    let usable = keys
        .clone()
        .find(|it| it.key.choose_scheme(schemes).is_some());
    usable.or_else(|| keys.next())
}
