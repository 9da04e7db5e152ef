//! Header fields of requests to backends and of answers to clients: each key from the route, else from `defaults`. Fields
//! that are set are inherited one by one.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue};

use super::http as plain;
use crate::config::model::{FieldRules, Forwarded, HeaderRules};
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Entry, Named, Placed, Setting};
use crate::config::schema;
use crate::config::values::check::is_host;

/// Fields that frame or carry a message; only the gateway writes them.
const RESERVED: [HeaderName; 11] = [
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The rules of one place; what it leaves out is inherited.
#[derive(Default)]
pub(super) struct Rules {
    forwarded: Setting<Forwarded>,
    preserve_host: Setting<bool>,
    fields: Fields,
    answer: Fields,
}

/// The end that gets the fields.
#[derive(Clone, Copy)]
enum Towards {
    Backend,
    /// A backend that is checked.
    Checked,
    Client {
        /// Whether the gateway answers for CORS.
        has_cors: bool,
    },
}

type FieldList = Arc<[(HeaderName, HeaderValue)]>;

/// The fields that one place sets and removes.
#[derive(Default)]
struct Fields {
    set: FieldList,
    remove: Option<Arc<[HeaderName]>>,
}

/// Reads the rules of one place, noting problems.
pub(super) fn read(raw: schema::Headers, findings: &mut Findings) -> Rules {
    let answer = raw.answer.or_default();
    let towards_client = Towards::Client { has_cors: false };
    Rules {
        fields: fields(raw.set, raw.remove, Towards::Backend, findings),
        answer: fields(answer.set, answer.remove, towards_client, findings),
        forwarded: raw.forwarded,
        preserve_host: raw.preserve_host,
    }
}

/// The fields of a health check.
pub(super) fn of_check(
    set: Setting<Named<HeaderValue>>,
    findings: &mut Findings,
) -> Vec<(HeaderName, HeaderValue)> {
    set_fields(set.or_default(), Towards::Checked, findings)
}

/// Takes the rules for answers out of a route, and adds the inherited ones.
pub(super) fn answer(
    route: &mut schema::Route,
    inherited: &Rules,
    findings: &mut Findings,
) -> FieldRules {
    let own = match &mut route.headers {
        Setting::Given(headers) => mem::take(&mut headers.value.answer).or_default(),
        Setting::Absent | Setting::Invalid => schema::FieldRules::default(),
    };
    let towards = Towards::Client {
        has_cors: plain::has_cors(&route.http) == Some(true),
    };
    let own = fields(own.set, own.remove, towards, findings);
    merge_fields(own, &inherited.answer)
}

/// The places of keys that are about requests to backends.
pub(super) fn towards_backend(headers: &Setting<schema::Headers>) -> impl Iterator<Item = &Place> {
    let given = headers.given().map(|placed| &placed.value);
    given.into_iter().flat_map(|given| {
        let places = [
            given.forwarded.place(),
            given.preserve_host.place(),
            given.set.place(),
            given.remove.place(),
        ];
        places.into_iter().flatten()
    })
}

/// The rules of a route for requests to backends.
pub(super) fn merge(own: Rules, inherited: &Rules) -> HeaderRules {
    let forwarded = own.forwarded.or_inherit(&inherited.forwarded);
    let preserve_host = own.preserve_host.or_inherit(&inherited.preserve_host);
    HeaderRules {
        forwarded: forwarded.or(Forwarded::XForwarded),
        preserve_host: preserve_host.or(true),
        fields: merge_fields(own.fields, &inherited.fields),
    }
}

fn merge_fields(own: Fields, inherited: &Fields) -> FieldRules {
    let set = merge_set(&own, &inherited.set);
    let remove = own.remove.or_else(|| inherited.remove.clone());
    FieldRules {
        set,
        remove: remove.unwrap_or_default(),
    }
}

/// The inherited list itself, not a copy, where nothing of it changes: there may be many fields and many routes.
fn merge_set(own: &Fields, inherited: &FieldList) -> FieldList {
    let removed = own.remove.iter().flat_map(|names| names.iter());
    let names = own.set.iter().map(|(name, _)| name).chain(removed);
    let names: HashSet<_> = names.collect();
    let stays = |(name, _): &&(HeaderName, HeaderValue)| !names.contains(name);
    if own.set.is_empty() && inherited.iter().all(|field| stays(&field)) {
        return Arc::clone(inherited);
    }
    let others = inherited.iter().filter(stays);
    others.chain(own.set.iter()).cloned().collect()
}

fn fields(
    set: Setting<Named<HeaderValue>>,
    remove: Setting<Vec<Placed<HeaderName>>>,
    towards: Towards,
    findings: &mut Findings,
) -> Fields {
    Fields {
        set: set_fields(set.or_default(), towards, findings).into(),
        remove: remove
            .value()
            .map(|names| removed_fields(names, towards, findings).into()),
    }
}

fn set_fields(
    named: Named<HeaderValue>,
    towards: Towards,
    findings: &mut Findings,
) -> Vec<(HeaderName, HeaderValue)> {
    let (mut fields, mut seen) = (Vec::new(), HashSet::new());
    for Entry { name, place, value } in named.0 {
        // What is no name of a field was no name at all, which has been noted.
        let Ok(field) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        check(&field, &place, towards, findings);
        if !seen.insert(field.clone()) {
            findings.add(&place, "the field is set already, in another spelling");
        }
        if let (Towards::Backend, true, Some(value)) = (towards, field == HOST, &value)
            && !value.to_str().is_ok_and(is_host)
        {
            findings.add(&place, "must be a host such as `chat.example.com`");
        }
        fields.extend(value.map(|value| (field, value)));
    }
    fields
}

fn removed_fields(
    names: Vec<Placed<HeaderName>>,
    towards: Towards,
    findings: &mut Findings,
) -> Vec<HeaderName> {
    let mut fields = Vec::new();
    for Placed {
        value: field,
        place,
    } in names
    {
        check(&field, &place, towards, findings);
        if let (Towards::Backend, true) = (towards, field == HOST) {
            findings.add(&place, "Host cannot be removed: see `preserve_host`");
        }
        fields.push(field);
    }
    fields
}

/// Notes a field that a route may not set or remove.
fn check(field: &HeaderName, place: &Place, towards: Towards, findings: &mut Findings) {
    let is_of = |prefix: &str| field.as_str().starts_with(prefix);
    let message = match towards {
        _ if RESERVED.contains(field) => {
            "bounds or carries a message: the gateway writes it itself"
        }
        Towards::Checked if *field == HOST => "has a key of its own, `host`",
        Towards::Backend | Towards::Checked => return,
        Towards::Client { .. } if is_of("sec-websocket-") => {
            "is what the client and the backend agree on: it passes as it is"
        }
        Towards::Client { .. } if *field == DATE => {
            "says when an answer was made: it passes as it is"
        }
        Towards::Client { has_cors: true } if is_of("access-control-") => {
            "has no effect beside `http.cors`, which says it"
        }
        Towards::Client { .. } => return,
    };
    findings.add(place, format!("`{field}` {message}"));
}
