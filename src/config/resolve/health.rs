//! The health of a pool's backends.

use std::ops::RangeInclusive;

use super::headers;
use crate::config::model::{ActiveHealth, Check, CheckRequest, Health, OnUnhealthy, PassiveHealth};
use crate::config::problems::Findings;
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::choice::CheckKind;

/// What a check asks for by default.
const PATH: &str = "/";

pub(super) fn resolve(raw: schema::Health, findings: &mut Findings) -> Option<Health> {
    let is_checked = !matches!(raw.active, Setting::Absent);
    let place = raw.on_unhealthy.place().cloned();
    let on_unhealthy = raw.on_unhealthy.or(OnUnhealthy::Keep);
    if let (Some(place), false, OnUnhealthy::Drain | OnUnhealthy::Close) =
        (place, is_checked, on_unhealthy)
    {
        findings.add(
            &place,
            "has no effect without `active`: only checks mark a backend unhealthy",
        );
    }
    let active = match raw.active {
        Setting::Absent => None,
        Setting::Invalid => return None,
        Setting::Given(placed) => Some(active(placed.value, findings)?),
    };
    let passive = match raw.passive {
        Setting::Invalid => return None,
        Setting::Absent => Some(passive(schema::PassiveHealth::default())),
        Setting::Given(keys) => keys.value.map(passive),
    };
    Some(Health {
        active,
        passive,
        on_unhealthy,
    })
}

fn active(raw: schema::ActiveHealth, findings: &mut Findings) -> Option<ActiveHealth> {
    let kind = raw.r#type.unless_invalid(|| CheckKind::WebSocket);
    let (sends_request, reads_status) = match kind {
        Some(CheckKind::Tcp) => (false, false),
        Some(CheckKind::WebSocket) => (true, false),
        // Of an invalid type nothing is known.
        Some(CheckKind::Http) | None => (true, true),
    };
    // The default may be written out.
    let path = raw.path.given().filter(|path| path.value != PATH);
    let keys = [
        (path.map(|path| &path.place), sends_request),
        (raw.host.place(), sends_request),
        (raw.headers.place(), sends_request),
        (raw.statuses.place(), reads_status),
    ];
    let unused = keys.into_iter().filter(|(_, is_used)| !is_used);
    for place in unused.filter_map(|(place, _)| place) {
        findings.add(place, "has no effect on checks of this `type`");
    }
    let request = CheckRequest {
        path: raw.path.value().unwrap_or_else(|| PATH.to_owned()),
        host: raw.host.value(),
        headers: headers::of_check(raw.headers, findings),
    };
    let statuses = statuses(raw.statuses, findings);
    Some(ActiveHealth {
        check: match kind? {
            CheckKind::Tcp => Check::Tcp,
            CheckKind::Http => Check::Http(request, statuses?),
            CheckKind::WebSocket => Check::WebSocket(request),
        },
        interval: raw.interval.or_seconds(5),
        timeout: raw.timeout.or_seconds(2),
        healthy_threshold: raw.healthy_threshold.or(2),
        unhealthy_threshold: raw.unhealthy_threshold.or(3),
    })
}

fn statuses(
    setting: Setting<Vec<Placed<RangeInclusive<u16>>>>,
    findings: &mut Findings,
) -> Option<Vec<RangeInclusive<u16>>> {
    let Placed { value, place } = match setting {
        Setting::Absent => return Some(vec![200..=399]),
        Setting::Invalid => return None,
        Setting::Given(placed) => placed,
    };
    if value.is_empty() {
        findings.add(&place, "must name at least one, or no check passes");
    }
    Some(Placed::values(value))
}

fn passive(raw: schema::PassiveHealth) -> PassiveHealth {
    PassiveHealth {
        failures: raw.failures.or(5),
        window: raw.window.or_seconds(30),
        eject: raw.eject.or_seconds(30),
        max_ejected: raw.max_ejected.or(0.5),
    }
}
