//! Any request head that httparse takes: the opening handshake is accepted if and only if it is one by the letter of RFC 6455,
//! over HTTP/1.1 and as an extended CONNECT over HTTP/2.

#![no_main]

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, Version, request};
use libfuzzer_sys::fuzz_target;
use wsgate::fields::write_name;
use wsgate::websocket::{
    AnswerError, Extensions, Key, accept_key, into_get, read_handshake, verify_answer,
};

const MAX_HEADERS: usize = 64;

fuzz_target!(|input: &[u8]| {
    let Some(mut request) = parse(input) else {
        return;
    };
    for name in request.headers.keys() {
        let mut spelling = Vec::new();
        write_name(name, &mut spelling);
        assert!(spelling.eq_ignore_ascii_case(name.as_str().as_bytes()));
    }
    assert_eq!(
        Extensions::agreed(&request.headers),
        agreed(&request.headers)
    );
    let key = read_handshake(&request);
    assert_eq!(key.is_ok(), is_handshake(&request), "{request:?}");
    if let Ok(key) = key {
        check(&key, &request.headers);
    }
    check_connect(&mut request);
});

/// The key is that of the request; what answers it is told from what answers another.
fn check(key: &Key, headers: &HeaderMap) {
    assert_eq!(headers["sec-websocket-key"].as_bytes(), key.as_bytes());
    assert_eq!(verify(key, key), Ok(()));
    assert!(verify(key, &Key::random()).is_err());
}

/// The same request over HTTP/2, which needs no key, no Upgrade and no Connection.
fn check_connect(request: &mut request::Parts) {
    request.version = Version::HTTP_2;
    let protocol = ["websocket", "WebSocket", "h2c"][request.headers.len() % 3];
    let is_websocket = protocol.eq_ignore_ascii_case("websocket");
    assert_eq!(into_get(request, Some(protocol)).is_ok(), is_websocket);
    if !is_websocket {
        return;
    }
    assert!(asks(&request.headers));
    // A key that is repeated or malformed has been replaced.
    let key = read_handshake(request);
    assert_eq!(key.is_ok(), is_handshake(request), "{request:?}");
    assert_eq!(values(&request.headers, "sec-websocket-key").len(), 1);
}

/// RFC 6455 section 4.2.1, and no body.
fn is_handshake(request: &request::Parts) -> bool {
    let one = |name| match values(&request.headers, name)[..] {
        [value] => value,
        _ => "",
    };
    let key = one("sec-websocket-key");
    let is_key = key.len() == 24
        && key.ends_with("==")
        && key[..22]
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '+' || it == '/');
    asks(&request.headers)
        && request.method == "GET"
        && request.version >= Version::HTTP_11
        && !one_bytes(&request.headers, "host").is_empty()
        && one("sec-websocket-version") == "13"
        && is_key
        && values(&request.headers, "transfer-encoding").is_empty()
        && values(&request.headers, "content-length")
            .iter()
            .all(|length| *length == "0")
}

/// A field that is there once. It may be of any bytes.
fn one_bytes<'a>(headers: &'a HeaderMap, name: &str) -> &'a [u8] {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    match values[..] {
        [value] => value.as_bytes(),
        _ => b"",
    }
}

fn asks(headers: &HeaderMap) -> bool {
    items(headers, "upgrade").contains(&"websocket".to_owned())
        && items(headers, "connection").contains(&"upgrade".to_owned())
}

/// Every extension is permessage-deflate, or one of them is unknown.
fn agreed(headers: &HeaderMap) -> Extensions {
    let items = items(headers, "sec-websocket-extensions");
    let name = |item: &String| item.split(';').next().map(|name| name.trim().to_owned());
    let is_known = |item| name(item).as_deref() == Some("permessage-deflate");
    match (items.is_empty(), items.iter().all(is_known)) {
        (true, _) => Extensions::None,
        (false, true) => Extensions::PermessageDeflate,
        (false, false) => Extensions::Unknown,
    }
}

/// The items of a list in lower case.
fn items(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    let list = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect::<Vec<_>>()
        .join(",");
    let items = list
        .split(',')
        .map(|item| item.trim_matches([' ', '\t']).to_ascii_lowercase());
    items.filter(|item| !item.is_empty()).collect()
}

/// The fields of a name; one that is not ASCII is none that is meant.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| value.to_str().unwrap_or("not ASCII"))
        .collect()
}

/// Verifies an answer made for one key against another.
fn verify(answered: &Key, asked: &Key) -> Result<(), AnswerError> {
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
