//! Files of authorities: whose certificates are trusted.

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use super::error::{Problem, TlsError};
use super::pem;
use crate::config::NamedFile;

/// Authorities as they were read, and as rustls wants them.
pub(super) struct Authorities {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) store: RootCertStore,
}

impl Authorities {
    /// All of `certificates`.
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

    /// Those of the system: what cannot be used of them is passed over, as there are always a few.
    pub(super) fn some_of(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates.iter().cloned());
        Self {
            certificates,
            store,
        }
    }

    /// Those of a file.
    pub(super) fn load(file: &NamedFile) -> Result<Self, TlsError> {
        Self::of(pem::certificates(file)?).map_err(|problem| TlsError::new(file, problem))
    }
}
