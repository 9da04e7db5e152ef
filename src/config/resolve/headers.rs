//! What is said to backends in header fields: each key from the route, else from `defaults`. Fields that are set
//! are inherited one by one.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue};

use super::Context;
use crate::config::model::{FieldRules, Forwarded, HeaderRules};
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Entry, Named, Placed, Setting};
use crate::config::schema;
use crate::config::values::field::no_field_name;
use crate::config::values::{FieldName, FieldValue, OneOf};

/// What bounds or carries a message, and is written by the gateway alone.
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

/// What one place says of header fields; what it leaves out is inherited.
#[derive(Default)]
pub(super) struct Said {
    forwarded: Setting<OneOf<Forwarded>>,
    preserve_host: Setting<bool>,
    fields: Fields,
}

/// What one place says of fields by their names.
#[derive(Default)]
struct Fields {
    set: Vec<(HeaderName, HeaderValue)>,
    remove: Option<Vec<HeaderName>>,
}

/// Reads what one place says, noting what is wrong with it.
pub(super) fn read(raw: schema::Headers, context: &mut Context<'_>) -> Said {
    let findings = &mut context.findings;
    let fields = Fields {
        set: set(raw.set.or_default(), findings),
        remove: raw.remove.value().map(|names| remove(names, findings)),
    };
    Said {
        fields,
        forwarded: raw.forwarded,
        preserve_host: raw.preserve_host,
    }
}

/// What holds for a route.
pub(super) fn merge(own: Said, inherited: &Said) -> HeaderRules {
    let forwarded = own.forwarded.or_inherit(&inherited.forwarded);
    let preserve_host = own.preserve_host.or_inherit(&inherited.preserve_host);
    HeaderRules {
        forwarded: forwarded.or(OneOf(Forwarded::XForwarded)).0,
        preserve_host: preserve_host.or(true),
        fields: merge_fields(own.fields, &inherited.fields),
    }
}

fn merge_fields(own: Fields, inherited: &Fields) -> FieldRules {
    let is_own = |name: &HeaderName| {
        let mut set = own.set.iter().map(|(set, _)| set);
        set.any(|set| set == name) || own.remove.iter().flatten().any(|removed| removed == name)
    };
    let others = inherited.set.iter().filter(|(name, _)| !is_own(name));
    let set = others.cloned().chain(own.set.iter().cloned()).collect();
    let remove = own.remove.or_else(|| inherited.remove.clone());
    FieldRules {
        set,
        remove: remove.unwrap_or_default(),
    }
}

fn set(named: Named<FieldValue>, findings: &mut Findings) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for Entry { name, place, value } in named.0 {
        let Ok(field) = HeaderName::from_bytes(name.as_bytes()) else {
            findings.add(&place, no_field_name(&name));
            continue;
        };
        check(&field, &place, findings);
        if fields.iter().any(|(other, _)| *other == field) {
            findings.add(&place, "the field is set already, in another spelling");
        }
        fields.extend(value.map(|FieldValue(value)| (field, value)));
    }
    fields
}

fn remove(names: Vec<Placed<FieldName>>, findings: &mut Findings) -> Vec<HeaderName> {
    let mut fields = Vec::new();
    for Placed { value, place } in names {
        let FieldName(field) = value;
        check(&field, &place, findings);
        if field == HOST {
            findings.add(&place, "Host cannot be taken out: see `preserve_host`");
        }
        fields.push(field);
    }
    fields
}

fn check(field: &HeaderName, place: &Place, findings: &mut Findings) {
    if RESERVED.contains(field) {
        let message =
            format!("`{field}` bounds or carries a message: the gateway writes it itself");
        findings.add(place, message);
    }
}
