//! The backend's answer to an opening handshake (RFC 6455 section 4.1, "Once the client's
//! opening handshake has been sent").
//!
//! The caller checks that the status is 101; an answer with any other status is relayed as it is.

use http::HeaderMap;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};

use super::key::{Key, accept_key};
use crate::fields::{Sole, list_has_token, list_items};

/// Checks that a 101 accepts the handshake that was sent with `key`.
///
/// # Errors
///
/// The first fault found, in the order of [`AnswerError`].
pub fn verify_answer(headers: &HeaderMap, key: &Key) -> Result<(), AnswerError> {
    check_upgrade(headers)?;
    if !list_has_token(headers, &CONNECTION, "upgrade") {
        return Err(AnswerError::NoConnection);
    }
    match Sole::of(headers, &SEC_WEBSOCKET_ACCEPT) {
        Sole::Missing => Err(AnswerError::AcceptMissing),
        Sole::Repeated => Err(AnswerError::AcceptRepeated),
        Sole::Value(accept) if accept.as_bytes() == accept_key(key) => Ok(()),
        Sole::Value(_) => Err(AnswerError::AcceptWrong),
    }
}

enumeration! {
    /// Why a 101 does not accept the WebSocket handshake.
    pub enum AnswerError {
        /// There is no Upgrade.
        NoUpgrade => "101 without Upgrade",
        /// Upgrade names another protocol than `websocket`.
        OtherProtocol => "101 upgrades to another protocol than websocket",
        /// Connection does not name `upgrade`.
        NoConnection => "101 without Connection: Upgrade",
        /// There is no Sec-WebSocket-Accept.
        AcceptMissing => "101 without Sec-WebSocket-Accept",
        /// There is more than one Sec-WebSocket-Accept (RFC 6455 section 11.3.3).
        AcceptRepeated => "101 with more than one Sec-WebSocket-Accept",
        /// Sec-WebSocket-Accept does not answer the key.
        AcceptWrong => "101 with a Sec-WebSocket-Accept that does not fit the key",
    }
    /// The text for the access log.
    pub fn detail;
}

/// The Upgrade of a 101 lists every protocol that it switches to (RFC 9110 section 15.2.2): a second one beside
/// `websocket` would wrap the frames in something else.
fn check_upgrade(headers: &HeaderMap) -> Result<(), AnswerError> {
    let mut protocols = list_items(headers, &UPGRADE).peekable();
    if protocols.peek().is_none() {
        return Err(AnswerError::NoUpgrade);
    }
    if !protocols.all(|protocol| protocol.eq_ignore_ascii_case(b"websocket")) {
        return Err(AnswerError::OtherProtocol);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const UPGRADES: (&str, &str) = ("upgrade", "WebSocket");
    const CONNECTS: (&str, &str) = ("connection", "keep-alive, Upgrade");

    fn verify(fields: &[(&'static str, &'static str)]) -> Result<(), AnswerError> {
        let headers = fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        verify_answer(&headers, &Key::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap())
    }

    #[test]
    fn takes_the_answer_of_the_rfc() {
        assert_eq!(verify(&[UPGRADES, CONNECTS, ACCEPT]), Ok(()));
    }

    #[test]
    fn refuses_an_answer_that_does_not_upgrade() {
        assert_eq!(verify(&[CONNECTS, ACCEPT]), Err(AnswerError::NoUpgrade));
        assert_eq!(verify(&[UPGRADES, ACCEPT]), Err(AnswerError::NoConnection));
        for protocol in ["h2c", "websocket, h2c", "websockets"] {
            let answer = verify(&[("upgrade", protocol), CONNECTS, ACCEPT]);
            assert_eq!(answer, Err(AnswerError::OtherProtocol));
        }
    }

    #[test]
    fn refuses_an_accept_that_does_not_fit() {
        assert_eq!(
            verify(&[UPGRADES, CONNECTS]),
            Err(AnswerError::AcceptMissing)
        );
        assert_eq!(
            verify(&[UPGRADES, CONNECTS, ACCEPT, ACCEPT]),
            Err(AnswerError::AcceptRepeated)
        );
        for accept in [
            "",
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=",
            "S3PPLMBITXAQ9KYGZZHZRBK+XOO=",
        ] {
            let answer = verify(&[UPGRADES, CONNECTS, (ACCEPT.0, accept)]);
            assert_eq!(answer, Err(AnswerError::AcceptWrong));
        }
    }
}
