//! Verification of the certificates of backends and clients.
//!
//! rustls rejects a CA certificate as that of a server or client, even if it is the very certificate that the operator
//! configured as trusted. But `openssl req -x509` makes every certificate a CA certificate, and so most self-signed ones are:
//! they are accepted here if they are configured themselves.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::authorities::Authorities;
use super::error::{Problem, TlsError};
use crate::config::ClientAuth;

/// The methods about signatures, which both kinds of verifiers leave to `by_authority`.
macro_rules! delegate_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.by_authority
                .verify_tls12_signature(message, certificate, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.by_authority
                .verify_tls13_signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.by_authority.supported_verify_schemes()
        }
    };
}

/// Accepts backend certificates that an authority issued, or that are configured as an authority themselves.
#[derive(Debug)]
pub(super) struct BackendVerifier {
    authorities: Vec<CertificateDer<'static>>,
    /// Of the authorities, for fingerprints.
    pub(super) digest: u64,
    by_authority: Arc<WebPkiServerVerifier>,
}

impl BackendVerifier {
    pub(super) fn new(
        authorities: Authorities,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Problem> {
        let Authorities {
            certificates,
            store,
        } = authorities;
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        let by_authority = builder
            .build()
            .map_err(|error| Problem::BadCertificate(error.to_string()))?;
        let mut hasher = DefaultHasher::new();
        certificates.hash(&mut hasher);
        Ok(Self {
            authorities: certificates,
            digest: hasher.finish(),
            by_authority,
        })
    }
}

impl ServerCertVerifier for BackendVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict =
            self.by_authority
                .verify_server_cert(certificate, intermediates, name, ocsp, now);
        match verdict {
            Err(error) if is_ca_certificate(&error) && self.authorities.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    delegate_signatures!();
}

/// Accepts client certificates that an authority issued, or that are configured as an authority themselves.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    authorities: Vec<CertificateDer<'static>>,
    by_authority: Arc<dyn ClientCertVerifier>,
}

impl ClientVerifier {
    /// Reads the file of authorities; `None` if clients are not asked for certificates.
    pub(super) fn load(
        client_auth: &ClientAuth,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, TlsError> {
        let (file, is_required) = match client_auth {
            ClientAuth::None => return Ok(None),
            ClientAuth::Request(file) => (file, false),
            ClientAuth::Require(file) => (file, true),
        };
        let verifier = Self::new(Authorities::load(file)?, is_required, provider);
        verifier
            .map(Some)
            .map_err(|problem| TlsError::new(file, problem))
    }

    /// The configured authorities.
    pub(super) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// Clients without a certificate are accepted, unless it `is_required`.
    fn new(
        authorities: Authorities,
        is_required: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Problem> {
        let Authorities {
            certificates,
            store,
        } = authorities;
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        if !is_required {
            builder = builder.allow_unauthenticated();
        }
        let by_authority = builder
            .build()
            .map_err(|error| Problem::BadCertificate(error.to_string()))?;
        Ok(Self {
            authorities: certificates,
            by_authority,
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.by_authority.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by_authority.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self
            .by_authority
            .verify_client_cert(certificate, intermediates, now);
        match verdict {
            Err(error) if is_ca_certificate(&error) && self.authorities.contains(certificate) => {
                Ok(ClientCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    delegate_signatures!();
}

/// Whether a certificate was rejected for being a CA certificate. Its dates have been checked by then; its extended key usage
/// has not, and is not needed for a certificate that the operator configured.
fn is_ca_certificate(error: &Error) -> bool {
    let Error::InvalidCertificate(fault) = error else {
        return false;
    };
    webpki_error(fault) == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// A text for operators for errors of certificates that rustls has no variant for.
#[must_use]
pub fn unsuitable(fault: &CertificateError) -> Option<&'static str> {
    words(webpki_error(fault)?)
}

/// As [`unsuitable`], for an error of the certificate parser.
pub(super) fn words(fault: &webpki::Error) -> Option<&'static str> {
    match fault {
        webpki::Error::CaUsedAsEndEntity => {
            Some("it is the certificate of an authority; `tls.ca` may name it itself")
        }
        webpki::Error::UnsupportedCertVersion => Some("it is of X.509 version 1 or 2, not 3"),
        webpki::Error::UnsupportedCriticalExtension => {
            Some("it has an extension that is marked critical and not supported")
        }
        _ => None,
    }
}

fn webpki_error(fault: &CertificateError) -> Option<&webpki::Error> {
    let CertificateError::Other(other) = fault else {
        return None;
    };
    other.0.downcast_ref()
}
