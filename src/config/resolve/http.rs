//! What holds for plain HTTP requests, which protocols a route takes, and redirects.

use http::{HeaderName, Method, StatusCode};

use crate::config::model::{Cors, Http, Redirect, Target};
use crate::config::origin::Origins;
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::choice::Protocol;

/// Which protocols a route takes; at least one.
#[derive(Clone, Copy)]
pub(super) struct Protocols {
    pub(super) websocket: bool,
    pub(super) http: bool,
}

impl Protocols {
    pub(super) const ALL: Self = Self {
        websocket: true,
        http: true,
    };

    /// Those that `target` takes. Fixed answers and redirects answer opening handshakes, too.
    pub(super) fn of(target: &Target) -> Self {
        let pool = match target {
            Target::Pool(pool) => Some(pool),
            Target::Respond(_) | Target::Redirect(_) => None,
        };
        Self {
            websocket: pool.is_none_or(|pool| pool.takes_websocket),
            http: pool.is_none_or(|pool| pool.http.is_some()),
        }
    }
}

/// `None` if the list is invalid, which has been noted.
pub(super) fn protocols(
    setting: Setting<Vec<Placed<Protocol>>>,
    findings: &mut Findings,
) -> Option<Protocols> {
    let Placed { value, place } = match setting {
        Setting::Absent => {
            return Some(Protocols::ALL);
        }
        Setting::Invalid => return None,
        Setting::Given(placed) => placed,
    };
    if value.is_empty() {
        findings.add(&place, "must name `websocket`, `http`, or both");
        return None;
    }
    let names = |protocol: Protocol| value.iter().any(|named| named.value == protocol);
    Some(Protocols {
        websocket: names(Protocol::WebSocket),
        http: names(Protocol::Http),
    })
}

/// Whether the gateway answers for CORS; `None` if that is invalid.
pub(super) fn has_cors(http: &Setting<schema::Http>) -> Option<bool> {
    let cors = match http {
        Setting::Absent => return Some(false),
        Setting::Invalid => return None,
        Setting::Given(http) => &http.value.cors,
    };
    match cors {
        Setting::Invalid => None,
        cors => Some(cors.given().is_some()),
    }
}

/// What holds for plain requests; `origins` are those whose scripts CORS is about.
pub(super) fn resolve(
    own: schema::Http,
    origins: &Setting<Origins>,
    findings: &mut Findings,
) -> Http {
    let is_for_any = origins.given().is_some_and(|placed| match &placed.value {
        Origins::Any => true,
        // Any page can become one, in a sandboxed frame.
        Origins::List(list) => list.allow_opaque,
    });
    let cors = own.cors.value();
    Http {
        request_timeout: own.request_timeout.or_seconds(60),
        max_body: own.max_body.or(None).map(|bytes| bytes as u64),
        min_upload_rate: own.min_upload_rate.or(None).unwrap_or(0) as u64,
        cors: cors.map(|raw| cors_of(raw, is_for_any, findings)),
    }
}

fn cors_of(raw: schema::Cors, is_for_any: bool, findings: &mut Findings) -> Cors {
    if let Some(credentials) = raw.credentials.given().filter(|placed| placed.value) {
        if is_for_any {
            let message = "cookies for scripts of every page in the world: name the `origins`, without `opaque: allow`";
            findings.add(&credentials.place, message);
        }
        refuse_star(&raw.headers, findings);
        refuse_star(&raw.expose, findings);
    }
    let usual = || vec![Method::GET, Method::HEAD, Method::POST];
    Cors {
        methods: raw.methods.value().map_or_else(usual, Placed::values),
        headers: Placed::values(raw.headers.or_default()),
        expose: Placed::values(raw.expose.or_default()),
        credentials: raw.credentials.or(false),
        max_age: raw.max_age.or_seconds(600),
    }
}

/// With credentials browsers take the star for the name of a field (Fetch, section 3.2.5).
fn refuse_star(list: &Setting<Vec<Placed<HeaderName>>>, findings: &mut Findings) {
    let names = list.given().into_iter().flat_map(|placed| &placed.value);
    for name in names.filter(|name| name.value == "*") {
        let message = "`*` is not a wildcard where there are `credentials`: name the fields";
        findings.add(&name.place, message);
    }
}

/// Where a client is sent instead.
pub(super) fn redirect(
    place: &Place,
    raw: schema::Redirect,
    findings: &mut Findings,
) -> Option<Redirect> {
    let destination = raw.to.require("to", place, findings);
    let status = raw.status.given().map_or(308, |status| status.value);
    if let (304..=306, Some(place)) = (status, raw.status.place()) {
        findings.add(place, "must be 301, 302, 303, 307 or 308");
    }
    Some(Redirect {
        to: destination?.value,
        status: StatusCode::from_u16(status).ok()?,
    })
}
