//! Why an attempt at a backend failed: dialling it, or its answer to an opening handshake.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustix::io::Errno;

use super::candidates::Setback;
use super::secure::tls_fault;
use crate::session::Rejection;
use crate::telemetry::ConnectResult;

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
