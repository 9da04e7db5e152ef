//! The record of a request: collects facts and turns them into log lines and metrics.

mod facts;
mod plain;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Version};

use facts::Facts;
pub use plain::AnswerEnd;

use super::line::{Line, key};
use super::metrics::{BackendMetrics, HandshakeResult, ListenerMetrics, RouteMetrics};
use super::{DirectionTraffic, Telemetry, Traffic};
use crate::config::TlsVersion;
use crate::session::{Closure, Peer, Rejection, SessionId};

/// The facts about a connection once it speaks HTTP.
#[derive(Clone)]
pub struct Connection {
    /// The listener that accepted it.
    pub listener: Arc<ListenerMetrics>,
    /// Its other end: the client or a proxy.
    pub peer: Peer,
    /// The TLS version; none on a plain connection.
    pub tls_version: Option<TlsVersion>,
}

/// What is logged of a request. Of the header fields only those in the access log are read.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The X-Request-ID: the client's if it was accepted, or a new one.
    pub id: &'a str,
    /// The client, as trusted proxies report it.
    pub peer: Peer,
    /// The requested host; empty if unknown.
    pub host: &'a [u8],
    /// The request target; none if unknown.
    pub target: Option<&'a PathAndQuery>,
    /// The method of a plain request; none for an opening handshake, or if unknown.
    pub method: Option<&'a Method>,
    /// The version.
    pub version: Version,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// The record of one request and of the session that it may open.
///
/// Plain requests that a route takes have a record as well; see [`route`](Self::route).
///
/// Exactly one of these has an effect, the first that is called: [`refuse`](Self::refuse), [`relay`](Self::relay),
/// [`answer`](Self::answer), [`open`](Self::open) followed by [`close`](Self::close), or [`pass`](Self::pass) followed by
/// [`end`](Self::end). A record dropped before that, or while an answer is forwarded, counts as a client that left; one
/// dropped while the session is open, as a session that was cut. So there is always one final line and one set of counts.
pub struct SessionRecord {
    telemetry: Arc<Telemetry>,
    listener: Arc<ListenerMetrics>,
    tls_version: Option<TlsVersion>,
    /// The session's id, in all its lines.
    id: SessionId,
    began: Instant,
    route: Option<Arc<RouteMetrics>>,
    backend: Option<Arc<BackendMetrics>>,
    /// From the client to the backend.
    inward: Total,
    /// From the backend to the client.
    outward: Total,
    facts: Facts,
    http2: bool,
    kind: Kind,
    /// Whether an Upgrade of the client was not passed on.
    has_dropped_upgrade: bool,
    stage: Stage,
}

/// What a session has forwarded in one direction.
#[derive(Default)]
struct Total {
    bytes: u64,
    messages: u64,
}

impl Total {
    fn add(&mut self, traffic: &DirectionTraffic) {
        self.bytes += traffic.bytes;
        self.messages += traffic.messages();
    }
}

/// What is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An opening handshake, or a head that could not be read.
    Opening,
    /// A plain request.
    Plain,
    /// A plain request that a route took.
    Taken,
}

/// The state of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Open,
    /// The answer to a plain request is being forwarded; its status.
    Passing(StatusCode),
    Ended,
}

impl SessionRecord {
    /// Begins the record of a request.
    #[must_use]
    pub fn begin(
        telemetry: &Arc<Telemetry>,
        connection: &Connection,
        request: Request<'_>,
    ) -> Self {
        let log = &telemetry.access_log;
        let is_told = match request.method {
            Some(_) => log.writes_request(),
            None => log.writes_open() || log.writes_close(),
        };
        let facts = match is_told {
            true => Facts::of(&request, log.format(), log.redacts_query()),
            false => Facts::default(),
        };
        Self {
            telemetry: Arc::clone(telemetry),
            listener: Arc::clone(&connection.listener),
            tls_version: connection.tls_version,
            id: SessionId::random(),
            began: Instant::now(),
            route: None,
            backend: None,
            inward: Total::default(),
            outward: Total::default(),
            facts,
            kind: match request.method {
                Some(_) => Kind::Plain,
                None => Kind::Opening,
            },
            has_dropped_upgrade: false,
            http2: request.version == Version::HTTP_2,
            stage: Stage::Asked,
        }
    }

    /// Notes the request's route. If that `takes_http`, the outcome of a plain request is counted as such, not as that of a
    /// handshake.
    pub fn route(&mut self, route: &Arc<RouteMetrics>, takes_http: bool) {
        self.route = Some(Arc::clone(route));
        if takes_http && self.kind == Kind::Plain {
            self.kind = Kind::Taken;
        }
    }

    /// Notes which backend is tried; the last one accepted or answered, or did not.
    pub fn backend(&mut self, backend: &Arc<BackendMetrics>) {
        self.backend = Some(Arc::clone(backend));
    }

    /// The gateway refused. A client that left counts as one that got no answer.
    pub fn refuse(&mut self, rejection: Rejection) {
        let result = HandshakeResult::Refused(rejection);
        let status = (rejection != Rejection::ClientGone).then(|| rejection.status());
        self.finish("refused", result, status);
    }

    /// The backend answered with another status than 101, and that is forwarded.
    pub fn relay(&mut self, status: StatusCode) {
        self.finish("refused", HandshakeResult::BackendAnswered, Some(status));
    }

    /// The route answered by itself, without a pool.
    pub fn answer(&mut self, status: StatusCode) {
        self.finish("answered", HandshakeResult::Answered, Some(status));
    }

    /// Both sides accepted: the session is open.
    pub fn open(&mut self) {
        if self.stage != Stage::Asked {
            return;
        }
        self.stage = Stage::Open;
        let duration = self.began.elapsed();
        if let Some(route) = &self.route {
            route.session_opened(duration);
        }
        let log = &self.telemetry.access_log;
        if self.is_written(log.writes_open()) {
            let status = Some(self.opening_status());
            log.write(self.line("open", HandshakeResult::Accepted, status, duration));
        }
        if !log.writes_close() {
            self.facts = Facts::default();
        }
    }

    /// Adds traffic to the session and to the shared counters. To be called every few seconds and before
    /// [`close`](Self::close), not for each message.
    pub fn add_traffic(&mut self, traffic: &Traffic) {
        self.inward.add(&traffic.client_to_backend);
        self.outward.add(&traffic.backend_to_client);
        if let Some(route) = &self.route {
            route.add_traffic(traffic);
        }
    }

    /// Records the round-trip time of a Ping of the gateway.
    pub fn ping_answered(&self, round_trip: Duration) {
        if let Some(route) = &self.route {
            route.ping_answered(round_trip);
        }
    }

    /// The session ended.
    pub fn close(&mut self, closure: Closure) {
        if self.stage != Stage::Open {
            return;
        }
        self.stage = Stage::Ended;
        let duration = self.began.elapsed();
        if let Some(route) = &self.route {
            route.session_closed(&closure, duration);
        }
        let log = &self.telemetry.access_log;
        if self.is_written(log.writes_close()) {
            let status = Some(self.opening_status());
            let mut line = self.line("close", HandshakeResult::Accepted, status, duration);
            line.number(key!("bytes_in"), self.inward.bytes);
            line.number(key!("bytes_out"), self.outward.bytes);
            line.number(key!("messages_in"), self.inward.messages);
            line.number(key!("messages_out"), self.outward.messages);
            if let Some(code) = closure.code {
                line.number(key!("close_code"), code);
            }
            line.word(key!("close_initiator"), closure.initiator.label());
            line.word(key!("close_reason"), closure.reason.label());
            if !closure.detail.is_empty() {
                line.text(key!("detail"), closure.detail);
            }
            log.write(line);
        }
    }

    /// Ends a record without a session.
    fn finish(&mut self, event: &str, result: HandshakeResult, status: Option<StatusCode>) {
        if self.stage != Stage::Asked {
            return;
        }
        self.stage = Stage::Ended;
        match &self.route {
            Some(route) if self.kind == Kind::Taken => {
                route.request_answered(status, self.began.elapsed())
            }
            Some(route) => route.handshake_finished(result),
            None => self.telemetry.metrics.unrouted(result),
        }
        let log = &self.telemetry.access_log;
        let is_on = match self.kind {
            Kind::Taken => return self.write_request(result, status),
            Kind::Plain => log.writes_request(),
            Kind::Opening => log.writes_close(),
        };
        if self.is_written(is_on) {
            let mut line = self.line(event, result, status, self.began.elapsed());
            self.facts.write_method(&mut line);
            write_refusal(result, &mut line);
            log.write(line);
        }
    }

    /// Whether a line is written that `is_on` now. Not if it was off when the request began: then nothing is known of it.
    fn is_written(&self, is_on: bool) -> bool {
        is_on && !self.facts.is_empty()
    }

    /// Begins a line with the fields that all lines have.
    fn line(
        &self,
        event: &str,
        result: HandshakeResult,
        status: Option<StatusCode>,
        duration: Duration,
    ) -> Line {
        let log = &self.telemetry.access_log;
        let mut line = Line::begin(log.format(), SystemTime::now());
        line.word(key!("event"), event);
        line.safe(key!("session_id"), self.id);
        self.facts.write_identity(&mut line);
        line.word(key!("listener"), self.listener.name());
        if let Some(route) = &self.route {
            line.word(key!("route"), route.name());
            if let Some(pool) = route.pool() {
                line.word(key!("pool"), pool);
            }
        }
        if let Some(backend) = &self.backend {
            // Its address, if it has no other name.
            line.text(key!("backend"), backend.name());
        }
        self.facts.write_request(log.redacts_query(), &mut line);
        line.word(key!("protocol"), if self.http2 { "h2" } else { "h1" });
        if let Some(version) = self.tls_version {
            line.word(key!("tls_version"), tls_label(version));
        }
        if let Some(status) = status {
            line.number(key!("status"), status.as_u16());
        }
        line.word(key!("result"), result.label());
        line.number(key!("duration_ms"), whole_millis(duration));
        line
    }

    /// The status of an answer that opens a session (RFC 6455 section 4.2.2, RFC 8441 section 5).
    fn opening_status(&self) -> StatusCode {
        if self.http2 {
            StatusCode::OK
        } else {
            StatusCode::SWITCHING_PROTOCOLS
        }
    }
}

impl Drop for SessionRecord {
    fn drop(&mut self) {
        match self.stage {
            Stage::Asked => self.refuse(Rejection::ClientGone),
            Stage::Passing(status) => {
                let result = HandshakeResult::Refused(Rejection::ClientGone);
                self.write_request(result, Some(status));
            }
            Stage::Open => self.close(Closure::CUT),
            Stage::Ended => {}
        }
    }
}

/// Adds the level and the detail of a refusal.
fn write_refusal(result: HandshakeResult, line: &mut Line) {
    let HandshakeResult::Refused(rejection) = result else {
        return;
    };
    line.word(key!("level"), rejection.level().as_str());
    if !rejection.detail().is_empty() {
        line.text(key!("detail"), rejection.detail());
    }
}

fn whole_millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

fn tls_label(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::Tls12 => "TLSv1.2",
        TlsVersion::Tls13 => "TLSv1.3",
    }
}

#[cfg(test)]
mod tests;
