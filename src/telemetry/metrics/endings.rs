//! Which endings of sessions have a series from the start.
//!
//! Of the 672 combinations of initiator, code and reason most never occur. The usual ones begin at zero; any other series is
//! created when it first occurs.

use crate::session::{Initiator, Reason};
use crate::websocket::code_label;

/// The `initiator`, `code` and `reason` labels of an ending.
pub(super) type Ending = [&'static str; 3];

/// The codes that applications and libraries of clients send.
const BY_CLIENTS: &[&str] = &[
    "none", "1000", "1001", "1002", "1007", "1009", "1010", "1011", "3xxx", "4xxx",
];
/// Those of backends, which also restart, refuse and are full.
const BY_BACKENDS: &[&str] = &[
    "none", "1000", "1001", "1002", "1003", "1007", "1008", "1009", "1011", "1012", "1013", "3xxx",
    "4xxx",
];
const HALF_CLOSE: &[&str] = &["none", "1000", "1001"];

/// The endings with a series from the start, independent of the configuration.
pub(super) fn expected() -> impl Iterator<Item = Ending> {
    Reason::ALL.into_iter().flat_map(|reason| {
        usual(reason)
            .iter()
            .flat_map(move |(initiator, codes)| combine(*initiator, codes, reason))
    })
}

/// The endings whose codes are configured.
pub(super) fn configured(backend_lost: Option<u16>, drain: u16) -> [Ending; 3] {
    let lost = |reason: Reason| {
        [
            Initiator::Backend.label(),
            code_label(backend_lost),
            reason.label(),
        ]
    };
    let drain = [
        Initiator::Gateway.label(),
        code_label(Some(drain)),
        Reason::Drain.label(),
    ];
    [lost(Reason::Lost), lost(Reason::PongOverdue), drain]
}

/// The usual initiators and codes of a reason; `none` if there may be no Close.
fn usual(reason: Reason) -> &'static [(Initiator, &'static [&'static str])] {
    use Initiator::{Backend, Client, Gateway};
    match reason {
        Reason::Finished => &[(Client, BY_CLIENTS), (Backend, BY_BACKENDS)],
        // The code is what the other side was told (a backend 1001, a client `backend_lost_code`), or had said itself.
        Reason::Lost => &[
            (Client, &["none", "1001"]),
            (Backend, &["none", "1001", "1014"]),
        ],
        Reason::PongOverdue => &[(Client, &["1001"]), (Backend, &["1014"])],
        Reason::HalfClose => &[(Client, HALF_CLOSE), (Backend, HALF_CLOSE)],
        Reason::Idle => &[(Gateway, &["1001"])],
        Reason::MaxAge => &[(Gateway, &["1012"])],
        // 1000 where a client was leaving already.
        Reason::Drain => &[(Gateway, &["1000", "1001", "1012"])],
        Reason::Rebalance => &[(Gateway, &["1012"])],
        Reason::MessageTooBig => &[(Gateway, &["1009"])],
        Reason::TooManyMessages => &[(Gateway, &["1008"])],
        Reason::ProtocolError => &[(Gateway, &["1002"])],
        Reason::Stalled => &[(Gateway, &["1001", "1013"])],
        Reason::Stuck => &[(Gateway, &["1001", "1012"])],
        Reason::Cut => &[(Gateway, &["none"])],
    }
}

fn combine(
    initiator: Initiator,
    codes: &'static [&'static str],
    reason: Reason,
) -> impl Iterator<Item = Ending> {
    codes
        .iter()
        .map(move |code| [initiator.label(), *code, reason.label()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::websocket::CODE_LABELS;

    #[test]
    fn few_endings_are_expected() {
        assert!(expected().count() <= 50, "{}", expected().count());
    }

    /// Such a backend ends all of its sessions at once.
    #[test]
    fn the_end_of_a_backend_is_expected() {
        let expected: BTreeSet<_> = expected().collect();
        for (code, reason) in [
            ("1001", Reason::Finished),
            ("1008", Reason::Finished),
            ("1012", Reason::Finished),
            ("1013", Reason::Finished),
            ("1014", Reason::Lost),
        ] {
            assert!(
                expected.contains(&["backend", code, reason.label()]),
                "{code}"
            );
        }
    }

    #[test]
    fn only_a_client_is_told_that_the_other_side_is_lost() {
        let told = expected().filter(|[_, code, _]| *code == "1014");
        let initiators: BTreeSet<_> = told.map(|[initiator, ..]| initiator).collect();
        assert_eq!(initiators, ["backend"].into());
    }

    #[test]
    fn every_initiator_code_and_reason_is_expected() {
        let expected: BTreeSet<_> = expected().collect();
        let column = |index: usize| -> BTreeSet<_> {
            expected
                .iter()
                .map(|ending: &Ending| ending[index])
                .collect()
        };
        assert_eq!(column(0), Initiator::TEXTS.into());
        // No Close that is not refused has another code.
        let other: BTreeSet<_> = ["other"].into();
        assert_eq!(&column(1) | &other, CODE_LABELS.into());
        assert_eq!(column(2), Reason::TEXTS.into());
    }
}
