//! What the parts of a tunnel do, each alone, and what a whole one does with streams at random.

mod closes;
mod ending;
mod follow;
mod frames;
mod keepalive;
mod loss;
mod peer;
mod properties;
mod slow;
mod turns;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::terms::{Terms, Words};
use super::{Account, Agreed, End, Tunnel};
use crate::config::{self, Name, OnProtocolError, WebSocket};
use crate::drain::Drain;
use crate::session::Peer;
use crate::telemetry::{Connection, FlushGuard, Request, SessionRecord, Telemetry};
use crate::websocket::{CloseCode, Extensions};

/// Terms without keepalive, age or limits.
fn terms() -> Terms {
    Terms {
        close: Duration::from_secs(5),
        half_close: Duration::from_secs(10),
        websocket: WebSocket {
            idle: None,
            ping: None,
            max_message_size: None,
            max_messages_per_second: None,
            max_age: None,
            max_age_jitter: 0.0,
            stall: None,
            on_protocol_error: OnProtocolError::Close,
            backend_lost_code: Some(1014),
        },
        drain: Words {
            code: CloseCode::SERVICE_RESTART,
            reason: "service restart".into(),
        },
    }
}

/// A tunnel between `ends` that `drain` may end.
fn tunnel(
    ends: [End<'_>; 2],
    terms: Terms,
    drain: &Drain,
    record: SessionRecord,
) -> Tunnel<(), ()> {
    let agreed = Agreed {
        terms: Arc::new(terms),
        extensions: Extensions::None,
    };
    let account = Account {
        watches: [drain.watch(), drain.watch(), drain.watch()],
        record,
        lease: (),
    };
    Tunnel::new(ends, agreed, account, ())
}

/// A record, and what brings its line at the end out to `log` when it is dropped.
fn record(log: impl Write + Send + 'static) -> (SessionRecord, FlushGuard) {
    let settings = config::Log {
        format: config::LogFormat::Json,
        level: tracing::Level::INFO,
        access: config::AccessLog {
            open: false,
            close: true,
            request: true,
            redact_query: true,
        },
    };
    let (telemetry, guard) = Telemetry::with_writer(&settings, log).unwrap();
    let connection = Connection {
        listener: telemetry.metrics.listener(&Name::from("public")),
        peer: Peer::Unix,
        tls_version: None,
    };
    let request = http::Request::new(());
    let facts = Request {
        id: "request",
        peer: connection.peer,
        method: None,
        host: b"",
        target: request.uri().path_and_query(),
        version: request.version(),
        headers: request.headers(),
    };
    let mut record = SessionRecord::begin(&telemetry, &connection, facts);
    record.open();
    (record, guard)
}
