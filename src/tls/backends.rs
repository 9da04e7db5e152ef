//! The settings of rustls for the backends of one pool.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::{CertificateDer, ServerName};

use super::authorities::Authorities;
use super::certificate::Certificate;
use super::error::{Problem, TlsError};
use super::verifier::BackendVerifier;
use super::{CertificateInfo, Fingerprint, info, provider};
use crate::config::{BackendTls, NamedFile};

/// The ALPN protocols (RFC 7301): WebSocket upgrades need HTTP/1.1.
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];
/// The most TLS sessions of a backend that are kept for resumption; rustls keeps no more tickets of a server.
const KEPT_SESSIONS: usize = 8;
/// The file name in errors about the system's authorities.
const SYSTEM: &str = "the system's authorities";

/// What a pool needs to speak TLS to its backends.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The settings of every handshake, without [sessions](Self::resuming). The backend's certificate is always verified.
    pub config: Arc<ClientConfig>,
    /// The name in certificates; by default the backend's host.
    pub server_name: Option<ServerName<'static>>,
    /// The client certificate for backends that ask for one.
    pub certificate: Option<CertificateInfo>,
    /// Tells whether the files changed while the configuration stayed the same.
    pub fingerprint: Fingerprint,
}

/// The TLS sessions of one backend that later connections to it can resume. rustls resumes only what the same verifier and
/// the same client certificate have agreed on.
#[derive(Default, Debug)]
pub struct TlsSessions(OnceLock<Arc<ClientSessionMemoryCache>>);

impl ClientTls {
    /// The settings of handshakes with one backend, which resume `sessions`. Each backend has its own: rustls tells servers
    /// apart by their name alone, which may be that of all backends of a pool, and one refuses the tickets of another.
    #[must_use]
    pub fn resuming(&self, sessions: &TlsSessions) -> Arc<ClientConfig> {
        let new = || Arc::new(ClientSessionMemoryCache::new(KEPT_SESSIONS));
        let sessions = Arc::clone(sessions.0.get_or_init(new));
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(sessions);
        Arc::new(config)
    }
}

/// The verifiers of backend certificates by the file of their authorities, `None` for those of the system. Pools with the same
/// authorities share one: those of the system take some 270 kB.
#[derive(Default)]
pub struct Verifiers(BTreeMap<Option<PathBuf>, Arc<BackendVerifier>>);

impl Verifiers {
    /// The verifier for the authorities in `ca`, or those of the system.
    fn of(
        &mut self,
        ca: Option<&NamedFile>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<BackendVerifier>, TlsError> {
        let key = ca.map(|file| file.to_path_buf());
        if let Some(known) = self.0.get(&key) {
            return Ok(Arc::clone(known));
        }
        let fail = |problem| match ca {
            Some(file) => TlsError::new(file, problem),
            None => TlsError::new(&PathBuf::from(SYSTEM).into(), problem),
        };
        let authorities = match ca {
            Some(file) => Authorities::load(file)?,
            None => system_authorities().map_err(fail)?,
        };
        let verifier = Arc::new(BackendVerifier::new(authorities, provider).map_err(fail)?);
        self.0.insert(key, Arc::clone(&verifier));
        Ok(verifier)
    }
}

/// The authorities that the system trusts, from its usual place or from SSL_CERT_FILE and SSL_CERT_DIR.
fn system_authorities() -> Result<Authorities, Problem> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reason = found.errors.first().map(ToString::to_string);
        return Err(Problem::NoRoots(reason));
    }
    Ok(Authorities::usable(found.certs))
}

/// Reads the files of a pool and builds its settings.
///
/// # Errors
/// Every problem of every file.
pub fn client(tls: &BackendTls, verifiers: &mut Verifiers) -> Result<ClientTls, Vec<TlsError>> {
    let provider = provider();
    let verifier = verifiers.of(tls.ca.as_ref(), &provider);
    let identity = tls
        .identity
        .as_ref()
        .map(|files| Certificate::load(files, &provider))
        .transpose();
    let (verifier, identity) = match (verifier, identity) {
        (Ok(verifier), Ok(identity)) => (verifier, identity),
        (verifier, identity) => {
            let errors = verifier.err().into_iter();
            return Err(errors.chain(identity.err().unwrap_or_default()).collect());
        }
    };
    let fingerprint = fingerprint(&verifier, identity.as_ref());
    let path = tls.identity.as_ref().map(|files| &*files.certificate);
    let certificate = identity.as_ref().zip(path).map(info);
    Ok(ClientTls {
        config: build(verifier, identity, provider),
        server_name: tls.server_name.clone(),
        certificate,
        fingerprint,
    })
}

/// Settings that trust `authority` only, for the demo.
///
/// # Errors
/// When the certificate is unusable.
pub fn client_in_memory(authority: CertificateDer<'static>) -> Result<ClientTls, Problem> {
    let provider = provider();
    let verifier = BackendVerifier::new(Authorities::of(vec![authority])?, &provider)?;
    let verifier = Arc::new(verifier);
    Ok(ClientTls {
        fingerprint: fingerprint(&verifier, None),
        config: build(verifier, None, provider),
        server_name: None,
        certificate: None,
    })
}

fn build(
    verifier: Arc<BackendVerifier>,
    identity: Option<Certificate>,
    provider: Arc<CryptoProvider>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("both providers speak TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(
            rustls::sign::SingleCertAndKey::from(Arc::unwrap_or_clone(identity.key)),
        )),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn fingerprint(verifier: &BackendVerifier, identity: Option<&Certificate>) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    verifier.digest.hash(&mut hasher);
    identity
        .map(|identity| &identity.key.cert)
        .hash(&mut hasher);
    Fingerprint(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_with_the_same_authorities_share_a_verifier() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            let (certificate, _) = crate::tls::self_signed(&["authority"]).unwrap();
            let text =
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, certificate);
            let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
            std::fs::write(&path, pem).unwrap();
            NamedFile::from(path)
        };
        let (one, other) = (file("one.crt"), file("other.crt"));
        let (provider, mut verifiers) = (provider(), Verifiers::default());
        let [first, again, another] =
            [&one, &one, &other].map(|ca| verifiers.of(Some(ca), &provider).unwrap());
        assert!(Arc::ptr_eq(&first, &again));
        assert!(!Arc::ptr_eq(&first, &another));
        assert_ne!(fingerprint(&first, None), fingerprint(&another, None));
    }
}
