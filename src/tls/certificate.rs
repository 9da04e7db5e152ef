//! A certificate chain with its key: whether they match, which names it covers, when it is valid.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::error::{Problem, TlsError};
use super::pem;
use super::verifier::words;
use crate::config::CertificateFiles;

/// A chain with a matching key.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The DNS names of the subject alternative name, in lower case; wildcards begin with `*.`.
    pub(super) dns_names: Vec<String>,
    /// When the leaf is valid.
    pub(super) validity: RangeInclusive<SystemTime>,
    /// When every certificate of the chain is valid, except roots.
    pub(super) chain_validity: RangeInclusive<SystemTime>,
}

impl Certificate {
    /// Reads and checks both files; reports the problems of both.
    pub(super) fn load(
        files: &CertificateFiles,
        provider: &CryptoProvider,
    ) -> Result<Self, Vec<TlsError>> {
        let (chain, key) = match (
            pem::certificates(&files.certificate),
            pem::private_key(&files.key),
        ) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err(chain.err().into_iter().chain(key.err()).collect()),
        };
        Self::new(chain, key, provider).map_err(|problem| {
            let file = match &problem {
                Problem::UnusableKey | Problem::KeyMismatch => &files.key,
                _ => &files.certificate,
            };
            vec![TlsError::new(file, problem)]
        })
    }

    /// Checks a chain, leaf first, and its key.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, Problem> {
        let leaf = chain.first().ok_or(Problem::NoCertificate)?;
        let (dns_names, validity) = facts(leaf).map_err(|error| {
            let words = words(&error).map_or_else(|| error.to_string(), str::to_owned);
            Problem::BadCertificate(words)
        })?;
        let chain_validity = chain[1..].iter().try_fold(validity.clone(), narrowed)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|_| Problem::UnusableKey)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // Unknown: the key does not reveal its public half, so a mismatch shows only in a handshake.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => return Err(Problem::KeyMismatch),
            Err(error) => return Err(Problem::BadCertificate(error.to_string())),
        }
        Ok(Self {
            key: Arc::new(certified),
            dns_names,
            validity,
            chain_validity,
        })
    }
}

/// `validity` restricted to that of `issuer`. A root is ignored, and an issuer with features that are not supported here:
/// clients may support them, or not need it.
fn narrowed(
    validity: RangeInclusive<SystemTime>,
    issuer: &CertificateDer<'_>,
) -> Result<RangeInclusive<SystemTime>, Problem> {
    match facts(issuer) {
        Ok(_) if is_root(issuer) => Ok(validity),
        Ok((_, other)) => {
            let begin = *validity.start().max(other.start());
            Ok(begin..=*validity.end().min(other.end()))
        }
        Err(webpki::Error::BadDer | webpki::Error::TrailingData(_)) => Err(
            Problem::BadCertificate("one behind the first is not a certificate".to_owned()),
        ),
        Err(_) => Ok(validity),
    }
}

/// Whether a certificate names itself as its issuer. Clients do not look at one in a chain: they verify by their own copy of
/// a root, which may be newer (RFC 5246 section 7.4.2).
fn is_root(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate).is_ok_and(|it| it.issuer() == it.subject())
}

/// The DNS names and the validity of a certificate.
fn facts(
    certificate: &CertificateDer<'_>,
) -> Result<(Vec<String>, RangeInclusive<SystemTime>), webpki::Error> {
    let parsed = EndEntityCert::try_from(certificate)?;
    let dns_names = parsed
        .valid_dns_names()
        .map(str::to_ascii_lowercase)
        .collect();
    Ok((dns_names, validity(&parsed)?))
}

/// The validity of a certificate (RFC 5280 section 4.1.2.5); it begins in 1970 at the earliest.
///
/// The verifier has no function for it. But asked about the earliest and the latest time it rejects the certificate with an
/// error that contains the limit. It checks validity first, so the issuer and the purpose of the certificate do not matter.
fn validity(certificate: &EndEntityCert<'_>) -> Result<RangeInclusive<SystemTime>, webpki::Error> {
    let refusal_at = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = KeyUsage::server_auth();
        let verdict = certificate.verify_for_usage(&[], &[], &[], time, usage, None, None);
        verdict.err().unwrap_or(webpki::Error::InvalidCertValidity)
    };
    let begin = match refusal_at(0) {
        webpki::Error::CertNotValidYet { not_before, .. } => not_before.as_secs(),
        _ => 0,
    };
    match refusal_at(u64::MAX) {
        webpki::Error::CertExpired { not_after, .. } => {
            let moment = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            Ok(moment(begin)..=moment(not_after.as_secs()))
        }
        error => Err(error),
    }
}
