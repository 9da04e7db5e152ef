//! The health of a pool's backends.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::model::{ActiveHealth, Check, CheckRequest, Health, OnUnhealthy, PassiveHealth};
use crate::config::problems::{Findings, Place};
use crate::config::reading::{OrNull, Placed, Setting};
use crate::config::schema;
use crate::config::values::choice::CheckKind;
use crate::config::values::{Statuses, Timeout};

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
            "has no effect without `active`: only checks call a backend unhealthy",
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
        Setting::Given(Placed {
            value: OrNull(keys),
            ..
        }) => keys.map(passive),
    };
    Some(Health {
        active,
        passive,
        on_unhealthy,
    })
}

fn active(raw: schema::ActiveHealth, findings: &mut Findings) -> Option<ActiveHealth> {
    let kind = raw.r#type.sound(|| CheckKind::WebSocket)?;
    let asks = match kind {
        CheckKind::Tcp => [false, false],
        CheckKind::Http => [true, true],
        CheckKind::WebSocket => [true, false],
    };
    // The default may be written out.
    let path = raw.path.given().filter(|path| path.value.0 != PATH);
    let keys = [
        (path.map(|path| &path.place), asks[0]),
        (raw.host.place(), asks[0]),
        (raw.statuses.place(), asks[1]),
    ];
    let idle: Vec<Place> = keys
        .into_iter()
        .filter(|(_, is_used)| !is_used)
        .filter_map(|(place, _)| place.cloned())
        .collect();
    for place in idle {
        findings.add(&place, "has no effect on checks of this `type`");
    }
    let request = CheckRequest {
        path: raw
            .path
            .value()
            .map_or_else(|| PATH.to_owned(), |path| path.0),
        host: raw.host.value().map(|host| host.0),
    };
    let statuses = statuses(raw.statuses, findings)?;
    Some(ActiveHealth {
        check: match kind {
            CheckKind::Tcp => Check::Tcp,
            CheckKind::Http => Check::Http(request, statuses),
            CheckKind::WebSocket => Check::WebSocket(request),
        },
        interval: span(raw.interval, 5),
        timeout: span(raw.timeout, 2),
        healthy_threshold: raw
            .healthy_threshold
            .value()
            .map_or(2, |count| count.number()),
        unhealthy_threshold: raw
            .unhealthy_threshold
            .value()
            .map_or(3, |count| count.number()),
    })
}

fn statuses(
    setting: Setting<Vec<Placed<Statuses>>>,
    findings: &mut Findings,
) -> Option<Vec<RangeInclusive<u16>>> {
    let place = setting.place().cloned();
    let Some(place) = place else {
        return setting.sound(Vec::new).map(|_| vec![200..=399]);
    };
    let statuses: Vec<_> = setting.or_default();
    if statuses.is_empty() {
        findings.add(&place, "must name at least one, or no check passes");
    }
    Some(statuses.into_iter().map(|placed| placed.value.0).collect())
}

fn span(setting: Setting<Timeout>, default: u64) -> Duration {
    setting.or(Timeout(Duration::from_secs(default))).0
}

fn passive(raw: schema::PassiveHealth) -> PassiveHealth {
    let share = raw.max_ejected.value();
    PassiveHealth {
        failures: raw.failures.value().map_or(5, |count| count.count()),
        window: span(raw.window, 30),
        eject: span(raw.eject, 30),
        max_ejected: share.map_or(0.5, |share| share.fraction()),
    }
}
