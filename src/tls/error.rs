//! Problems with certificates and keys, with texts for operators.

use crate::config::NamedFile;

/// The curves on which the cryptography provider signs.
const ECDSA_CURVES: &str = if cfg!(feature = "aws-lc-rs") {
    "P-256, P-384 or P-521"
} else {
    "P-256 or P-384"
};

/// One problem with one file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct TlsError {
    /// The faulty file.
    pub file: NamedFile,
    /// What is wrong with it.
    pub problem: Problem,
}

impl TlsError {
    pub(super) fn new(file: &NamedFile, problem: Problem) -> Self {
        Self {
            file: file.clone(),
            problem,
        }
    }
}

/// The errors in the form that [`Written::problems`](crate::config::Written::problems) takes.
pub fn problems(errors: &[TlsError]) -> impl Iterator<Item = (&NamedFile, String)> {
    errors.iter().map(|error| (&error.file, error.to_string()))
}

/// What is wrong with a certificate, a key or a file of authorities.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// It is not a regular file, but this.
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    /// The file is far larger than any chain or key.
    #[error("is larger than 1 MiB; this is not a file of certificates or keys")]
    TooLarge,
    /// A PEM section is broken (RFC 7468). The library's message is not used, as it quotes the file, and so possibly a key.
    #[error(
        "is not valid PEM: each section has a BEGIN and an END line, and only base64 between them"
    )]
    BadPem,
    /// No certificate is in the file.
    #[error("holds no certificate; a section BEGIN CERTIFICATE is expected")]
    NoCertificate,
    /// A certificate is unusable (RFC 5280), with the reason.
    #[error("holds a certificate that cannot be used: {0}")]
    BadCertificate(String),
    /// No private key is in the file.
    #[error("holds no private key; PKCS#8, PKCS#1 and SEC1 are read")]
    NoKey,
    /// The private key is encrypted with a passphrase.
    #[error("holds an encrypted private key; decrypt it first, wsgate asks for no passphrase")]
    EncryptedKey,
    /// The type or size of the private key is not supported.
    #[error(
        "holds a private key that cannot be used: ECDSA on {ECDSA_CURVES}, Ed25519, and RSA of 2048 to 8192 bits can"
    )]
    UnusableKey,
    /// The system's authorities cannot be read, or there are none.
    #[error(
        "there are none{}; name a file of authorities in `ca`",
        .0.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    NoRoots(Option<String>),
    /// The private key belongs to another certificate.
    #[error("does not belong to the first certificate of the chain it is configured with")]
    KeyMismatch,
}
