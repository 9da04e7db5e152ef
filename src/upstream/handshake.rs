//! The client side of the opening handshake (RFC 6455 section 4.1).

use std::borrow::Cow;
use std::io;
use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use httparse::ParserConfig;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::asked::Asked;
use super::connection::ConnectionTask;
use super::failure::Failure;
use super::{ANSWER_HEAD, replay};
use crate::config::BackendAddress;
use crate::proxy_protocol::Ends;
use crate::stream::Stream;
use crate::websocket::{Key, verify_answer};

/// The most header fields in an answer: as many as hyper accepts in answers to plain requests without allocating a table.
const FIELD_LIMIT: usize = 100;
/// The size of the read buffer for the head of the answer; a 101 nearly always fits.
const HEAD_READ: usize = 4 * 1024;

/// An opening handshake as it goes to a backend.
#[derive(Debug)]
pub struct Opening {
    head: RequestHead,
    key: Key,
    client: Option<Ends>,
}

impl Opening {
    /// An opening handshake whose head is `head` and whose Sec-WebSocket-Key is `key`, for a client whose
    /// connection has these ends.
    #[must_use]
    pub fn new(head: RequestHead, key: Key, client: Option<Ends>) -> Self {
        Self { head, key, client }
    }

    pub(super) fn client(&self) -> Option<Ends> {
        self.client
    }

    /// Its Host, which is the first field; none if that is each backend's address.
    pub(super) fn host(&self) -> Option<String> {
        let mut lines = self.head.bytes.split(|byte| *byte == b'\n');
        let host = lines.nth(1)?.strip_prefix(b"Host: ")?;
        let host = str::from_utf8(host.trim_ascii()).ok();
        host.map(str::to_owned)
    }
}

/// The head of a request as bytes.
#[derive(Debug)]
pub struct RequestHead {
    bytes: Vec<u8>,
    /// Where a Host with the backend's address is inserted; `None` if the head has a Host.
    host_at: Option<usize>,
}

impl RequestHead {
    /// A head that is sent to every candidate as it is.
    #[must_use]
    pub fn whole(bytes: Vec<u8>) -> Self {
        let host_at = None;
        Self { bytes, host_at }
    }

    /// A head in which the address of each candidate is inserted as Host, at `host_at`.
    #[must_use]
    pub fn without_host(bytes: Vec<u8>, host_at: usize) -> Self {
        let host_at = Some(host_at);
        Self { bytes, host_at }
    }

    fn to(&self, address: &BackendAddress) -> Cow<'_, [u8]> {
        let Some((line, fields)) = self.host_at.and_then(|at| self.bytes.split_at_checked(at))
        else {
            return Cow::Borrowed(&self.bytes);
        };
        let host = format!("Host: {}\r\n", address.authority());
        Cow::Owned([line, host.as_bytes(), fields].concat())
    }
}

/// A backend's answer to an opening handshake.
#[derive(Debug)]
pub(super) enum Answer {
    /// A 101 that is valid by RFC 6455 section 4.1.
    Switched(Switched),
    /// Any other answer, which is passed to the client, and the connection over which it comes.
    Other(Response<Incoming>, ConnectionTask),
}

/// A backend's 101.
#[derive(Debug)]
pub struct Switched {
    /// The fields of the answer.
    pub headers: HeaderMap,
    /// The stream behind it.
    pub stream: Stream,
    /// Bytes that arrived together with the head; they belong to the tunnel.
    pub early: Bytes,
}

/// Sends `opening` to the backend at `address` and reads the answer, skipping interim ones (RFC 9110 section 15.2). The
/// caller sets the deadline.
pub(super) async fn ask(
    mut stream: Asked,
    opening: &Opening,
    address: &BackendAddress,
) -> Result<Answer, Failure> {
    stream
        .write_all(&opening.head.to(address))
        .await
        .map_err(Failure::lost)?;
    stream.flush().await.map_err(Failure::lost)?;
    let mut received = Vec::with_capacity(HEAD_READ);
    let mut interim = 0;
    read_more(&mut stream, &mut received).await?;
    loop {
        match read_head(&received[interim..])? {
            Head::Incomplete if received.len() > ANSWER_HEAD => {
                return Err(Failure::HeadTooLarge);
            }
            Head::Incomplete => read_more(&mut stream, &mut received).await?,
            Head::Interim { length } => interim += length,
            Head::Switched { headers, length } => {
                verify_answer(&headers, &opening.key)
                    .map_err(|error| Failure::Broken(error.detail()))?;
                let early = Bytes::copy_from_slice(&received[interim + length..]);
                return Ok(Answer::Switched(Switched {
                    headers,
                    stream: stream.into_stream(),
                    early,
                }));
            }
            Head::Other => {
                stream.tune_lasting();
                let (answer, task) = replay::answer(stream, &received[interim..]).await?;
                return Ok(Answer::Other(answer, task));
            }
        }
    }
}

async fn read_more(stream: &mut Stream, received: &mut Vec<u8>) -> Result<(), Failure> {
    match stream.read_buf(received).await.map_err(Failure::lost)? {
        0 => Err(Failure::Lost(io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(()),
    }
}

/// What has been read of an answer.
enum Head {
    Incomplete,
    /// 1xx except 101; another answer follows.
    Interim {
        length: usize,
    },
    Switched {
        headers: HeaderMap,
        length: usize,
    },
    Other,
}

fn read_head(received: &[u8]) -> Result<Head, Failure> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELD_LIMIT];
    let mut answer = httparse::Response::new(&mut []);
    let parsing = ParserConfig::default();
    let status = parsing.parse_response_with_uninit_headers(&mut answer, received, &mut fields);
    let status = status.map_err(|error| match error {
        httparse::Error::TooManyHeaders => Failure::HeadTooLarge,
        _ => unsound(received),
    })?;
    let httparse::Status::Complete(length) = status else {
        return Ok(Head::Incomplete);
    };
    match answer.code {
        Some(101) => {}
        Some(100..200) => return Ok(Head::Interim { length }),
        _ => return Ok(Head::Other),
    }
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    for field in answer.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Failure::Broken("the answer has a malformed field"));
        };
        headers.append(name, value);
    }
    Ok(Head::Switched { headers, length })
}

/// What a backend speaks instead of HTTP/1.1: an alert of TLS (RFC 8446 section 6), or the SETTINGS with which HTTP/2 begins.
fn unsound(received: &[u8]) -> Failure {
    Failure::Broken(match received {
        [0x15, 0x03, ..] => "it answers in TLS; is its address to be wss://?",
        [0, 0, _, 0x04, ..] => "it answers in HTTP/2; backends need HTTP/1.1",
        _ => "the answer is not valid HTTP",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_backend_speaks_instead_of_http() {
        for (received, words) in [
            (&b"\x15\x03\x01\0\x02\x02\x46"[..], "in TLS"),
            (b"\0\0\x06\x04\0\0\0\0\0", "in HTTP/2"),
            (b"SSH-2.0-OpenSSH\r\n", "not valid HTTP"),
        ] {
            let failure = read_head(received).err().map(|it| it.to_string());
            assert!(
                failure.as_deref().unwrap_or_default().contains(words),
                "{failure:?}"
            );
        }
    }
}
