//! What holds for plain HTTP requests, which protocols a route takes, and redirects.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::config::model::{Cors, Http, Redirect};
use crate::config::origin::Origins;
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::choice::Protocol;
use crate::config::values::{self, FieldName, MethodName, OneOf, OrNone, Size, Timeout};

/// How long a browser remembers a permission by default.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Which protocols a route takes; at least one.
#[derive(Clone, Copy)]
pub(super) struct Protocols {
    pub(super) websocket: bool,
    pub(super) http: bool,
}

/// `None` where the list is wrong, which has been noted.
pub(super) fn protocols(
    setting: Setting<Vec<Placed<OneOf<Protocol>>>>,
    findings: &mut Findings,
) -> Option<Protocols> {
    let Placed { value, place } = match setting {
        Setting::Absent => {
            return Some(Protocols {
                websocket: true,
                http: true,
            });
        }
        Setting::Invalid => return None,
        Setting::Given(placed) => placed,
    };
    if value.is_empty() {
        findings.add(&place, "must name `websocket`, `http`, or both");
        return None;
    }
    let names = |protocol: Protocol| value.iter().any(|named| named.value.0 == protocol);
    Some(Protocols {
        websocket: names(Protocol::WebSocket),
        http: names(Protocol::Http),
    })
}

/// What holds for plain requests; `origins` are those whose scripts CORS is about.
pub(super) fn resolve(
    own: schema::Http,
    origins: &Setting<Origins>,
    findings: &mut Findings,
) -> Http {
    let timeout = own.request_timeout.or(Timeout(Duration::from_secs(60)));
    let max_body = own.max_body.or(OrNone(None)).0;
    let min_upload_rate = own.min_upload_rate.or(OrNone(None)).0;
    let is_for_any = matches!(origins.given(), Some(placed) if placed.value == Origins::Any);
    let cors = own.cors.value();
    Http {
        request_timeout: timeout.0,
        max_body: max_body.map(|Size(bytes)| bytes as u64),
        min_upload_rate: min_upload_rate.map_or(0, |Size(bytes)| bytes as u64),
        cors: cors.map(|raw| cors_of(raw, is_for_any, findings)),
    }
}

fn cors_of(raw: schema::Cors, is_for_any: bool, findings: &mut Findings) -> Cors {
    if let (true, Some(placed)) = (is_for_any, raw.credentials.given())
        && placed.value
    {
        let message = "cookies for scripts of every page in the world: name the `origins`";
        findings.add(&placed.place, message);
    }
    let usual = || vec![Method::GET, Method::HEAD, Method::POST];
    let methods = raw
        .methods
        .value()
        .map(|list| each(list, |MethodName(method)| method));
    Cors {
        methods: methods.unwrap_or_else(usual),
        headers: each(raw.headers.or_default(), |FieldName(name)| name),
        expose: each(raw.expose.or_default(), |FieldName(name)| name),
        credentials: raw.credentials.or(false),
        max_age: raw.max_age.or(values::Duration(MAX_AGE)).0,
    }
}

fn each<T, R>(list: Vec<Placed<T>>, take: impl Fn(T) -> R) -> Vec<R> {
    list.into_iter().map(|placed| take(placed.value)).collect()
}

/// Where a client is sent instead.
pub(super) fn redirect(
    place: &Place,
    raw: schema::Redirect,
    findings: &mut Findings,
) -> Option<Redirect> {
    let destination = raw.to.require("to", place, findings);
    let status = raw
        .status
        .given()
        .map_or(308, |placed| placed.value.number());
    if let (304..=306, Some(place)) = (status, raw.status.place()) {
        findings.add(place, "must be 301, 302, 303, 307 or 308");
    }
    let status = u16::try_from(status).ok()?;
    Some(Redirect {
        to: destination?.0,
        status: StatusCode::from_u16(status).ok()?,
    })
}
