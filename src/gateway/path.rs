//! Which route a path leads to, and which path the backend gets.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Uri, request};

use super::RequestContext;
use crate::route::{has_parent_segment, has_valid_encoding, has_zero_byte, interpretations};
use crate::session::Rejection;
use crate::snapshot::{PoolTarget, Route, Snapshot};

const NOT_A_PATH: Rejection = Rejection::BadRequest("The request target is not a path.");

/// The route of a request.
///
/// Paths are forwarded as they came, and backends normalize them in different ways. A path that leads to one route as written
/// and to another one when normalized is refused: otherwise a client could get around the rules of the other route.
pub(super) fn find<'a>(
    snapshot: &'a Snapshot,
    context: RequestContext<'_>,
) -> Result<&'a Route, Rejection> {
    let path = context.request.uri.path();
    if !path.starts_with('/') {
        return Err(NOT_A_PATH);
    }
    if has_parent_segment(path) {
        return Err(Rejection::BadRequest("The path contains `..` segments."));
    }
    if has_zero_byte(path) {
        return Err(Rejection::BadRequest("The path contains a zero byte."));
    }
    if !has_valid_encoding(path) {
        return Err(Rejection::BadRequest(
            "The path contains a `%` that encodes nothing.",
        ));
    }
    let Some(host) = context.valid_host() else {
        return Err(Rejection::BadRequest("The host is not valid."));
    };
    let listener = context.client.connection.listener.name();
    let suits = |route: &Arc<Route>| route.target.takes(context.is_plain);
    let find = |path: &str| snapshot.table.find(host, path, listener, suits);
    let written = find(path).ok_or(Rejection::NoRoute)?;
    let is_same = |read: String| find(&read).is_some_and(|read| Arc::ptr_eq(written, read));
    if !interpretations(path).all(is_same) {
        return Err(Rejection::BadRequest("The path can be read in two ways."));
    }
    Ok(written)
}

/// The target that a backend gets (RFC 9112 section 3.2.1): without the prefix that the route strips, behind the one that it
/// adds.
pub(super) fn towards_backend(
    request: &request::Parts,
    target: &PoolTarget,
) -> Result<Uri, Rejection> {
    let Some(given) = request.uri.path_and_query() else {
        return Ok(Uri::default());
    };
    let stripped = target
        .prefix
        .as_ref()
        .and_then(|prefix| given.as_str().strip_prefix(prefix.as_str()));
    let target = match (&target.added_prefix, stripped) {
        // A target without a path (`http://host` or before a fragment) looks like `/` here, but would be written empty.
        (None, None) if given.as_str() == "/" => return Ok(Uri::default()),
        (None, None) => return Ok(Uri::from(given.clone())),
        // Some backends take what follows two slashes for a host.
        (None, Some(rest)) => format!("/{}", rest.trim_start_matches('/')),
        (Some(added), Some(rest)) => format!("{added}{rest}"),
        // Before a query the path may be missing; `path()` gives a slash then.
        (Some(added), None) => match given.query() {
            Some(query) => format!("{added}{}?{query}", given.path()),
            None => format!("{added}{}", given.path()),
        },
    };
    PathAndQuery::try_from(target)
        .map(Uri::from)
        .map_err(|_| NOT_A_PATH)
}
