//! Routes: which requests they take, what answers, and what they inherit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem;

use ::http::StatusCode;

use super::http::Protocols;
use super::matches::Matches;
use super::{headers, http, origins, websocket};
use crate::config::model::{
    FixedAnswer, Name, PoolTarget, Route, RouteMatch, SessionTimeouts, Target,
};
use crate::config::origin::Origins;
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Entry, Items, Named, Placed, Setting};
use crate::config::schema;
use crate::config::tree::quote;

/// Statuses whose answers have no body (RFC 9110 section 6.4.1; 205 by section 15.3.6).
const BODILESS: [StatusCode; 3] = [
    StatusCode::NO_CONTENT,
    StatusCode::RESET_CONTENT,
    StatusCode::NOT_MODIFIED,
];

/// What routes refer to, and what they inherit key by key.
pub(super) struct Scope {
    /// Names that exist; `None` if they could not be read, so that no name is reported as unknown.
    pub(super) listeners: Option<BTreeSet<Name>>,
    pub(super) pools: Option<BTreeSet<Name>>,
    pub(super) origins: Setting<Origins>,
    pub(super) timeouts: schema::SessionTimeouts,
    pub(super) websocket: schema::WebSocket,
    pub(super) headers: headers::Rules,
}

pub(super) fn all(
    named: Named<schema::Route>,
    scope: &Scope,
    findings: &mut Findings,
) -> BTreeMap<Name, Route> {
    let mut matches = Matches::default();
    let mut routes = BTreeMap::new();
    for Entry { name, place, value } in named.0 {
        let Some(mut raw) = value else { continue };
        let matcher = matcher(mem::take(&mut raw.r#match), scope, findings);
        if let Some(auth) = raw.auth.place() {
            let message = "is not supported yet: let the backend ask for tokens";
            findings.add(auth, message);
        }
        let answer = headers::answer(&mut raw, &scope.headers, findings);
        let target = target(&place, raw, scope, findings);
        if let (Some(matcher), Some(target)) = (matcher, target) {
            let route = Route {
                matcher,
                target,
                answer,
            };
            matches.add(&route, &place, findings);
            routes.insert(name, route);
        }
    }
    routes
}

/// `None` if a part is invalid: the others alone would match other requests.
fn matcher(
    setting: Setting<schema::RouteMatch>,
    scope: &Scope,
    findings: &mut Findings,
) -> Option<RouteMatch> {
    if matches!(setting, Setting::Invalid) {
        return None;
    }
    let raw = setting.or_default();
    let exact = raw.exact.unless_invalid(|| false);
    let hosts = raw.hosts.unless_invalid(Vec::new);
    let path = path(raw.path, exact.unwrap_or(true), findings);
    let listeners = listeners(raw.listeners, scope, findings);
    let mut seen = HashSet::new();
    let mut hosts = Placed::values(hosts?);
    hosts.retain(|host| seen.insert(host.clone()));
    Some(RouteMatch {
        hosts,
        path: path?,
        exact: exact?,
        listeners: listeners?,
    })
}

fn path(setting: Setting<String>, exact: bool, findings: &mut Findings) -> Option<String> {
    if let Some(Placed { value: path, place }) = setting.given()
        && !exact
        && path.len() > 1
        && path.ends_with('/')
    {
        let shorter = quote(path.trim_end_matches('/'));
        let message = format!(
            "a prefix ends before the slash, as it reaches to the next segment anyway: \
             write {shorter}, or `exact: true` for this path alone"
        );
        findings.add(place, message);
    }
    setting.unless_invalid(|| "/".to_owned())
}

/// What is put before paths, which begin with a slash themselves.
fn added_prefix(setting: Setting<String>, findings: &mut Findings) -> Option<String> {
    let Placed {
        value: prefix,
        place,
    } = setting.placed()?;
    match prefix.trim_end_matches('/') {
        "" => findings.add(&place, "adds nothing: leave it out"),
        shorter if shorter.len() < prefix.len() => {
            let shorter = quote(shorter);
            let message = format!("ends before the slash of the path: write {shorter}");
            findings.add(&place, message);
        }
        _ => {}
    }
    Some(prefix)
}

fn listeners(
    setting: Setting<Items<String>>,
    scope: &Scope,
    findings: &mut Findings,
) -> Option<Vec<Name>> {
    let mentioned = setting.unless_invalid(Vec::new)?;
    let names = mentioned
        .iter()
        .map(|name| known("listener", name.as_ref()?, &scope.listeners, findings));
    // Not collected at once: all unknown names are noted.
    let names: Vec<Option<Name>> = names.collect();
    let names: Option<BTreeSet<Name>> = names.into_iter().collect();
    names.map(|names| names.into_iter().collect())
}

/// The name that a text refers to; notes a problem if it does not exist.
fn known(
    what: &str,
    mentioned: &Placed<String>,
    names: &Option<BTreeSet<Name>>,
    findings: &mut Findings,
) -> Option<Name> {
    let (text, names) = (&mentioned.value, names.as_ref()?);
    let found = names.get(text.as_str()).cloned();
    if found.is_none() {
        let candidates = names.iter().map(|name| &**name);
        let what = format!("no {what} is named");
        findings.add_unknown(&mentioned.place, &what, text, candidates);
    }
    found
}

fn target(
    place: &Place,
    raw: schema::Route,
    scope: &Scope,
    findings: &mut Findings,
) -> Option<Target> {
    let is_given = [
        !matches!(raw.pool, Setting::Absent),
        !matches!(raw.respond, Setting::Absent),
        !matches!(raw.redirect, Setting::Absent),
    ];
    match is_given {
        [true, false, false] => {
            let target = pool_target(place, raw, scope, findings)?;
            Some(Target::Pool(Box::new(target)))
        }
        [false, true, false] => {
            refuse_pool_keys(&raw, "respond", findings);
            let respond = raw.respond.placed()?;
            fixed_answer(&respond.place, respond.value, findings).map(Target::Respond)
        }
        [false, false, true] => {
            refuse_pool_keys(&raw, "redirect", findings);
            let redirect = raw.redirect.placed()?;
            http::redirect(&redirect.place, redirect.value, findings).map(Target::Redirect)
        }
        [false, false, false] => {
            let message = "needs one of `pool`, `respond` and `redirect`";
            findings.add(place, message);
            None
        }
        _ => {
            let message =
                "has more than one of `pool`, `respond` and `redirect`: only one can answer";
            findings.add(place, message);
            None
        }
    }
}

/// Notes keys that have no effect without a pool.
fn refuse_pool_keys(raw: &schema::Route, target: &str, findings: &mut Findings) {
    let places = [
        origins::restricting(&raw.origins),
        raw.timeouts.place(),
        raw.websocket.place(),
        raw.protocols.place(),
        raw.http.place(),
        raw.strip_prefix.place(),
        raw.add_prefix.place(),
    ];
    let fields = headers::towards_backend(&raw.headers);
    for place in places.into_iter().flatten().chain(fields) {
        findings.add(
            place,
            format!("has no effect on a route that answers by `{target}`"),
        );
    }
}

fn fixed_answer(
    place: &Place,
    raw: schema::FixedAnswer,
    findings: &mut Findings,
) -> Option<FixedAnswer> {
    let status = raw.status.require("status", place, findings)?;
    let status = StatusCode::from_u16(status.value).ok()?;
    let body = raw.body.placed();
    if let Some(body) = body.as_ref().filter(|body| !body.value.is_empty())
        && BODILESS.contains(&status)
    {
        let message = format!("an answer with status {} has no body", status.as_u16());
        findings.add(&body.place, message);
    }
    Some(FixedAnswer {
        status,
        body: body.map(|body| body.value).unwrap_or_default(),
    })
}

fn pool_target(
    place: &Place,
    raw: schema::Route,
    scope: &Scope,
    findings: &mut Findings,
) -> Option<PoolTarget> {
    let pool = raw.pool.placed();
    let pool = pool.and_then(|name| known("pool", &name, &scope.pools, findings));
    let accepted = http::protocols(raw.protocols, findings);
    // Of what is invalid nothing is known: no key is in vain then, and none is missing.
    let protocols = accepted.unwrap_or(Protocols::ALL);
    let has_cors = http::has_cors(&raw.http);
    let needs_origins = protocols.websocket || has_cors != Some(false);
    let unused = (!needs_origins)
        .then(|| origins::restricting(&raw.origins))
        .flatten();
    if !protocols.websocket {
        let keys = raw.websocket.place().into_iter().chain(unused);
        for place in keys.chain(session_timeouts(&raw.timeouts)) {
            refuse_without("websocket", place, findings);
        }
    }
    if let (false, Some(place)) = (protocols.http, raw.http.place()) {
        refuse_without("http", place, findings);
    }
    let origins = match needs_origins {
        true => origins::resolve(raw.origins, &scope.origins, findings),
        false => origins::nobody(place),
    };
    let is_known = accepted.is_some_and(|it| it.websocket) || has_cors == Some(true);
    if matches!(origins, Setting::Absent) && is_known {
        origins::missing(place, findings);
    }
    let http = http::resolve(raw.http.or_default(), &origins, findings);
    let add_prefix = added_prefix(raw.add_prefix, findings);
    let headers = headers::read(raw.headers.or_default(), findings);
    let timeouts = timeouts(raw.timeouts.or_default(), &scope.timeouts);
    let websocket = websocket::resolve(raw.websocket.or_default(), &scope.websocket);
    accepted?;
    Some(PoolTarget {
        pool: pool?,
        takes_websocket: protocols.websocket,
        http: protocols.http.then_some(http),
        headers: headers::merge(headers, &scope.headers),
        strip_prefix: raw.strip_prefix.or(false),
        add_prefix,
        origins: origins.value()?,
        timeouts,
        websocket,
    })
}

/// Notes a key that has no effect if a protocol is not accepted.
fn refuse_without(protocol: &str, place: &Place, findings: &mut Findings) {
    let message = format!("has no effect on a route without `{protocol}` in `protocols`");
    findings.add(place, message);
}

/// The places of the timeouts that plain requests do not have.
fn session_timeouts(timeouts: &Setting<schema::SessionTimeouts>) -> impl Iterator<Item = &Place> {
    let given = timeouts.given().map(|placed| &placed.value);
    given.into_iter().flat_map(|given| {
        let keys = [&given.handshake, &given.close, &given.half_close];
        keys.into_iter().filter_map(Setting::place)
    })
}

fn timeouts(own: schema::SessionTimeouts, inherited: &schema::SessionTimeouts) -> SessionTimeouts {
    SessionTimeouts {
        connect: own.connect.or_inherit(&inherited.connect).or_seconds(3),
        handshake: own
            .handshake
            .or_inherit(&inherited.handshake)
            .or_seconds(10),
        close: own.close.or_inherit(&inherited.close).or_seconds(5),
        half_close: own
            .half_close
            .or_inherit(&inherited.half_close)
            .or_seconds(10),
    }
}
