//! Why a plain request got no answer from a backend, and what follows from that.

use std::error::Error as _;
use std::io;

use super::candidates::Setback;
use super::failure::Failure;
use super::forward::Errand;
use super::judge::Evidence;
use super::secure::tls_fault;
use super::upload::MALFORMED;
use crate::session::Rejection;
use crate::telemetry::ConnectResult;

/// Why a request got no answer from a backend.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Unreached(Failure),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("{}", lost(.0))]
    Lost(hyper::Error),
    #[error("the head of its answer is too large, or has too many fields")]
    HeadTooLarge,
    #[error("its answer has a transfer coding other than chunked")]
    UnknownCoding,
    #[error("it switched protocols without being asked")]
    Switched,
    #[error("there was no answer in time")]
    Late,
    #[error("the body of the request was too large")]
    BodyTooLarge,
    #[error("the body of the request did not arrive in time")]
    BodyTooSlow,
    #[error("the body of the request was malformed")]
    BodyBroken,
    #[error("the client left before the end of its body")]
    BodyForsaken,
}

impl Fault {
    pub(super) fn of(error: hyper::Error) -> Self {
        // With TLS 1.3 a backend that refuses the gateway's certificate says so only after the handshake.
        match cause(&error).and_then(tls_fault) {
            Some(fault) => Self::Tls(fault.to_string()),
            None if error.is_parse_too_large() => Self::HeadTooLarge,
            None => Self::Lost(error),
        }
    }

    /// How the attempt is counted.
    pub(super) fn result(&self) -> ConnectResult {
        match self {
            Self::Unreached(failure) => failure.result(),
            Self::Tls(_) => ConnectResult::TlsFailed,
            Self::Lost(_) | Self::HeadTooLarge | Self::UnknownCoding | Self::Switched => {
                ConnectResult::HandshakeFailed
            }
            Self::Late => ConnectResult::Timeout,
            Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyBroken | Self::BodyForsaken => {
                ConnectResult::Abandoned
            }
        }
    }

    /// Whether the client is at fault, and no backend.
    pub(super) fn is_of_the_client(&self) -> bool {
        match self {
            Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyBroken | Self::BodyForsaken => true,
            Self::Unreached(_)
            | Self::Tls(_)
            | Self::Lost(_)
            | Self::HeadTooLarge
            | Self::UnknownCoding
            | Self::Switched
            | Self::Late => false,
        }
    }

    /// What it says of the backend. A late answer says nothing, as some requests take long; nor does one that exceeds a limit of
    /// the gateway.
    pub(super) fn evidence(&self) -> Evidence {
        match self {
            Self::Unreached(failure) => Evidence::of(Some(failure)),
            Self::Tls(_) => Evidence::Faulty(self.to_string()),
            Self::Lost(_) | Self::Switched => Evidence::Unanswered(self.to_string()),
            Self::HeadTooLarge
            | Self::UnknownCoding
            | Self::Late
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::BodyBroken
            | Self::BodyForsaken => Evidence::None,
        }
    }

    pub(super) fn may_try_another(&self, errand: &Errand<'_>) -> bool {
        match self {
            Self::Unreached(_) => true,
            Self::Tls(_) | Self::Lost(_) => errand.is_repeatable(),
            Self::HeadTooLarge
            | Self::UnknownCoding
            | Self::Switched
            | Self::Late
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::BodyBroken
            | Self::BodyForsaken => false,
        }
    }
}

/// The error of the stream that is behind an error of hyper, if there is one.
fn cause(error: &hyper::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

/// A lost connection in words; hyper itself does not name the error of the stream.
fn lost(error: &hyper::Error) -> String {
    match cause(error) {
        Some(cause) => format!("it ended the connection before it answered: {cause}"),
        None => format!("its answer is not valid: {error}"),
    }
}

impl Setback for Fault {
    fn rejection(&self) -> Rejection {
        match self {
            Self::Unreached(failure) => failure.rejection(),
            Self::Tls(_) => Rejection::BackendFailed(self.result().label()),
            Self::Lost(_) => Rejection::BackendFailed("answer_failed"),
            Self::HeadTooLarge => Rejection::BackendFailed("answer_head_too_large"),
            Self::UnknownCoding => Rejection::BackendFailed("answer_coding_unknown"),
            Self::Switched => Rejection::BackendFailed("switched_unasked"),
            Self::Late => Rejection::BackendTimeout,
            Self::BodyTooLarge => Rejection::BodyTooLarge,
            Self::BodyTooSlow => Rejection::BodyTooSlow,
            Self::BodyBroken => MALFORMED,
            Self::BodyForsaken => Rejection::ClientGone,
        }
    }

    fn is_our_own(&self) -> bool {
        matches!(self, Self::Unreached(failure) if failure.is_our_own())
    }
}
