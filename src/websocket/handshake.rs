//! The opening handshake as the client sends it (RFC 6455 section 4.2.1).
//!
//! Which route answers, and whether this client may come in, is decided elsewhere.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Version, request};

use super::key::Key;
use crate::fields::{Sole, list_has_token};

/// The only supported version of the protocol (RFC 6455 section 4.1).
pub const VERSION: &str = "13";

/// Checks the opening handshake in the head of a request, and returns its key: the client's, or over HTTP/2 the
/// one that [`into_get`](super::into_get) made.
///
/// The version is checked before the key, so that a client of an older draft, whose key has another form, is told
/// which version to use (RFC 6455 section 4.4).
///
/// # Errors
///
/// The first fault found, in the order of [`HandshakeError`].
pub fn read_handshake(request: &request::Parts) -> Result<Key, HandshakeError> {
    let headers = &request.headers;
    if !asks_for_websocket(headers) {
        return Err(HandshakeError::NoUpgrade);
    }
    if request.method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if !matches!(request.version, Version::HTTP_11 | Version::HTTP_2) {
        return Err(HandshakeError::HttpVersion);
    }
    // That there is no second one is checked before a route is looked for.
    if headers.get(HOST).is_none_or(HeaderValue::is_empty) {
        return Err(HandshakeError::HostMissing);
    }
    if announces_body(headers) {
        return Err(HandshakeError::Body);
    }
    check_version(headers)?;
    read_key(headers)
}

enumeration! {
    /// What is wrong with an opening handshake.
    pub enum HandshakeError {
        /// Upgrade does not name `websocket`, or Connection does not name `upgrade`.
        NoUpgrade => "Upgrade: websocket or Connection: Upgrade is missing; a proxy in front may have removed it.",
        /// The method is not GET.
        Method => "A WebSocket is opened with GET.",
        /// The request is older than HTTP/1.1.
        HttpVersion => "A WebSocket is opened over HTTP/1.1 or HTTP/2.",
        /// There is no Host, or an empty one.
        HostMissing => "Host is missing.",
        /// A body is announced; its bytes could be taken for frames.
        Body => "A request that opens a WebSocket has no body.",
        /// Sec-WebSocket-Version is missing, repeated or not 13; answered with 426.
        UnsupportedVersion => "Only WebSocket version 13 is supported.",
        /// There is no Sec-WebSocket-Key.
        KeyMissing => "Sec-WebSocket-Key is missing.",
        /// There is more than one Sec-WebSocket-Key (RFC 6455 section 11.3.1).
        KeyRepeated => "Sec-WebSocket-Key is given more than once.",
        /// The Sec-WebSocket-Key is not the base64 of 16 bytes.
        KeyMalformed => "Sec-WebSocket-Key is not the base64 of 16 bytes.",
        /// CONNECT without `:protocol`, or with one that is not `websocket`.
        Protocol => "CONNECT is accepted only for WebSocket.",
    }
    /// The text of the answer to the client.
    pub fn detail;
}

/// Whether a request asks to become a WebSocket: Upgrade names `websocket` and Connection names
/// `upgrade`, in any case, list or repeated field.
///
/// An upgrade to anything else, such as `h2c`, is not.
#[must_use]
pub fn asks_for_websocket(headers: &HeaderMap) -> bool {
    list_has_token(headers, &UPGRADE, "websocket")
        && list_has_token(headers, &CONNECTION, "upgrade")
}

/// Whether a request is an attempt to open a WebSocket, even a faulty one: it is never treated as a plain request.
#[must_use]
pub fn looks_like_websocket(headers: &HeaderMap) -> bool {
    list_has_token(headers, &UPGRADE, "websocket") || headers.contains_key(SEC_WEBSOCKET_KEY)
}

fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get_all(CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
}

fn check_version(headers: &HeaderMap) -> Result<(), HandshakeError> {
    match Sole::of(headers, &SEC_WEBSOCKET_VERSION) {
        Sole::Value(version) if version == VERSION => Ok(()),
        Sole::Value(_) | Sole::Missing | Sole::Repeated => Err(HandshakeError::UnsupportedVersion),
    }
}

fn read_key(headers: &HeaderMap) -> Result<Key, HandshakeError> {
    match Sole::of(headers, &SEC_WEBSOCKET_KEY) {
        Sole::Missing => Err(HandshakeError::KeyMissing),
        Sole::Repeated => Err(HandshakeError::KeyRepeated),
        Sole::Value(key) => Key::parse(key.as_bytes()).ok_or(HandshakeError::KeyMalformed),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Builder;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn upgrade() -> Builder {
        Request::get("/chat")
            .header("Host", "chat.example.com")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
    }

    fn sound() -> Builder {
        upgrade()
            .header("Sec-WebSocket-Version", VERSION)
            .header("Sec-WebSocket-Key", KEY)
    }

    fn read(request: Builder) -> Result<Key, HandshakeError> {
        read_handshake(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn keeps_the_key_as_given() {
        assert_eq!(read(sound()).unwrap().as_bytes(), KEY.as_bytes());
    }

    #[test]
    fn takes_upgrade_in_any_case_list_and_field() {
        let request = Request::get("/")
            .header("Host", "a")
            .header("Connection", "keep-alive")
            .header("Connection", "x, UPGRADE")
            .header("Upgrade", "foo, WebSocket")
            .header("Sec-WebSocket-Version", VERSION)
            .header("Sec-WebSocket-Key", KEY)
            .header("Content-Length", "0");
        assert!(read(request).is_ok());
    }

    #[test]
    fn refuses_what_is_no_websocket() {
        let plain = Request::get("/").header("Host", "a");
        assert_eq!(read(plain), Err(HandshakeError::NoUpgrade));
        let h2c = Request::get("/")
            .header("Host", "a")
            .header("Connection", "Upgrade, HTTP2-Settings")
            .header("Upgrade", "h2c");
        assert_eq!(read(h2c), Err(HandshakeError::NoUpgrade));
        let half = Request::get("/")
            .header("Host", "a")
            .header("Upgrade", "websocket");
        assert_eq!(read(half), Err(HandshakeError::NoUpgrade));
    }

    #[test]
    fn refuses_another_method_or_protocol() {
        assert_eq!(read(sound().method("POST")), Err(HandshakeError::Method));
        assert_eq!(
            read(sound().version(Version::HTTP_10)),
            Err(HandshakeError::HttpVersion)
        );
    }

    #[test]
    fn wants_a_host() {
        let mut none = sound();
        none.headers_mut().unwrap().remove(HOST);
        assert_eq!(read(none), Err(HandshakeError::HostMissing));
        let mut empty = sound();
        let value = HeaderValue::from_static("");
        empty.headers_mut().unwrap().insert(HOST, value);
        assert_eq!(read(empty), Err(HandshakeError::HostMissing));
    }

    #[test]
    fn refuses_a_body() {
        for (name, value) in [
            ("Content-Length", "1"),
            ("Content-Length", "0, 5"),
            ("Transfer-Encoding", "chunked"),
        ] {
            assert_eq!(read(sound().header(name, value)), Err(HandshakeError::Body));
        }
    }

    #[test]
    fn speaks_version_13_only() {
        let expected = Err(HandshakeError::UnsupportedVersion);
        assert_eq!(read(upgrade().header("Sec-WebSocket-Key", KEY)), expected);
        for version in ["8", "013", "13, 8", "", "thirteen"] {
            assert_eq!(
                read(upgrade().header("Sec-WebSocket-Version", version)),
                expected
            );
        }
        assert_eq!(
            read(sound().header("Sec-WebSocket-Version", VERSION)),
            expected
        );
    }

    #[test]
    fn wants_one_sound_key() {
        let versioned = || upgrade().header("Sec-WebSocket-Version", VERSION);
        assert_eq!(read(versioned()), Err(HandshakeError::KeyMissing));
        let malformed = versioned().header("Sec-WebSocket-Key", "dGhlIHNhbXBsZQ==");
        assert_eq!(read(malformed), Err(HandshakeError::KeyMalformed));
        assert_eq!(
            read(sound().header("Sec-WebSocket-Key", KEY)),
            Err(HandshakeError::KeyRepeated)
        );
    }
}
