//! Whether clients present certificates, and which authorities issue them.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateDer;

use super::authorities::Authorities;
use super::error::TlsError;
use super::verifier;
use crate::config::ClientAuth;

/// How client certificates are verified.
pub(super) struct Clients {
    /// `None` if clients are not asked for certificates.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// The authorities, for the fingerprint.
    pub(super) authorities: Vec<CertificateDer<'static>>,
}

impl Clients {
    /// Clients are not asked for certificates.
    pub(super) fn none() -> Self {
        Self {
            verifier: None,
            authorities: Vec::new(),
        }
    }

    /// Reads the file of authorities, if clients are asked for certificates.
    pub(super) fn load(
        client_auth: &ClientAuth,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let (file, required) = match client_auth {
            ClientAuth::None => return Ok(Self::none()),
            ClientAuth::Request(file) => (file, false),
            ClientAuth::Require(file) => (file, true),
        };
        let authorities = Authorities::load(file)?;
        let certificates = authorities.certificates.clone();
        let verifier = verifier::ClientVerifier::new(authorities, required, provider)
            .map_err(|problem| TlsError::new(file, problem))?;
        Ok(Self {
            verifier: Some(Arc::new(verifier)),
            authorities: certificates,
        })
    }
}
