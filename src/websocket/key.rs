//! Sec-WebSocket-Key, and the Sec-WebSocket-Accept that answers it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha1::{Digest, Sha1};

/// Appended to the key before it is hashed (RFC 6455 section 1.3).
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The random bytes that a key encodes (RFC 6455 section 4.1).
const NONCE_BYTES: usize = 16;

/// A Sec-WebSocket-Key: 16 bytes in base64, kept as the 24 characters received.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; Self::LENGTH]);

impl Key {
    /// The length of a key in characters.
    pub const LENGTH: usize = 24;

    /// A fresh random key, for a handshake that the gateway itself begins.
    #[must_use]
    pub fn random() -> Self {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let mut key = [b'='; Self::LENGTH];
        let written = STANDARD.encode_slice(nonce, &mut key);
        debug_assert_eq!(written, Ok(Self::LENGTH));
        Self(key)
    }

    /// Parses a key; `None` if it is not the base64 of 16 bytes.
    ///
    /// The four unused bits of the last character may be set: some encoders set them, and the hash is of the
    /// characters, not of the decoded bytes.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let key: [u8; Self::LENGTH] = text.try_into().ok()?;
        let digits = key.strip_suffix(b"==")?;
        digits
            .iter()
            .all(|byte| is_base64(*byte))
            .then_some(Self(key))
    }

    /// The characters of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", self.0.escape_ascii())
    }
}

impl TryFrom<Key> for HeaderValue {
    type Error = http::header::InvalidHeaderValue;

    fn try_from(key: Key) -> Result<Self, Self::Error> {
        Self::from_bytes(&key.0)
    }
}

/// The Sec-WebSocket-Accept that answers `key` (RFC 6455 section 4.2.2): a SHA-1 in base64, always 28 characters.
#[must_use]
pub fn accept_key(key: &Key) -> [u8; 28] {
    let digest = Sha1::new()
        .chain_update(key.0)
        .chain_update(SUFFIX)
        .finalize();
    let mut accept = [b'='; 28];
    let written = STANDARD.encode_slice(digest, &mut accept);
    debug_assert_eq!(written, Ok(accept.len()));
    accept
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_the_key_of_the_rfc() {
        let key = Key::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(&accept_key(&key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn refuses_what_is_not_the_base64_of_16_bytes() {
        for text in [
            &b""[..],
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQ===",
            b"dGhlIHNhbXBsZSBub25jZQAA",
            b"dGhlIHNhbXBsZSBub25jZ===",
            b"dGhlIHNhbXBsZSBub25j Q==",
            b"dGhlIHNhbXBsZSBub25j-Q==",
            b" dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert!(Key::parse(text).is_none(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn makes_keys_that_it_reads() {
        let key = Key::random();
        assert_eq!(Key::parse(key.as_bytes()), Some(key));
        assert_ne!(Key::random(), key);
    }

    proptest! {
        #[test]
        fn takes_every_nonce(nonce in any::<[u8; NONCE_BYTES]>()) {
            let text = STANDARD.encode(nonce);
            prop_assert!(Key::parse(text.as_bytes()).is_some());
        }

        #[test]
        fn keeps_what_it_takes(text in proptest::collection::vec(any::<u8>(), 0..32)) {
            if let Some(key) = Key::parse(&text) {
                prop_assert_eq!(&key.as_bytes()[..], &text[..]);
            }
        }
    }
}
