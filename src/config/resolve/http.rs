//! What holds for plain HTTP requests, and which protocols a route takes.

use std::time::Duration;

use crate::config::model::Http;
use crate::config::problems::Findings;
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::choice::Protocol;
use crate::config::values::{OneOf, OrNone, Size, Timeout};

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

pub(super) fn resolve(own: schema::Http) -> Http {
    let timeout = own.request_timeout.or(Timeout(Duration::from_secs(60)));
    let max_body = own.max_body.or(OrNone(None)).0;
    Http {
        request_timeout: timeout.0,
        max_body: max_body.map(|Size(bytes)| bytes as u64),
    }
}
