//! Both sides of the opening handshake, by hand.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// RFC 6455 section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const HEADERS_MAX: usize = 32;

/// Appends the client's request and returns the accept value that must answer it.
pub(crate) fn request(output: &mut Vec<u8>) -> String {
    let key = STANDARD.encode(fastrand::u128(..).to_ne_bytes());
    for part in [
        "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        &key,
        "\r\n\r\n",
    ] {
        output.extend_from_slice(part.as_bytes());
    }
    accept(key.as_bytes())
}

/// Checks the answer in `head`; returns its size, or `None` when it is not complete.
pub(crate) fn check_answer(head: &[u8], expected: &str) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(size) = answer.parse(head).context("the proxy's answer")? else {
        return Ok(None);
    };
    ensure!(
        answer.code == Some(101),
        "the proxy answered {:?} instead of 101",
        answer.code
    );
    let value = find(answer.headers, "Sec-WebSocket-Accept").context("no Sec-WebSocket-Accept")?;
    ensure!(value == expected.as_bytes(), "a wrong Sec-WebSocket-Accept");
    Ok(Some(size))
}

/// The backend's side: answers the request in `head`; returns its size, or `None` when it is not
/// complete.
pub(crate) fn answer(head: &[u8], output: &mut Vec<u8>) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(size) = request.parse(head).context("the proxy's request")?
    else {
        return Ok(None);
    };
    let key = find(request.headers, "Sec-WebSocket-Key").context("no Sec-WebSocket-Key")?;
    for part in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: ",
        &accept(key),
        "\r\n\r\n",
    ] {
        output.extend_from_slice(part.as_bytes());
    }
    Ok(Some(size))
}

fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize())
}

fn find<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}
