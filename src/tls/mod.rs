//! TLS towards clients and backends: certificates and keys from files, the choice between them, rustls settings.
//!
//! No socket is touched here: `listener` and `upstream` run the handshakes with what this room builds.

mod authorities;
mod backends;
mod certificate;
mod choice;
mod error;
mod pem;
mod provider;
mod self_signed;
mod settings;
#[cfg(test)]
mod tests;
mod verifier;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use self::backends::{ClientTls, TlsSessions, Verifiers, client, client_in_memory};
use self::certificate::Certificate;
pub use self::error::{Problem, TlsError, problems};
pub use self::provider::{Tickets, provider};
pub use self::self_signed::self_signed;
pub use self::settings::HTTP2;
use self::verifier::ClientVerifier;
pub use self::verifier::unsuitable;
use crate::config::{Config, Name, Tls, TlsVersion};

/// What a listener needs to speak TLS.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The settings of every handshake.
    pub config: Arc<ServerConfig>,
    /// The time limit of a TLS handshake, without any wait in the throttle.
    pub handshake_timeout: Duration,
    /// The certificates in the order of the file.
    pub certificates: Vec<CertificateInfo>,
    /// Tells whether the files changed while the configuration stayed the same.
    pub fingerprint: Fingerprint,
}

/// The TLS settings of all listeners and pools of a configuration.
#[derive(Clone, Default, Debug)]
pub struct Material {
    /// Of listeners with TLS.
    pub listeners: BTreeMap<Name, ServerTls>,
    /// Of pools whose backends speak TLS.
    pub pools: BTreeMap<Name, ClientTls>,
}

impl Material {
    /// The warnings about certificates that are not valid at `now`; each says whose it is.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let of_listener = |(name, tls): (&Name, &ServerTls)| {
            let warnings = tls.certificates.iter().filter_map(|one| one.warning(now));
            let warnings = warnings.map(|warning| format!("{warning} (listener {name})"));
            warnings.collect::<Vec<_>>()
        };
        let of_pool = |(name, tls): (&Name, &ClientTls)| {
            let warning = tls.certificate.as_ref()?.warning(now)?;
            Some(format!("{warning} (pool {name})"))
        };
        let listeners = self.listeners.iter().flat_map(of_listener);
        listeners
            .chain(self.pools.iter().filter_map(of_pool))
            .collect()
    }
}

/// Reads all TLS files of a configuration, and the system's authorities if they are needed.
///
/// # Errors
/// Every problem of every file. A problem of a file that no key names is reported at the key of its owner: `pools.chat.tls`.
pub fn material(config: &Config, tickets: &Tickets) -> Result<Material, Vec<TlsError>> {
    let mut material = Material::default();
    let mut errors = Vec::new();
    for (name, listener) in &config.listeners {
        match listener.tls.as_ref().map(|tls| server(tls, tickets)) {
            Some(Ok(tls)) => drop(material.listeners.insert(Name::clone(name), tls)),
            Some(Err(problems)) => errors.extend(problems),
            None => {}
        }
    }
    let mut verifiers = Verifiers::default();
    for (name, pool) in &config.pools {
        match pool
            .transport
            .tls
            .as_ref()
            .map(|tls| client(tls, &mut verifiers))
        {
            Some(Ok(tls)) => drop(material.pools.insert(Name::clone(name), tls)),
            Some(Err(problems)) => {
                errors.extend(problems.into_iter().map(|mut problem| {
                    problem.file.meant_by(&format!("pools.{name}.tls"));
                    problem
                }));
            }
            None => {}
        }
    }
    if errors.is_empty() {
        Ok(material)
    } else {
        Err(errors)
    }
}

/// The facts about a certificate for metrics and warnings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateInfo {
    /// Its first DNS name, or the path of its file where it has none.
    pub name: String,
    /// When it is valid (RFC 5280 section 4.1.2.5).
    pub validity: RangeInclusive<SystemTime>,
    /// When all certificates of its chain are valid, itself included.
    pub chain_validity: RangeInclusive<SystemTime>,
}

impl CertificateInfo {
    /// A warning if the certificate or its chain is not valid at `now`. It is served all the same: some clients accept it, and
    /// refusing to start would not help the others.
    #[must_use]
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let (what, validity) = if self.validity.contains(&now) {
            ("a certificate in the chain of", &self.chain_validity)
        } else {
            ("the certificate", &self.validity)
        };
        if validity.contains(&now) {
            return None;
        }
        let fault = if now < *validity.start() {
            "is not valid yet"
        } else {
            "has expired"
        };
        Some(format!("{what} {} {fault}", self.name))
    }
}

/// A hash of the certificates of a listener or pool; a change goes unnoticed with a probability of 2⁻⁶⁴. Keys are not included:
/// a new key comes with a new certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint(u64);

/// Reads the files of a listener and builds its settings.
///
/// # Errors
/// Every problem of every file.
pub fn server(tls: &Tls, tickets: &Tickets) -> Result<ServerTls, Vec<TlsError>> {
    let provider = provider();
    let mut errors = Vec::new();
    let mut certificates = Vec::new();
    for files in &tls.certificates {
        match Certificate::load(files, &provider) {
            Ok(certificate) => certificates.push(certificate),
            Err(problems) => errors.extend(problems),
        }
    }
    let clients = match ClientVerifier::load(&tls.client_auth, &provider) {
        Ok(clients) if errors.is_empty() => clients,
        Ok(_) => return Err(errors),
        Err(error) => {
            errors.push(error);
            return Err(errors);
        }
    };
    let paths = tls.certificates.iter().map(|files| &*files.certificate);
    Ok(ServerTls {
        certificates: std::iter::zip(&certificates, paths).map(info).collect(),
        fingerprint: fingerprint(&certificates, clients.as_ref()),
        config: settings::build(&certificates, clients, tls.min_version, tls.http2, tickets),
        handshake_timeout: tls.handshake_timeout,
    })
}

/// Builds the settings of a listener from a chain, leaf first, and a key in memory.
///
/// # Errors
/// When the key does not belong to the chain, or one of them is unusable.
pub fn server_in_memory(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    handshake_timeout: Duration,
    tickets: &Tickets,
) -> Result<ServerTls, Problem> {
    let provider = provider();
    let certificates = [Certificate::new(chain, key, &provider)?];
    Ok(ServerTls {
        certificates: certificates
            .iter()
            .map(|one| info((one, Path::new("memory"))))
            .collect(),
        fingerprint: fingerprint(&certificates, None),
        config: settings::build(&certificates, None, TlsVersion::Tls12, true, tickets),
        handshake_timeout,
    })
}

fn info((certificate, path): (&Certificate, &Path)) -> CertificateInfo {
    let name = certificate.dns_names.first().cloned();
    CertificateInfo {
        name: name.unwrap_or_else(|| path.display().to_string()),
        validity: certificate.validity.clone(),
        chain_validity: certificate.chain_validity.clone(),
    }
}

fn fingerprint(certificates: &[Certificate], clients: Option<&ClientVerifier>) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    for certificate in certificates {
        certificate.key.cert.hash(&mut hasher);
    }
    clients.map(ClientVerifier::authorities).hash(&mut hasher);
    Fingerprint(hasher.finish())
}
