//! The client side of the opening handshake (RFC 6455 section 4.1).

use std::borrow::Cow;
use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use httparse::ParserConfig;
use hyper::body::Incoming;
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::asked::Asked;
use super::candidates::Setback;
use super::connection::ConnectionTask;
use super::secure::tls_fault;
use super::{ANSWER_HEAD, replay};
use crate::config::BackendAddress;
use crate::proxy_protocol::Ends;
use crate::session::Rejection;
use crate::stream::Stream;
use crate::telemetry::ConnectResult;
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
pub enum Answer {
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

/// Why an attempt at a backend failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its name has no address, or cannot be looked up.
    #[error("its name cannot be resolved: {0}")]
    Unresolved(Arc<io::Error>),
    /// Nothing listens there.
    #[error("it refused the connection")]
    Refused,
    /// The network cannot reach it, or the connection broke at once.
    #[error("it cannot be reached: {0}")]
    Unreachable(io::Error),
    /// Every local port towards it is in use.
    #[error(
        "no local port is left towards it; more backend addresses or a wider port range are needed"
    )]
    NoLocalPort,
    /// The configured source address cannot be used, for example because this machine does not have it.
    #[error("the source address {0} cannot be used: {1}")]
    BadSource(IpAddr, io::Error),
    /// The certificate that it shows is not valid; says why.
    #[error("its certificate is not valid: {0}")]
    BadCertificate(String),
    /// TLS failed for another reason; says which.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// The process, or the system, has reached its limit of open files.
    #[error("no descriptor is left for a connection to it")]
    NoDescriptor,
    /// The process, or the system, has reached its limit of threads.
    #[error("no thread can be started to look up its name")]
    NoThread,
    /// Looking up its name took too long.
    #[error("its name was not looked up in time")]
    LookupTimeout,
    /// Connecting took too long.
    #[error("there was no connection in time")]
    ConnectTimeout,
    /// It took the connection, and the TLS handshake took too long.
    #[error("the TLS handshake was not over in time")]
    TlsTimeout,
    /// It took the request and did not answer.
    #[error("there was no answer in time")]
    AnswerTimeout,
    /// The connection ended before the answer.
    #[error("it ended the connection before it answered: {0}")]
    Lost(io::Error),
    /// The head of its answer has more bytes or fields than are accepted.
    #[error("the head of its answer is too large, or has too many fields")]
    HeadTooLarge,
    /// Its answer is not a 101, and its body cannot be read.
    #[error("its answer has a transfer coding other than chunked")]
    UnknownCoding,
    /// Its answer is not valid by RFC 6455; says why.
    #[error("it broke the handshake: {0}")]
    Broken(&'static str),
}

impl Failure {
    /// Whether an error is that no more files may be opened.
    pub(super) fn is_want_of_descriptors(error: &io::Error) -> bool {
        let errno = Errno::from_io_error(error);
        matches!(errno, Some(Errno::MFILE | Errno::NFILE))
    }

    /// Whether the backend was reached and sent no valid answer.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::AnswerTimeout | Self::Lost(_) | Self::Broken(_))
    }

    /// Whether the backend is at fault, and not what the gateway lacks or limits.
    pub(super) fn is_the_backends(&self) -> bool {
        !self.is_our_own() && !matches!(self, Self::HeadTooLarge | Self::UnknownCoding)
    }

    /// The connection ended. With TLS 1.3 a backend that refuses the gateway's certificate says so only after the handshake.
    pub(super) fn lost(error: io::Error) -> Self {
        match tls_fault(&error) {
            Some(fault) => Self::Tls(fault.to_string()),
            None => Self::Lost(error),
        }
    }

    /// The metric label of the attempt.
    #[must_use]
    pub fn result(&self) -> ConnectResult {
        match self {
            Self::Unresolved(_) | Self::NoThread | Self::LookupTimeout => {
                ConnectResult::ResolveFailed
            }
            Self::Refused | Self::Unreachable(_) | Self::BadSource(..) | Self::NoDescriptor => {
                ConnectResult::ConnectFailed
            }
            Self::BadCertificate(_) | Self::Tls(_) => ConnectResult::TlsFailed,
            Self::NoLocalPort => ConnectResult::PortsExhausted,
            Self::ConnectTimeout | Self::TlsTimeout | Self::AnswerTimeout => ConnectResult::Timeout,
            Self::Lost(_) | Self::HeadTooLarge | Self::UnknownCoding | Self::Broken(_) => {
                ConnectResult::HandshakeFailed
            }
        }
    }
}

impl Setback for Failure {
    fn rejection(&self) -> Rejection {
        match self {
            Self::NoDescriptor | Self::NoThread => Rejection::GatewayFull,
            Self::LookupTimeout | Self::ConnectTimeout | Self::TlsTimeout | Self::AnswerTimeout => {
                Rejection::BackendTimeout
            }
            Self::Unresolved(_)
            | Self::Refused
            | Self::Unreachable(_)
            | Self::NoLocalPort
            | Self::BadSource(..)
            | Self::BadCertificate(_)
            | Self::Tls(_)
            | Self::Lost(_)
            | Self::HeadTooLarge
            | Self::UnknownCoding
            | Self::Broken(_) => Rejection::BackendFailed(self.result().label()),
        }
    }

    /// Whether it lacks ports, descriptors or threads, or a source address, which says nothing of the backend.
    fn is_our_own(&self) -> bool {
        matches!(
            self,
            Self::NoLocalPort | Self::BadSource(..) | Self::NoDescriptor | Self::NoThread
        )
    }
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
