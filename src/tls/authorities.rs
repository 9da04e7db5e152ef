//! Trusted authorities, from a file or from the system.

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use super::error::{Problem, TlsError};
use super::pem;
use crate::config::NamedFile;

/// Authorities, as certificates and as rustls' store of them.
pub(super) struct Authorities {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) store: RootCertStore,
}

impl Authorities {
    /// All of `certificates`; an unusable one is an error.
    pub(super) fn of(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Problem> {
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            let added = store.add(certificate.clone());
            added.map_err(|error| Problem::BadCertificate(error.to_string()))?;
        }
        Ok(Self {
            certificates,
            store,
        })
    }

    /// The usable ones of `certificates`: a system always has a few that are not.
    pub(super) fn usable(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates.iter().cloned());
        Self {
            certificates,
            store,
        }
    }

    /// All certificates of a file.
    pub(super) fn load(file: &NamedFile) -> Result<Self, TlsError> {
        Self::of(pem::certificates(file)?).map_err(|problem| TlsError::new(file, problem))
    }
}
