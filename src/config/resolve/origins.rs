//! Origins: three ways to write them, one way to hold them.

use super::Context;
use crate::config::origin::{OriginList, OriginPattern, Origins};
use crate::config::problems::Place;
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::choice::Verdict;
use crate::config::values::{OneOf, OriginText};

/// The origins of a route or of the defaults.
pub(super) fn resolve(
    setting: Setting<schema::Origins>,
    context: &mut Context<'_>,
) -> Setting<Origins> {
    match setting {
        Setting::Absent => Setting::Absent,
        Setting::Invalid => Setting::Invalid,
        Setting::Given(Placed { value, place }) => {
            let value = match value {
                schema::Origins::Any => Origins::Any,
                schema::Origins::List(list) => Origins::List(only(list)),
                schema::Origins::Rules(rules) => Origins::List(by_rules(rules)),
            };
            check(&value, &place, context);
            Setting::Given(Placed { value, place })
        }
    }
}

/// Notes that a route needs origins and has none.
pub(super) fn missing(place: &Place, context: &mut Context<'_>) {
    context.findings.add(
        place,
        "a route that takes WebSockets must say which origins may open it: `origins: [...]` or \
         `origins: any`",
    );
}

fn only(list: Vec<Placed<OriginText>>) -> OriginList {
    OriginList {
        allow: patterns(list),
        allow_missing: false,
        allow_opaque: false,
    }
}

fn by_rules(rules: schema::OriginRules) -> OriginList {
    let allows =
        |verdict: Setting<OneOf<Verdict>>| verdict.or(OneOf(Verdict::Deny)).0 == Verdict::Allow;
    OriginList {
        allow: patterns(rules.allow.or_default()),
        allow_missing: allows(rules.missing),
        allow_opaque: allows(rules.opaque),
    }
}

fn patterns(list: Vec<Placed<OriginText>>) -> Vec<OriginPattern> {
    list.into_iter().map(|placed| placed.value.0).collect()
}

fn check(origins: &Origins, place: &Place, context: &mut Context<'_>) {
    if let Origins::List(list) = origins
        && list.allow.is_empty()
        && !list.allow_missing
        && !list.allow_opaque
    {
        context.findings.add(
            place,
            "allows nobody: name an origin, or write `origins: any`",
        );
    }
}
