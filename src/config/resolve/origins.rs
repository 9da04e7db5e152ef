//! Origins: four ways to write them, one way to hold them.

use crate::config::origin::{OriginList, OriginPattern, Origins};
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::choice::Verdict;

/// The origins of the defaults. A map may allow no origin, as routes may add to it.
pub(super) fn defaults(
    setting: Setting<schema::Origins>,
    findings: &mut Findings,
) -> Setting<Origins> {
    let is_map = setting
        .given()
        .is_some_and(|placed| matches!(placed.value, schema::Origins::Rules(_)));
    let origins = read(setting, &Setting::Absent);
    if is_map {
        return origins;
    }
    not_nobody(origins, findings)
}

/// The origins of a route. A map inherits each key that it leaves out; a list or a word inherits nothing.
pub(super) fn resolve(
    setting: Setting<schema::Origins>,
    inherited: &Setting<Origins>,
    findings: &mut Findings,
) -> Setting<Origins> {
    if !matches!(setting, Setting::Absent) {
        return not_nobody(read(setting, inherited), findings);
    }
    match inherited {
        Setting::Given(placed) if allows_nobody(&placed.value) => Setting::Absent,
        _ => Setting::Absent.or_inherit(inherited),
    }
}

fn read(setting: Setting<schema::Origins>, inherited: &Setting<Origins>) -> Setting<Origins> {
    let Placed { value, place } = match setting {
        Setting::Absent => return Setting::Absent,
        Setting::Invalid => return Setting::Invalid,
        Setting::Given(placed) => placed,
    };
    let origins = match value {
        schema::Origins::Any => Some(Origins::Any),
        schema::Origins::Same => Some(Origins::List(OriginList {
            allow_same: true,
            ..only(Vec::new())
        })),
        schema::Origins::List(list) => Some(Origins::List(only(list))),
        schema::Origins::Rules(rules) => by_rules(rules, inherited).map(Origins::List),
    };
    origins.map_or(Setting::Invalid, |value| {
        Setting::Given(Placed { value, place })
    })
}

/// The place of origins that restrict; `any` restricts nothing and may be written for any route.
pub(super) fn restricting(setting: &Setting<schema::Origins>) -> Option<&Place> {
    let given = setting.given()?;
    (!matches!(given.value, schema::Origins::Any)).then_some(&given.place)
}

/// The origins of a route that opens no sessions.
pub(super) fn nobody(place: &Place) -> Setting<Origins> {
    Setting::Given(Placed {
        value: Origins::List(only(Vec::new())),
        place: place.clone(),
    })
}

/// Notes that a route needs origins and has none.
pub(super) fn missing(place: &Place, findings: &mut Findings) {
    findings.add(
        place,
        "a route that takes WebSockets must say which origins may open it: `origins: [...]` or \
         `origins: any`",
    );
}

fn only(list: Vec<Placed<OriginPattern>>) -> OriginList {
    OriginList {
        allow: Placed::values(list).into(),
        allow_same: false,
        allow_missing: false,
        allow_opaque: false,
    }
}

/// `None` if a rule or what it inherits is invalid, which has been noted. Nothing is inherited from `any`.
fn by_rules(rules: schema::OriginRules, inherited: &Setting<Origins>) -> Option<OriginList> {
    let inherited = match inherited {
        Setting::Given(placed) => match &placed.value {
            Origins::List(list) => list.clone(),
            Origins::Any => only(Vec::new()),
        },
        Setting::Absent => only(Vec::new()),
        Setting::Invalid => return None,
    };
    Some(OriginList {
        allow: match rules.allow {
            Setting::Absent => inherited.allow,
            own => Placed::values(own.unless_invalid(Vec::new)?).into(),
        },
        allow_same: allows(rules.same, inherited.allow_same)?,
        allow_missing: allows(rules.missing, inherited.allow_missing)?,
        allow_opaque: allows(rules.opaque, inherited.allow_opaque)?,
    })
}

fn allows(verdict: Setting<Verdict>, inherited: bool) -> Option<bool> {
    match verdict {
        Setting::Absent => Some(inherited),
        own => own.value().map(|verdict| verdict == Verdict::Allow),
    }
}

/// Notes origins that allow no page, and makes them invalid.
fn not_nobody(origins: Setting<Origins>, findings: &mut Findings) -> Setting<Origins> {
    match origins {
        Setting::Given(placed) if allows_nobody(&placed.value) => {
            findings.add(
                &placed.place,
                "allows nobody: name an origin, or write `origins: any`",
            );
            Setting::Invalid
        }
        sound => sound,
    }
}

fn allows_nobody(origins: &Origins) -> bool {
    match origins {
        Origins::Any => false,
        Origins::List(list) => *list == only(Vec::new()),
    }
}
