//! Keys of a route, and of what routes inherit.

use super::{Headers, Http, Redirect, WebSocket};
use crate::config::host::HostPattern;
use crate::config::origin::OriginPattern;
use crate::config::problems::Complaint;
use crate::config::reading::{At, Definitions, Each, FromNode, FromScalar, Placed, Reader, keys};
use crate::config::tree::{Scalar, Value};
use crate::config::values::choice::{Protocol, Verdict};
use crate::config::values::{NotYet, PathText, Timeout, Whole};

keys! {
    /// Inherited by every route; a route overrides single keys.
    Defaults {
        /// Which origins may open sessions.
        origins: Origins,
        /// Deadlines of a session.
        timeouts: SessionTimeouts,
        /// What holds for sessions once they are open.
        websocket: WebSocket,
        /// What is said to backends in header fields, and in those of answers to clients.
        headers: Headers,
    }

    /// Which requests match, and what becomes of them.
    Route needs [["pool"], ["respond"], ["redirect"]] {
        /// Which requests match.
        r#match: RouteMatch,
        /// Which origins may open sessions; required here or in defaults.
        origins: Origins,
        /// Deadlines of a session.
        timeouts: SessionTimeouts,
        /// What holds for sessions once they are open.
        websocket: WebSocket,
        /// What is accepted: websocket, http, or both; both by default.
        protocols: Vec<Placed<Protocol>>,
        /// What holds for plain HTTP requests.
        http: Http,
        /// What is said to backends in header fields, and in those of answers to clients.
        headers: Headers,
        /// Reserved for tokens of clients; only null is accepted.
        auth: NotYet,
        /// Whether the path of match is removed before a request goes to a backend; false by default.
        strip_prefix: bool,
        /// What is put before the path then; nothing by default.
        add_prefix: PathText,
        /// The pool that sessions and requests go to; required, or respond, or redirect.
        pool: String,
        /// A fixed answer.
        respond: FixedAnswer,
        /// A redirect.
        redirect: Redirect,
    }

    /// Which requests match; all that is given must fit.
    RouteMatch {
        /// Host patterns; any host by default.
        hosts: Vec<Placed<HostPattern>>,
        /// A prefix on segment borders; / by default.
        path: PathText,
        /// Whether the path must be equal; false by default.
        exact: bool,
        /// Names of listeners; all by default.
        listeners: Each<String>,
    }

    /// Deadlines of a session.
    SessionTimeouts {
        /// To connect to one backend; 3s by default.
        connect: Timeout,
        /// To the backend's 101, all attempts together; 10s by default.
        handshake: Timeout,
        /// For the peer's Close before its connection is cut; 5s by default.
        close: Timeout,
        /// After one side ended its sending half; 10s by default.
        half_close: Timeout,
    }

    /// A fixed answer.
    FixedAnswer needs [["status"]] {
        /// Required. 200 to 599.
        status: Whole<u16, 200, 599>,
        /// The body, as plain text; empty by default. With status 204, 205 or 304 there is none.
        body: String,
    }

    /// Which origins may open sessions.
    OriginRules {
        /// Patterns, of which one must match.
        allow: Vec<Placed<OriginPattern>>,
        /// Pages from the address that they connect to: scheme, host and port of Origin are those of the request; deny by default.
        same: Verdict,
        /// A request without Origin; deny by default.
        missing: Verdict,
        /// A request with Origin: null; deny by default.
        opaque: Verdict,
    }
}

/// Which origins may open sessions: the word `any` or `same`, a list of patterns, or a map.
#[derive(Debug)]
pub(in crate::config) enum Origins {
    Any,
    Same,
    List(Vec<Placed<OriginPattern>>),
    Rules(OriginRules),
}

impl FromNode for Origins {
    type Value = Self;

    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match &at.node.value {
            Value::Scalar(_) => OriginWord::read(at, reader).map(|word| match word {
                OriginWord::Any => Self::Any,
                OriginWord::Same => Self::Same,
            }),
            Value::List(_) => Vec::<Placed<OriginPattern>>::read(at, reader).map(Self::List),
            Value::Map(_) => OriginRules::read(at, reader).map(Self::Rules),
        }
    }

    fn forms(definitions: &mut Definitions) -> Vec<serde_json::Value> {
        let list = Vec::<Placed<OriginPattern>>::forms(definitions);
        let rules = OriginRules::forms(definitions);
        [OriginWord::forms(definitions), list, rules].concat()
    }
}

enum OriginWord {
    Any,
    Same,
}

impl FromScalar for OriginWord {
    type Value = Self;

    const WANTED: &'static str = "`any`, `same`, a list of origins, or a map with `allow`";

    fn written() -> Vec<serde_json::Value> {
        vec![serde_json::json!({ "enum": ["any", "same"] })]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        match &*scalar.text {
            "any" => Some(Ok(Self::Any)),
            "same" => Some(Ok(Self::Same)),
            _ => None,
        }
    }
}
