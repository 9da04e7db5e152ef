//! Why a client failed the TLS handshake, in words.

use std::fmt;
use std::io;

use rustls::{Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

/// Shows an error of a TLS handshake; where the library's words do not lead to the cause, behind a sentence that does.
pub(super) struct Explained<'a>(pub(super) &'a io::Error);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = self.0.get_ref().and_then(|it| it.downcast_ref());
        match fault.and_then(cause) {
            Some(cause) => write!(f, "{cause}: {}", self.0),
            None => self.0.fmt(f),
        }
    }
}

fn cause(error: &Error) -> Option<&'static str> {
    use PeerIncompatible as Lacks;
    Some(match error {
        // A hello of TLS 1.0 or 1.1 has no signature algorithms, and that is seen first.
        Error::PeerIncompatible(
            Lacks::SignatureAlgorithmsExtensionRequired
            | Lacks::SupportedVersionsExtensionRequired
            | Lacks::Tls12NotOffered
            | Lacks::Tls12NotOfferedOrEnabled,
        ) => "it offers no TLS version that is accepted here",
        Error::PeerIncompatible(
            Lacks::NoCipherSuitesInCommon | Lacks::NoSignatureSchemesInCommon,
        ) => {
            "it offers no cipher suite that is accepted here (ECDHE with AES-GCM or ChaCha20), or none for the certificate's key (RSA or ECDSA)"
        }
        Error::PeerIncompatible(
            Lacks::NoKxGroupsInCommon | Lacks::NamedGroupsExtensionRequired,
        ) => "it offers no key exchange that is accepted here (ECDHE over X25519, P-256 or P-384)",
        Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName) => {
            "its SNI is not a host name"
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it begins with something else than TLS, such as plain HTTP or a PROXY header"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: impl Into<Error>) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, error.into());
        Explained(&error).to_string()
    }

    #[test]
    fn says_the_cause_before_the_words_of_the_library() {
        for (error, expected) in [
            (
                told(PeerIncompatible::SignatureAlgorithmsExtensionRequired),
                "it offers no TLS version that is accepted here: peer is incompatible: SignatureAlgorithmsExtensionRequired",
            ),
            (
                told(PeerIncompatible::NoKxGroupsInCommon),
                "it offers no key exchange that is accepted here (ECDHE over X25519, P-256 or P-384): peer is incompatible: NoKxGroupsInCommon",
            ),
            (
                told(PeerMisbehaved::ServerNameMustContainOneHostName),
                "its SNI is not a host name: peer misbehaved: ServerNameMustContainOneHostName",
            ),
            (
                told(InvalidMessage::InvalidContentType),
                "it begins with something else than TLS, such as plain HTTP or a PROXY header: received corrupt message of type InvalidContentType",
            ),
            (told(Error::DecryptError), "cannot decrypt peer's message"),
        ] {
            assert_eq!(error, expected);
        }
    }
}
