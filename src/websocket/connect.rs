//! The opening handshake over HTTP/2: extended CONNECT (RFC 8441).

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, request};

use super::handshake::HandshakeError;
use super::key::Key;
use crate::fields::Sole;

/// A request extension that marks an extended CONNECT with a Sec-WebSocket-Key. RFC 8441 has no key, but the client of
/// Node 26 sends one and expects the Sec-WebSocket-Accept that answers it, as over HTTP/1.1.
#[derive(Clone, Copy, Debug)]
pub struct BroughtKey;

/// Rewrites an extended CONNECT as the equivalent GET (RFC 8441 section 5), so that later code need not handle HTTP/2:
/// adds Upgrade and Connection, and a key of the gateway's own unless the client [sent one](BroughtKey). `protocol` is
/// the value of `:protocol`. The version of the request stays HTTP/2.
///
/// # Errors
/// [`HandshakeError::Protocol`] if `protocol` is not `websocket`.
pub fn into_get(
    request: &mut request::Parts,
    protocol: Option<&str>,
) -> Result<(), HandshakeError> {
    if !protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        return Err(HandshakeError::Protocol);
    }
    request.method = Method::GET;
    let headers = &mut request.headers;
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let brought = Sole::of(headers, &SEC_WEBSOCKET_KEY);
    if matches!(brought, Sole::Value(key) if Key::parse(key.as_bytes()).is_some()) {
        request.extensions.insert(BroughtKey);
    } else {
        let key = HeaderValue::try_from(Key::random()).expect("base64 is a field value");
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::*;
    use crate::websocket::read_handshake;

    fn connect() -> request::Parts {
        let request = Request::connect("https://chat.test/room?x=1")
            .version(Version::HTTP_2)
            .header("Host", "chat.test")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "malformed, so ignored");
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn becomes_a_get_with_a_fresh_key() {
        let mut keys = Vec::new();
        for _ in 0..2 {
            let mut request = connect();
            into_get(&mut request, Some("websocket")).unwrap();
            assert_eq!(request.uri.path_and_query().unwrap(), "/room?x=1");
            keys.push(read_handshake(&request).unwrap());
        }
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn keeps_a_valid_key() {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        let mut request = connect();
        request
            .headers
            .insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
        into_get(&mut request, Some("websocket")).unwrap();
        assert_eq!(read_handshake(&request).unwrap().as_bytes(), KEY.as_bytes());
        assert!(request.extensions.get::<BroughtKey>().is_some());
    }

    #[test]
    fn takes_no_other_protocol() {
        for protocol in [None, Some("connect-udp"), Some("")] {
            let error = into_get(&mut connect(), protocol);
            assert_eq!(error, Err(HandshakeError::Protocol));
        }
    }
}
