//! Any request head that httparse takes: reading the opening handshake must not panic, and what
//! it takes must be sound.

#![no_main]

use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request, Response, Version, request};
use libfuzzer_sys::fuzz_target;
use wsgate::websocket::{
    Key, accept_key, asks_for_websocket, read_handshake, verify_answer, write_name,
};

const MAX_HEADERS: usize = 64;

fuzz_target!(|input: &[u8]| {
    let Some(request) = parse(input) else { return };
    for name in request.headers.keys() {
        let mut spelling = Vec::new();
        write_name(name, &mut spelling);
        assert!(spelling.eq_ignore_ascii_case(name.as_str().as_bytes()));
    }
    if let Ok(key) = read_handshake(&request) {
        check(&request, &key);
    }
});

/// What the gateway relies on once a handshake was read.
fn check(request: &request::Parts, key: &Key) {
    let headers = &request.headers;
    assert!(request.method == "GET" && request.version == Version::HTTP_11);
    assert!(asks_for_websocket(headers));
    assert_eq!(headers.get_all(HOST).iter().count(), 1);
    assert_eq!(headers.get_all(SEC_WEBSOCKET_KEY).iter().count(), 1);
    assert_eq!(headers[SEC_WEBSOCKET_KEY].as_bytes(), key.as_bytes());
    assert!(!headers.contains_key("transfer-encoding"));
    assert_eq!(verify(key, key), Ok(()));
    assert!(verify(key, &Key::random()).is_err());
}

/// Verifies an answer made for one key against another.
fn verify(answered: &Key, asked: &Key) -> Result<(), wsgate::websocket::AnswerError> {
    let accept = HeaderValue::from_bytes(&accept_key(answered)).expect("base64 is a header value");
    let answer = Response::builder()
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(())
        .expect("the answer is sound");
    verify_answer(answer.headers(), asked)
}

/// The head of a request, read as the HTTP library under the gateway reads it.
fn parse(input: &[u8]) -> Option<request::Parts> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut fields);
    if !head.parse(input).ok()?.is_complete() {
        return None;
    }
    let version = if head.version? == 1 {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    let request = Request::builder()
        .method(head.method?)
        .uri(head.path?)
        .version(version);
    let fields = head.headers.iter();
    let request = fields.fold(request, |request, field| {
        request.header(field.name, field.value)
    });
    Some(request.body(()).ok()?.into_parts().0)
}
