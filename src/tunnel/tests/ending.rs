//! What each side is told and what the record says, ending by ending.

use super::super::ending::Ending;
use super::super::terms::Terms;
use super::terms;
use crate::session::{Closure, Initiator, Reason};
use crate::websocket::{ProtocolError, Side};

const CLIENT: Side = Side::Client;
const BACKEND: Side = Side::Backend;

/// An ending, the codes that the client and the backend are told, and who began it and why.
type Row = (Ending, Option<u16>, Option<u16>, Initiator, Reason);

/// The table "the tunnel ends because".
const ROWS: [Row; 19] = [
    (
        Ending::Finished(CLIENT, Some(1000)),
        None,
        None,
        Initiator::Client,
        Reason::Finished,
    ),
    (
        Ending::Finished(BACKEND, None),
        None,
        None,
        Initiator::Backend,
        Reason::Finished,
    ),
    (
        Ending::HalfClose(CLIENT, None),
        None,
        Some(1001),
        Initiator::Client,
        Reason::HalfClose,
    ),
    (
        Ending::HalfClose(BACKEND, Some(1000)),
        Some(1014),
        None,
        Initiator::Backend,
        Reason::HalfClose,
    ),
    (
        Ending::Lost(BACKEND),
        Some(1014),
        None,
        Initiator::Backend,
        Reason::Lost,
    ),
    (
        Ending::Lost(CLIENT),
        None,
        Some(1001),
        Initiator::Client,
        Reason::Lost,
    ),
    (
        Ending::Idle,
        Some(1001),
        Some(1001),
        Initiator::Gateway,
        Reason::Idle,
    ),
    (
        Ending::PongOverdue(CLIENT),
        None,
        Some(1001),
        Initiator::Client,
        Reason::PongOverdue,
    ),
    (
        Ending::PongOverdue(BACKEND),
        Some(1014),
        None,
        Initiator::Backend,
        Reason::PongOverdue,
    ),
    (
        Ending::MaxAge,
        Some(1012),
        Some(1001),
        Initiator::Gateway,
        Reason::MaxAge,
    ),
    (
        Ending::Rebalance,
        Some(1012),
        Some(1001),
        Initiator::Gateway,
        Reason::Rebalance,
    ),
    (
        Ending::Drain,
        Some(1012),
        Some(1001),
        Initiator::Gateway,
        Reason::Drain,
    ),
    (
        Ending::MessageTooBig(CLIENT),
        Some(1009),
        Some(1001),
        Initiator::Gateway,
        Reason::MessageTooBig,
    ),
    (
        Ending::MessageTooBig(BACKEND),
        Some(1001),
        Some(1009),
        Initiator::Gateway,
        Reason::MessageTooBig,
    ),
    (
        Ending::TooManyMessages,
        Some(1008),
        Some(1001),
        Initiator::Gateway,
        Reason::TooManyMessages,
    ),
    (
        Ending::ProtocolError(CLIENT, ProtocolError::Unmasked),
        Some(1002),
        Some(1001),
        Initiator::Gateway,
        Reason::ProtocolError,
    ),
    (
        Ending::ProtocolError(BACKEND, ProtocolError::Masked),
        Some(1001),
        Some(1002),
        Initiator::Gateway,
        Reason::ProtocolError,
    ),
    (
        Ending::Stalled(CLIENT),
        Some(1013),
        Some(1001),
        Initiator::Gateway,
        Reason::Stalled,
    ),
    (
        Ending::Stalled(BACKEND),
        Some(1013),
        Some(1001),
        Initiator::Gateway,
        Reason::Stalled,
    ),
];

fn code(ending: Ending, side: Side, terms: &Terms) -> Option<u16> {
    ending.told(side, terms).map(|(code, _)| code.number())
}

#[test]
fn each_side_is_told_what_the_table_says() {
    for (ending, to_client, to_backend, initiator, reason) in ROWS {
        let terms = terms();
        let told = [CLIENT, BACKEND].map(|side| code(ending, side, &terms));
        assert_eq!(told, [to_client, to_backend], "{ending:?}");
        let closure = ending.closure(&terms, |_| true);
        assert_eq!(
            (closure.initiator, closure.reason),
            (initiator, reason),
            "{ending:?}"
        );
    }
}

#[test]
fn the_record_has_the_code_of_the_side_at_fault_or_else_of_the_client() {
    let recorded =
        |ending: Ending, is_told: fn(Side) -> bool| ending.closure(&terms(), is_told).code;
    for side in [CLIENT, BACKEND] {
        assert_eq!(recorded(Ending::MessageTooBig(side), |_| true), Some(1009));
        assert_eq!(
            recorded(Ending::ProtocolError(side, ProtocolError::Masked), |_| true),
            Some(1002)
        );
    }
    assert_eq!(recorded(Ending::Drain, |_| true), Some(1012));
    assert_eq!(recorded(Ending::Drain, |side| side == BACKEND), Some(1001));
    assert_eq!(recorded(Ending::Lost(BACKEND), |_| true), Some(1014));
    assert_eq!(recorded(Ending::Lost(CLIENT), |_| true), Some(1001));
}

#[test]
fn the_loss_of_a_backend_is_told_as_the_route_says() {
    for told in [Some(1011), None] {
        let mut terms = terms();
        terms.websocket.backend_lost_code = told;
        for ending in [Ending::Lost(BACKEND), Ending::PongOverdue(BACKEND)] {
            assert_eq!(code(ending, CLIENT, &terms), told, "{ending:?}");
            assert_eq!(ending.closure(&terms, |_| true).code, told, "{ending:?}");
        }
        assert_eq!(code(Ending::Lost(CLIENT), BACKEND, &terms), Some(1001));
    }
}

#[test]
fn a_code_that_nobody_heard_is_not_recorded() {
    for (ending, ..) in ROWS {
        let Closure { code, .. } = ending.closure(&terms(), |_| false);
        let said = match ending {
            Ending::Finished(_, code) | Ending::HalfClose(_, code) => code,
            _ => None,
        };
        assert_eq!(code, said, "{ending:?}");
    }
}

#[test]
fn a_planned_end_is_told_in_the_words_of_the_configuration() {
    let mut terms = terms();
    terms.drain.reason = "back soon".into();
    let told = Ending::Drain.told(CLIENT, &terms);
    assert_eq!(told, Some((terms.drain.code, "back soon")));
    let to_backend = Ending::Drain.told(BACKEND, &terms);
    assert_eq!(to_backend.map(|(_, reason)| reason), Some(""));
}
