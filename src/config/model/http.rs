//! What holds for plain HTTP requests, what is said to backends in fields, and redirects.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};

/// What holds for the plain HTTP requests of a route.
#[derive(Clone, PartialEq, Debug)]
pub struct Http {
    /// To the head of the backend's answer, from the last byte of the request that was passed on.
    pub request_timeout: Duration,
    /// Bytes of a request's body; `None` where there is no limit.
    pub max_body: Option<u64>,
    /// Bytes of a body that have to come each second, on the average over `request_timeout`.
    pub min_upload_rate: u64,
    /// What scripts of other origins may do; `None` leaves CORS to the backend.
    pub cors: Option<Cors>,
}

impl Http {
    /// Bytes of a body that have to come in a time of `request_timeout`.
    #[must_use]
    pub fn least_upload(&self) -> u64 {
        let bytes = u128::from(self.min_upload_rate) * self.request_timeout.as_millis() / 1000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// What scripts of the route's origins may do (the Fetch standard, section 3.2).
#[derive(Clone, PartialEq, Debug)]
pub struct Cors {
    /// Methods beyond those that need no permission.
    pub methods: Vec<Method>,
    /// Fields of requests beyond those that need no permission.
    pub headers: Vec<HeaderName>,
    /// Fields of answers that scripts may read beyond those that need no permission.
    pub expose: Vec<HeaderName>,
    /// Whether requests may carry cookies; never where any origin is allowed.
    pub credentials: bool,
    /// How long a browser may remember a permission.
    pub max_age: Duration,
}

/// What is said to backends in fields.
#[derive(Clone, PartialEq, Debug)]
pub struct HeaderRules {
    /// Which fields tell a backend about the client.
    pub forwarded: Forwarded,
    /// Whether Host is passed on; otherwise it is the backend's address.
    pub preserve_host: bool,
    /// Fields that the route sets or removes, whatever the client or the gateway would send.
    pub fields: FieldRules,
}

/// Fields that are removed, and then fields that are set. Routes that inherit a list share it.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct FieldRules {
    /// Fields that are set, in the place of those with their names.
    pub set: Arc<[(HeaderName, HeaderValue)]>,
    /// Fields that are removed.
    pub remove: Arc<[HeaderName]>,
}

impl FieldRules {
    /// The names of all fields that are set or removed.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let set = self.set.iter().map(|(name, _)| name);
        set.chain(self.remove.iter())
    }
}

/// Which fields tell a backend about the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forwarded {
    /// X-Forwarded-For, -Proto, -Host, -Port and X-Real-IP.
    XForwarded,
    /// Forwarded (RFC 7239).
    Forwarded,
    /// All of these.
    Both,
    /// None of them.
    None,
}

impl Forwarded {
    /// Whether X-Forwarded-* are among them.
    #[must_use]
    pub fn says_x_forwarded(self) -> bool {
        matches!(self, Self::XForwarded | Self::Both)
    }

    /// Whether Forwarded is among them.
    #[must_use]
    pub fn says_forwarded(self) -> bool {
        matches!(self, Self::Forwarded | Self::Both)
    }
}

/// An answer that sends the client elsewhere.
#[derive(Clone, PartialEq, Debug)]
pub struct Redirect {
    /// The destination, in pieces.
    pub to: Vec<Piece>,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

impl Redirect {
    /// The beginning of a destination that is the place of the request otherwise: a scheme, perhaps with a label of the host.
    pub(in crate::config) fn to_same_place(&self) -> Option<&str> {
        let is_empty = |piece: &&Piece| matches!(piece, Piece::Text(text) if text.is_empty());
        let mut pieces = self.to.iter().filter(|piece| !is_empty(piece));
        let Some(Piece::Text(scheme)) = pieces.next() else {
            return None;
        };
        let others: Vec<_> = pieces.filter(|piece| **piece != Piece::Query).collect();
        (others == [&Piece::Host, &Piece::Path]).then_some(scheme)
    }
}

/// A piece of the destination of a redirect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// As it is written.
    Text(String),
    /// The host of the request, without its port.
    Host,
    /// The path of the request.
    Path,
    /// The query of the request with its question mark; empty if there is none.
    Query,
}
