//! The settings of rustls for the backends of one pool.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::{CertificateDer, ServerName};

use super::authorities::Authorities;
use super::certificate::Certificate;
use super::error::{Problem, TlsError};
use super::{CertificateInfo, Fingerprint, info, provider, verifier};
use crate::config::{BackendTls, NamedFile};

/// The ALPN protocols (RFC 7301): WebSocket upgrades need HTTP/1.1.
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];
/// The number of backends of a pool whose TLS sessions are cached for resumption.
const CACHED_SESSIONS: usize = 256;
/// The file name in errors about the system's authorities.
const SYSTEM: &str = "the system's authorities";

/// What a pool needs to speak TLS to its backends.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The settings of every handshake. The backend's certificate is always verified.
    pub config: Arc<ClientConfig>,
    /// The name in certificates; by default the backend's host.
    pub server_name: Option<ServerName<'static>>,
    /// The client certificate for backends that ask for one.
    pub certificate: Option<CertificateInfo>,
    /// Tells whether the files changed while the configuration stayed the same.
    pub fingerprint: Fingerprint,
}

/// The authorities that the system trusts, read on first use from the system's usual place or from SSL_CERT_FILE and
/// SSL_CERT_DIR.
#[derive(Default)]
pub struct SystemRoots(Option<Vec<CertificateDer<'static>>>);

impl SystemRoots {
    fn read(&mut self) -> Result<&[CertificateDer<'static>], TlsError> {
        if self.0.is_none() {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let reason = found.errors.first().map(ToString::to_string);
                return Err(TlsError::new(&system(), Problem::NoRoots(reason)));
            }
            self.0 = Some(found.certs);
        }
        Ok(self.0.as_deref().unwrap_or_default())
    }
}

fn system() -> NamedFile {
    PathBuf::from(SYSTEM).into()
}

/// Reads the files of a pool and builds its settings.
///
/// # Errors
/// Every problem of every file.
pub fn client(tls: &BackendTls, roots: &mut SystemRoots) -> Result<ClientTls, Vec<TlsError>> {
    let provider = provider();
    let trusted = match &tls.ca {
        Some(path) => Authorities::load(path),
        None => roots.read().map(<[_]>::to_vec).map(Authorities::usable),
    };
    let identity = tls
        .identity
        .as_ref()
        .map(|files| Certificate::load(files, &provider))
        .transpose();
    let (trusted, identity) = match (trusted, identity) {
        (Ok(trusted), Ok(identity)) => (trusted, identity),
        (trusted, identity) => {
            let errors = trusted.err().into_iter();
            return Err(errors.chain(identity.err().unwrap_or_default()).collect());
        }
    };
    let fingerprint = fingerprint(&trusted, identity.as_ref());
    let path = tls.identity.as_ref().map(|files| &*files.certificate);
    let certificate = identity.as_ref().zip(path).map(info);
    let named = || tls.ca.clone().unwrap_or_else(system);
    let config = build(trusted, identity, provider);
    Ok(ClientTls {
        config: config.map_err(|problem| vec![TlsError::new(&named(), problem)])?,
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
    let trusted = Authorities::of(vec![authority])?;
    Ok(ClientTls {
        fingerprint: fingerprint(&trusted, None),
        config: build(trusted, None, provider())?,
        server_name: None,
        certificate: None,
    })
}

fn build(
    trusted: Authorities,
    identity: Option<Certificate>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, Problem> {
    let verifier = verifier::BackendVerifier::new(trusted, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("both providers speak TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(
            rustls::sign::SingleCertAndKey::from(Arc::unwrap_or_clone(identity.key)),
        )),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.resumption = Resumption::in_memory_sessions(CACHED_SESSIONS);
    Ok(Arc::new(config))
}

fn fingerprint(trusted: &Authorities, identity: Option<&Certificate>) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    trusted.certificates.hash(&mut hasher);
    identity
        .map(|identity| &identity.key.cert)
        .hash(&mut hasher);
    Fingerprint(hasher.finish())
}
