//! CORS (the Fetch standard, section 3.2) on behalf of backends that do not do it themselves.
//!
//! The route's `origins` are allowed. CORS fields of the backend are replaced.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, request};

use super::RequestContext;
use super::headers::apply_rules;
use crate::admission::origin;
use crate::config::{Cors, FieldRules, Origins};
use crate::listener::{Body, text};
use crate::session::Rejection;
use crate::snapshot::{PoolTarget, Target};

const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// What the scripts of a page may do with an answer.
pub(super) struct Grant {
    /// The page's origin, or `*`; `None` if it is not allowed.
    origin: Option<HeaderValue>,
    credentials: bool,
    expose: Option<HeaderValue>,
}

impl Grant {
    /// The grant for the page that sent a request; `None` if the route does not do CORS.
    pub(super) fn of(context: RequestContext<'_>, target: &PoolTarget) -> Option<Self> {
        let cors = target.http.as_ref()?.cors.as_ref()?;
        Some(Self::new(context, cors, target))
    }

    fn new(context: RequestContext<'_>, cors: &Cors, target: &PoolTarget) -> Self {
        Self {
            origin: allowed(context, target).ok(),
            credentials: cors.credentials,
            expose: list(cors.expose.iter().map(HeaderName::as_str)),
        }
    }

    /// Writes it into an answer, replacing the backend's CORS fields.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let is_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
        let others: Vec<_> = headers.keys().filter(is_cors).cloned().collect();
        for name in others {
            headers.remove(name);
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(expose) = self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose);
        }
    }
}

/// Whether this is a preflight request of a browser.
pub(super) fn is_preflight(request: &request::Parts) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(ORIGIN)
        && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight request. No backend is asked.
pub(super) fn preflight(
    context: RequestContext<'_>,
    cors: &Cors,
    target: &PoolTarget,
    rules: Option<&FieldRules>,
) -> Result<Response<Body>, Rejection> {
    allowed(context, target)?;
    let mut answer = Response::new(text(""));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    apply_rules(rules, headers);
    let grant = Grant {
        expose: None,
        ..Grant::new(context, cors, target)
    };
    grant.write(headers);
    let methods = list(cors.methods.iter().map(Method::as_str));
    headers.extend(methods.map(|methods| (ACCESS_CONTROL_ALLOW_METHODS, methods)));
    let fields = list(cors.headers.iter().map(HeaderName::as_str));
    headers.extend(fields.map(|fields| (ACCESS_CONTROL_ALLOW_HEADERS, fields)));
    let seconds = cors.max_age.as_secs() + u64::from(cors.max_age.subsec_nanos() > 0);
    headers.insert(ACCESS_CONTROL_MAX_AGE, seconds.into());
    Ok(answer)
}

/// Lets a page read the refusal of its request, as it may read answers.
pub(super) fn allow_reading(context: RequestContext<'_>, target: &Target, refusal: &mut HeaderMap) {
    if let Target::Pool(target) = target
        && let Some(grant) = Grant::of(context, target)
    {
        grant.write(refusal);
    }
}

/// The value of Access-Control-Allow-Origin, if the page's origin is allowed.
fn allowed(context: RequestContext<'_>, target: &PoolTarget) -> Result<HeaderValue, Rejection> {
    let headers = &context.request.headers;
    origin::check(headers, &target.origins, || context.own_origin())?;
    match (&target.origins, headers.get(ORIGIN)) {
        (Origins::Any, _) => Ok(ANY),
        (Origins::List(_), Some(origin)) => Ok(origin.clone()),
        (Origins::List(_), None) => Err(Rejection::OriginDenied("The Origin header is missing.")),
    }
}

/// A comma-separated list; `None` if it is empty.
fn list<'a>(items: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let items: Vec<_> = items.collect();
    let is_any = !items.is_empty();
    is_any
        .then(|| HeaderValue::from_str(&items.join(", ")).ok())
        .flatten()
}
