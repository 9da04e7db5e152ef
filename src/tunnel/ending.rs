//! Why a tunnel ends, and what each side is told.

use super::terms::{Terms, Words};
use crate::session::{Closure, Initiator, Reason};
use crate::websocket::{CloseCode, ProtocolError, Side};

/// Why a tunnel ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// This side sent Close first, with this code.
    Finished(Side, Option<u16>),
    /// This side broke, or ended without a Close.
    Lost(Side),
    /// This side sent Close first, with this code, and the other did not answer.
    HalfClose(Side, Option<u16>),
    /// This side sent no byte after a Ping.
    PongOverdue(Side),
    /// No data frames for the idle time.
    Idle,
    /// The session has reached its maximum age, or the limit of its TLS keys.
    MaxAge,
    /// A drain of its listener, route or backend.
    Drain,
    /// It was asked to move to another backend.
    Rebalance,
    /// This side sent a message larger than allowed.
    MessageTooBig(Side),
    /// The client sent more messages than allowed.
    TooManyMessages,
    /// This side broke the protocol.
    ProtocolError(Side, ProtocolError),
    /// This side took no bytes for the stall time.
    Stalled(Side),
}

/// What a side is told: a Close with this code and reason, or nothing but the end of the stream.
pub(super) type Told<'a> = Option<(CloseCode, &'a str)>;

impl Ending {
    /// What `side` is told; `None` if it is lost itself, or after a clean close.
    pub(super) fn told<'a>(&self, side: Side, terms: &'a Terms) -> Told<'a> {
        match (*self, side) {
            (Self::Finished(..), Side::Backend) => None,
            (Self::Lost(gone) | Self::HalfClose(gone, _) | Self::PongOverdue(gone), side)
                if gone == side =>
            {
                None
            }
            (Self::MessageTooBig(fault), side) if fault == side => {
                Some((CloseCode::MESSAGE_TOO_BIG, "message too big"))
            }
            (Self::ProtocolError(fault, _), side) if fault == side => {
                Some((CloseCode::PROTOCOL_ERROR, "protocol error"))
            }
            (_, Side::Backend) => Some((CloseCode::GOING_AWAY, "")),
            (ending, Side::Client) => ending.told_client(terms),
        }
    }

    fn told_client(self, terms: &Terms) -> Told<'_> {
        Some(match self {
            Self::Finished(..) => return None,
            Self::Lost(_) | Self::HalfClose(..) | Self::PongOverdue(_) => {
                let code = terms.websocket.backend_lost_code;
                (code.and_then(CloseCode::new)?, "backend lost")
            }
            Self::Idle => (CloseCode::GOING_AWAY, "idle"),
            Self::MessageTooBig(_) | Self::ProtocolError(..) => (CloseCode::GOING_AWAY, ""),
            Self::MaxAge => (CloseCode::SERVICE_RESTART, "session too old"),
            Self::Rebalance => (CloseCode::SERVICE_RESTART, "rebalance"),
            Self::TooManyMessages => (CloseCode::POLICY_VIOLATION, "too many messages"),
            Self::Stalled(Side::Client) => (CloseCode::TRY_AGAIN_LATER, "client too slow"),
            Self::Stalled(Side::Backend) => (CloseCode::TRY_AGAIN_LATER, "backend too slow"),
            Self::Drain => {
                let Words { code, reason } = &terms.drain;
                (*code, reason)
            }
        })
    }

    /// What the record says. `is_told` tells whether a Close of the gateway was sent to a side: a code that no side got
    /// is not recorded.
    pub(super) fn closure(self, terms: &Terms, is_told: impl Fn(Side) -> bool) -> Closure {
        let (initiator, reason) = match self {
            Self::Finished(side, _) => (initiator(side), Reason::Finished),
            Self::Lost(side) => (initiator(side), Reason::Lost),
            Self::HalfClose(side, _) => (initiator(side), Reason::HalfClose),
            Self::PongOverdue(side) => (initiator(side), Reason::PongOverdue),
            Self::Idle => (Initiator::Gateway, Reason::Idle),
            Self::MaxAge => (Initiator::Gateway, Reason::MaxAge),
            Self::Drain => (Initiator::Gateway, Reason::Drain),
            Self::Rebalance => (Initiator::Gateway, Reason::Rebalance),
            Self::MessageTooBig(_) => (Initiator::Gateway, Reason::MessageTooBig),
            Self::TooManyMessages => (Initiator::Gateway, Reason::TooManyMessages),
            Self::ProtocolError(..) => (Initiator::Gateway, Reason::ProtocolError),
            Self::Stalled(_) => (Initiator::Gateway, Reason::Stalled),
        };
        Closure {
            initiator,
            code: self.code(terms, is_told),
            reason,
            detail: match self {
                Self::ProtocolError(_, error) => error.detail(),
                _ => "",
            },
        }
    }

    /// The code of the first Close: that of a side, or else of the gateway.
    fn code(self, terms: &Terms, is_told: impl Fn(Side) -> bool) -> Option<u16> {
        if let Self::Finished(_, code) | Self::HalfClose(_, code) = self {
            return code;
        }
        let first = match self {
            Self::MessageTooBig(Side::Backend) | Self::ProtocolError(Side::Backend, _) => {
                Side::Backend
            }
            _ => Side::Client,
        };
        let sides = [first, first.other()].into_iter();
        let mut told = sides.filter(|side| is_told(*side));
        told.find_map(|side| self.told(side, terms))
            .map(|(code, _)| code.number())
    }
}

fn initiator(side: Side) -> Initiator {
    match side {
        Side::Client => Initiator::Client,
        Side::Backend => Initiator::Backend,
    }
}
