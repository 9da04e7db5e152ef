//! Whether clients show certificates, and which authorities vouch for them.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateDer;

use super::authorities::Authorities;
use super::error::TlsError;
use super::verifier;
use crate::config::ClientAuth;

/// How the certificates of clients are judged.
pub(super) struct Clients {
    /// The judge; `None` where clients are not asked.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// The authorities as they were read.
    pub(super) authorities: Vec<CertificateDer<'static>>,
}

impl Clients {
    /// Clients are asked for nothing.
    pub(super) fn unasked() -> Self {
        Self {
            verifier: None,
            authorities: Vec::new(),
        }
    }

    /// Reads the file of authorities, if clients are asked.
    pub(super) fn load(
        client_auth: &ClientAuth,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let (file, required) = match client_auth {
            ClientAuth::None => return Ok(Self::unasked()),
            ClientAuth::Request(file) => (file, false),
            ClientAuth::Require(file) => (file, true),
        };
        let authorities = Authorities::load(file)?;
        let certificates = authorities.certificates.clone();
        let verifier = verifier::OfClients::new(authorities, required, provider)
            .map_err(|problem| TlsError::new(file, problem))?;
        Ok(Self {
            verifier: Some(Arc::new(verifier)),
            authorities: certificates,
        })
    }
}
