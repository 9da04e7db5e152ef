//! Reads PEM files with certificates and private keys. Only this file uses the PEM library.

use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::{Problem, TlsError};
use crate::config::{NamedFile, not_a_file, read_at_most};

/// The maximum size of a file in bytes, five times that of the bundle of all public authorities.
const FILE_SIZE_MAX: usize = 1 << 20;

/// Editors on Windows write this at the beginning of a file (RFC 3629 section 6). The PEM library does not recognize a section
/// behind it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The markers of an encrypted key: PKCS#8 (RFC 5958), and the older form (RFC 1421).
const ENCRYPTED: [&[u8]; 2] = [
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
    b"Proc-Type: 4,ENCRYPTED",
];

/// All certificates of the file in order, at least one.
pub(super) fn certificates(file: &NamedFile) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed = read(file).and_then(|content| parse_certificates(&content));
    parsed.map_err(|problem| TlsError::new(file, problem))
}

/// The first private key of the file: PKCS#8, PKCS#1 or SEC1.
pub(super) fn private_key(file: &NamedFile) -> Result<PrivateKeyDer<'static>, TlsError> {
    let parsed = read(file).and_then(|content| parse_private_key(&content));
    parsed.map_err(|problem| TlsError::new(file, problem))
}

fn parse_certificates(mut content: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let certificates: Result<Vec<_>, _> = rustls_pemfile::certs(&mut content).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(Problem::NoCertificate),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(Problem::BadPem),
    }
}

fn parse_private_key(content: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    match rustls_pemfile::private_key(&mut &*content) {
        Ok(Some(key)) => Ok(key),
        // The library ignores one of the encrypted forms, and reports the other as broken.
        Ok(None) | Err(_) if is_encrypted(content) => Err(Problem::EncryptedKey),
        Ok(None) => Err(Problem::NoKey),
        Err(_) => Err(Problem::BadPem),
    }
}

fn is_encrypted(content: &[u8]) -> bool {
    ENCRYPTED
        .iter()
        .any(|mark| content.windows(mark.len()).any(|window| window == *mark))
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    if let Some(other) = not_a_file(path).map_err(Problem::Unreadable)? {
        return Err(Problem::NotAFile(other));
    }
    let content = read_at_most(path, FILE_SIZE_MAX).map_err(Problem::Unreadable)?;
    let mut content = content.ok_or(Problem::TooLarge)?;
    if content.starts_with(BYTE_ORDER_MARK) {
        content.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn tells_an_encrypted_key_from_none() {
        let pkcs8 =
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(matches!(
            parse_private_key(pkcs8),
            Err(Problem::EncryptedKey)
        ));
        let older = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
            DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert!(matches!(
            parse_private_key(older),
            Err(Problem::EncryptedKey)
        ));
        assert!(matches!(parse_private_key(b"nothing"), Err(Problem::NoKey)));
    }

    #[test]
    fn calls_a_broken_section_broken() {
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(parse_certificates(cut), Err(Problem::BadPem)));
        let garbage = b"-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n";
        assert!(matches!(parse_private_key(garbage), Err(Problem::BadPem)));
        assert!(matches!(
            parse_certificates(b""),
            Err(Problem::NoCertificate)
        ));
    }

    /// Keys that were passed through an environment variable often have none.
    #[test]
    fn tells_nothing_of_a_key_without_line_breaks() {
        for between in ["", " ", "\\n"] {
            let key = format!(
                "-----BEGIN PRIVATE KEY-----{between}c2VjcmV0{between}-----END PRIVATE KEY-----"
            );
            let words = parse_private_key(key.as_bytes()).unwrap_err().to_string();
            assert!(!words.contains("c2VjcmV0"), "{words}");
        }
    }

    #[test]
    fn reads_no_more_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.pem");
        std::fs::write(&path, vec![b'a'; (1 << 20) + 1]).unwrap();
        assert!(matches!(
            certificates(&path.into()).unwrap_err().problem,
            Problem::TooLarge
        ));
    }

    #[test]
    fn reads_nothing_but_files() {
        let error = certificates(&PathBuf::from("/dev/null").into()).unwrap_err();
        assert_eq!(error.to_string(), "/dev/null: is a device, not a file");
    }

    #[test]
    fn names_the_file_that_is_not_there() {
        let error = certificates(&PathBuf::from("/nowhere/local.crt").into()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/nowhere/local.crt: cannot be read: "),
            "{error}"
        );
    }
}
