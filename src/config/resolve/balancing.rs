//! How the sessions of a pool are spread, and who waits.

use std::num::NonZeroUsize;
use std::time;

use crate::config::model::{HashKey, Queue, Secret, Sticky, Strategy};
use crate::config::problems::Findings;
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::choice::StrategyWord;
use crate::config::values::{CookieName, Duration, Timeout, Whole};

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
        findings.add(&place, "means something only with `strategy: hash`");
    }
    Some(strategy)
}

fn hash_key(placed: Placed<schema::HashKey>, findings: &mut Findings) -> Option<HashKey> {
    let schema::HashKey::Part(part) = placed.value else {
        return Some(HashKey::Client);
    };
    let schema::HashKeyPart {
        header,
        cookie,
        query,
    } = part;
    match (header, cookie, query) {
        (Setting::Given(header), Setting::Absent, Setting::Absent) => {
            Some(HashKey::Header(header.value))
        }
        (Setting::Absent, Setting::Given(cookie), Setting::Absent) => {
            Some(HashKey::Cookie(cookie.value.0))
        }
        (Setting::Absent, Setting::Absent, Setting::Given(query)) => {
            Some(HashKey::Query(query.value.0))
        }
        // What is wrong with it has been noted.
        (Setting::Invalid, _, _) | (_, Setting::Invalid, _) | (_, _, Setting::Invalid) => None,
        _ => {
            findings.add(
                &placed.place,
                "names what is hashed by one of `header`, `cookie` and `query`",
            );
            None
        }
    }
}

pub(super) fn sticky(raw: schema::Sticky) -> Sticky {
    Sticky {
        cookie: raw.cookie.or(CookieName(COOKIE.to_owned())).0,
        ttl: raw.ttl.or(Duration(time::Duration::ZERO)).0,
        secret: raw.secret.value().map(|secret| Secret(secret.0)),
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
        max: raw.max.value().map_or(0, |max| max.count()),
        timeout: raw.timeout.or(Timeout(Queue::TIMEOUT)).0,
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

/// The bound on the sessions of a backend; none where the file has none, or 0.
pub(super) fn max_sessions(raw: Setting<Whole<0, 10_000_000>>) -> Option<NonZeroUsize> {
    raw.value().and_then(|most| NonZeroUsize::new(most.count()))
}
