//! How the sessions of a pool are spread, and which wait.

use std::time::Duration;

use crate::config::model::{HashKey, Queue, SameSite, Sticky, Strategy};
use crate::config::problems::Findings;
use crate::config::reading::{Placed, ScalarOrMap, Setting};
use crate::config::schema;
use crate::config::values::choice::{HashWord, StrategyWord};

/// The name of the sticky cookie by default.
const COOKIE: &str = "wsgate";

pub(super) fn strategy(
    word: Setting<StrategyWord>,
    hash: Setting<schema::Hash>,
    findings: &mut Findings,
) -> Option<Strategy> {
    let place = hash.place().cloned();
    let key = match hash.or_default().key {
        Setting::Absent => HashKey::Client,
        Setting::Invalid => return None,
        Setting::Given(placed) => hash_key(placed, findings)?,
    };
    let strategy = match word.or(StrategyWord::RoundRobin) {
        StrategyWord::Hash => return Some(Strategy::Hash(key)),
        StrategyWord::RoundRobin => Strategy::RoundRobin,
        StrategyWord::LeastSessions => Strategy::LeastSessions,
        StrategyWord::TwoChoices => Strategy::TwoChoices,
        StrategyWord::Random => Strategy::Random,
    };
    // The default may be written out, as the reference does.
    if let (Some(place), true) = (place, key != HashKey::Client) {
        findings.add(&place, "has no effect without `strategy: hash`");
    }
    Some(strategy)
}

fn hash_key(placed: Placed<schema::HashKey>, findings: &mut Findings) -> Option<HashKey> {
    let part = match placed.value {
        ScalarOrMap::Scalar(HashWord::Client) => return Some(HashKey::Client),
        ScalarOrMap::Scalar(HashWord::Path) => return Some(HashKey::Path),
        ScalarOrMap::Map(part) => *part,
    };
    let keys = [
        part_of(part.header, HashKey::Header)?,
        part_of(part.cookie, HashKey::Cookie)?,
        part_of(part.query, HashKey::Query)?,
        part_of(part.path_segment, HashKey::PathSegment)?,
    ];
    let mut keys = keys.into_iter().flatten();
    match (keys.next(), keys.next()) {
        (Some(key), None) => Some(key),
        _ => {
            findings.add(
                &placed.place,
                "names what is hashed by one of `header`, `cookie`, `query` and `path_segment`",
            );
            None
        }
    }
}

/// A key that may be given; `None` if it is wrong, which has been noted.
fn part_of<T>(setting: Setting<T>, key: impl FnOnce(T) -> HashKey) -> Option<Option<HashKey>> {
    match setting {
        Setting::Given(placed) => Some(Some(key(placed.value))),
        Setting::Absent => Some(None),
        Setting::Invalid => None,
    }
}

pub(super) fn sticky(raw: schema::Sticky) -> Sticky {
    Sticky {
        cookie: raw.cookie.value().unwrap_or_else(|| COOKIE.to_owned()),
        ttl: raw.ttl.or(Duration::ZERO),
        secret: raw.secret.value(),
        same_site: raw.same_site.or(SameSite::Lax),
    }
}

pub(super) fn queue(
    raw: Setting<schema::Queue>,
    may_be_full: bool,
    findings: &mut Findings,
) -> Queue {
    let raw = raw.or_default();
    let place = raw.max.place().cloned();
    let queue = Queue {
        max: raw.max.or(0),
        timeout: raw.timeout.or(Queue::TIMEOUT),
    };
    if let Some(place) = place
        && queue.max > 0
        && !may_be_full
    {
        findings.add(
            &place,
            "nobody ever waits, since no backend of the pool has `max_sessions`",
        );
    }
    queue
}
