//! How the certificates of backends and of clients are judged.
//!
//! rustls takes the certificate of an authority for no server's and no client's, also where it is the very one that the
//! operator named. But `openssl req -x509` makes every certificate one of an authority, and so most of those that people
//! make for themselves: such a one is taken where it is named.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::authorities::Authorities;
use super::error::Problem;

/// Trusts the backends for which authorities vouch, and those that are the authorities themselves.
#[derive(Debug)]
pub(super) struct OfBackends {
    authorities: Vec<CertificateDer<'static>>,
    by_authority: Arc<WebPkiServerVerifier>,
}

impl OfBackends {
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
        Ok(Self {
            authorities: certificates,
            by_authority,
        })
    }
}

impl ServerCertVerifier for OfBackends {
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
            Err(error) if is_of_authority(&error) && self.authorities.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

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
}

/// Trusts the clients for which authorities vouch, and those that are the authorities themselves.
#[derive(Debug)]
pub(super) struct OfClients {
    authorities: Vec<CertificateDer<'static>>,
    by_authority: Arc<dyn ClientCertVerifier>,
}

impl OfClients {
    /// Those who show no certificate are let in, unless that `is_required`.
    pub(super) fn new(
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

impl ClientCertVerifier for OfClients {
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
            Err(error) if is_of_authority(&error) && self.authorities.contains(certificate) => {
                Ok(ClientCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

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
}

/// Whether that is what is wrong with a certificate. Its dates were looked at before; what else it may be used for is not,
/// as the operator has named it.
fn is_of_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(fault) = error else {
        return false;
    };
    kind_fault(fault) == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// What is wrong with a certificate for which rustls has no word of its own, in words for an operator.
#[must_use]
pub fn unsuitable(fault: &CertificateError) -> Option<&'static str> {
    words(kind_fault(fault)?)
}

/// The same of what its parser finds.
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

fn kind_fault(fault: &CertificateError) -> Option<&webpki::Error> {
    let CertificateError::Other(other) = fault else {
        return None;
    };
    other.0.downcast_ref()
}
