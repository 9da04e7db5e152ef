//! Scenarios of one request: what it leaves in the log and in the metrics.

use serde_json::{Value, json};

use super::*;
use crate::config::{self, LogFormat, Name};
use crate::session::{Initiator, Reason};
use crate::telemetry::kept::Kept;
use crate::telemetry::{FlushGuard, Telemetry};
use crate::websocket::Opcode;

const EVERYTHING: config::AccessLog = config::AccessLog {
    open: true,
    close: true,
    request: true,
    redact_query: true,
};

struct Scenario {
    telemetry: Arc<Telemetry>,
    connection: Connection,
    route: Arc<RouteMetrics>,
    backend: Arc<BackendMetrics>,
    kept: Kept,
    guard: FlushGuard,
}

impl Scenario {
    fn new() -> Self {
        Self::with(EVERYTHING)
    }

    fn with(access: config::AccessLog) -> Self {
        Self::in_format(LogFormat::Json, access)
    }

    fn in_format(format: LogFormat, access: config::AccessLog) -> Self {
        let log = config::Log {
            format,
            level: tracing::Level::INFO,
            access,
        };
        let kept = Kept::default();
        let (telemetry, guard) = Telemetry::with_writer(&log, kept.clone()).unwrap();
        let connection = Connection {
            listener: telemetry.metrics.listener(&Name::from("public")),
            peer: Peer::tcp("[::ffff:192.0.2.1]:5000".parse().unwrap()),
            tls_version: Some(TlsVersion::Tls13),
        };
        let (route, pool) = (Name::from("chat"), Name::from("rooms"));
        Self {
            route: telemetry.metrics.route(&route, Some(&pool)),
            backend: telemetry.metrics.backend(&pool, &Name::from("a")),
            telemetry,
            connection,
            kept,
            guard,
        }
    }

    fn record(&self, request: &http::Request<()>) -> SessionRecord {
        self.record_of(request, None)
    }

    fn record_of(&self, request: &http::Request<()>, method: Option<&Method>) -> SessionRecord {
        let request = Request {
            id: "request-1",
            peer: self.connection.peer,
            method,
            host: request.headers().get("host").unwrap().as_bytes(),
            target: request.uri().path_and_query(),
            version: request.version(),
            headers: request.headers(),
        };
        SessionRecord::begin(&self.telemetry, &self.connection, request)
    }

    fn routed(&self) -> SessionRecord {
        let mut record = self.record(&request("/chat?token=secret&x&y="));
        record.route(&self.route, true);
        record.backend(&self.backend);
        record
    }

    fn has(&self, sample: &str) {
        let rendered = self.telemetry.render();
        assert!(
            rendered.lines().any(|line| line == sample),
            "{sample} is not in\n{rendered}"
        );
    }

    /// The lines written, without what differs from run to run.
    fn lines(self) -> Vec<Value> {
        drop(self.guard);
        let text = self.kept.text();
        text.lines()
            .map(|line| without_chance(serde_json::from_str(line).unwrap()))
            .collect()
    }
}

fn without_chance(mut line: Value) -> Value {
    let fields = line.as_object_mut().unwrap();
    assert_eq!(fields.remove("ts").unwrap().as_str().unwrap().len(), 24);
    assert_eq!(
        fields.remove("session_id").unwrap().as_str().unwrap().len(),
        32
    );
    assert!(fields.remove("duration_ms").unwrap().is_u64());
    line
}

fn request(target: &str) -> http::Request<()> {
    http::Request::get(target)
        .header("host", "chat.example.com")
        .header("origin", "https://app.example.com")
        .header("user-agent", "test/1.0")
        .header("authorization", "Bearer secret")
        .header("cookie", "secret=1")
        .body(())
        .unwrap()
}

fn finished() -> Closure {
    Closure {
        initiator: Initiator::Client,
        code: None,
        reason: Reason::Finished,
        detail: "",
    }
}

/// Bytes each way, and two messages to the client.
fn traffic(client_to_backend: u64, backend_to_client: u64) -> Traffic {
    let mut traffic = Traffic::default();
    traffic.client_to_backend.bytes = client_to_backend;
    traffic.backend_to_client.bytes = backend_to_client;
    traffic.backend_to_client.message(Opcode::Text, 5);
    traffic.backend_to_client.message(Opcode::Binary, 500);
    traffic
}

#[test]
fn is_small_while_the_session_is_idle() {
    assert!(
        size_of::<SessionRecord>() <= 144,
        "{}",
        size_of::<SessionRecord>()
    );
}

/// What every line of a routed request says.
fn routed_line() -> Value {
    json!({
        "request_id": "request-1", "client": "192.0.2.1:5000", "listener": "public",
        "route": "chat", "pool": "rooms", "backend": "a", "host": "chat.example.com",
        "path": "/chat?token=***&***&***", "origin": "https://app.example.com",
        "user_agent": "test/1.0", "protocol": "h1", "tls_version": "TLSv1.3",
    })
}

fn routed_line_and(more: Value) -> Value {
    let mut line = routed_line();
    line.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    line
}

#[test]
fn a_session_leaves_two_lines_and_one_set_of_counts() {
    let scenario = Scenario::new();
    let mut record = scenario.routed();
    record.open();
    scenario.has(r#"wsgate_sessions_active{pool="rooms",route="chat"} 1"#);
    record.add_traffic(&traffic(10, 20));
    record.add_traffic(&traffic(1, 2));
    scenario.has(r#"wsgate_bytes_total{direction="client_to_backend",route="chat"} 11"#);
    record.close(finished());
    record.close(finished());
    record.refuse(Rejection::NoRoute);
    drop(record);

    scenario.has(r#"wsgate_sessions_active{pool="rooms",route="chat"} 0"#);
    scenario.has(r#"wsgate_bytes_total{direction="backend_to_client",route="chat"} 22"#);
    scenario.has(r#"wsgate_handshakes_total{result="accepted",route="chat"} 1"#);
    scenario.has(r#"wsgate_handshakes_total{result="no_route",route="chat"} 0"#);
    scenario.has(r#"wsgate_handshake_duration_seconds_count{route="chat"} 1"#);
    scenario.has(r#"wsgate_session_duration_seconds_count{route="chat"} 1"#);
    scenario.has(
        r#"wsgate_sessions_closed_total{code="none",initiator="client",reason="finished",route="chat"} 1"#,
    );
    let accepted = json!({"event": "open", "status": 101, "result": "accepted"});
    let closed = json!({
        "event": "close", "status": 101, "result": "accepted", "bytes_in": 11, "bytes_out": 22,
        "messages_in": 0, "messages_out": 4,
        "close_initiator": "client", "close_reason": "finished",
    });
    assert_eq!(
        scenario.lines(),
        [routed_line_and(accepted), routed_line_and(closed)]
    );
}

#[test]
fn a_refusal_leaves_one_line_and_one_count() {
    let scenario = Scenario::new();
    let mut record = scenario.routed();
    record.refuse(Rejection::OriginDenied("Origin is missing."));
    record.open();
    drop(record);
    scenario.has(r#"wsgate_handshakes_total{result="origin_denied",route="chat"} 1"#);
    scenario.has(r#"wsgate_handshakes_total{result="accepted",route="chat"} 0"#);
    scenario.has(r#"wsgate_handshakes_total{result="client_gone",route="chat"} 0"#);
    let refused = json!({
        "event": "refused", "status": 403, "result": "origin_denied",
        "level": "INFO", "detail": "Origin is missing.",
    });
    assert_eq!(scenario.lines(), [routed_line_and(refused)]);
}

#[test]
fn a_request_without_a_route_is_counted_under_the_empty_one() {
    let scenario = Scenario::new();
    let mut record = scenario.record(&request("/"));
    record.refuse(Rejection::NoRoute);
    drop(record);
    scenario.has(r#"wsgate_handshakes_total{result="no_route",route=""} 1"#);
    let lines = scenario.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].get("route"), None);
}

#[test]
fn the_gateways_own_trouble_is_told_louder_than_the_clients() {
    let scenario = Scenario::new();
    scenario.routed().refuse(Rejection::NoReadyBackend);
    scenario.routed().refuse(Rejection::UnsupportedVersion);
    scenario.routed().relay(StatusCode::UNAUTHORIZED);
    let lines = scenario.lines();
    let levels = lines
        .iter()
        .map(|line| line.get("level"))
        .collect::<Vec<_>>();
    assert_eq!(levels, [Some(&json!("WARN")), Some(&json!("INFO")), None]);
}

#[test]
fn answers_of_others_are_told_apart() {
    let scenario = Scenario::new();
    scenario.routed().relay(StatusCode::UNAUTHORIZED);
    scenario.routed().answer(StatusCode::OK);
    scenario.has(r#"wsgate_handshakes_total{result="backend_answered",route="chat"} 1"#);
    scenario.has(r#"wsgate_handshakes_total{result="answered",route="chat"} 1"#);
    let relayed = json!({"event": "refused", "status": 401, "result": "backend_answered"});
    let answered = json!({"event": "answered", "status": 200, "result": "answered"});
    assert_eq!(
        scenario.lines(),
        [routed_line_and(relayed), routed_line_and(answered)]
    );
}

#[test]
fn a_record_that_is_dropped_ends_all_the_same() {
    let scenario = Scenario::new();
    drop(scenario.routed());
    let mut opened = scenario.routed();
    opened.open();
    drop(opened);
    scenario.has(r#"wsgate_handshakes_total{result="client_gone",route="chat"} 1"#);
    scenario.has(r#"wsgate_sessions_active{pool="rooms",route="chat"} 0"#);
    scenario.has(
        r#"wsgate_sessions_closed_total{code="none",initiator="gateway",reason="cut",route="chat"} 1"#,
    );
    let lines = scenario.lines();
    let events: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["refused", "open", "close"]);
    assert_eq!(lines[0].get("status"), None);
    assert_eq!(lines[2]["close_reason"], "cut");
}

/// The line of a session that has ended and that of a plain request, which have every field between them. Without what
/// differs from run to run.
fn lines_with_all_fields(format: LogFormat) -> Vec<String> {
    let scenario = Scenario::in_format(format, EVERYTHING);
    let mut session = scenario.routed();
    session.open();
    session.add_traffic(&traffic(10, 20));
    session.close(Closure {
        code: Some(1000),
        detail: "it \"said\" so",
        ..finished()
    });
    let mut request = request("/a\"b?x=1");
    let odd = http::HeaderValue::from_bytes("a=b\t\u{ad}ü".as_bytes()).unwrap();
    request.headers_mut().insert("user-agent", odd);
    let mut plain = scenario.record_of(&request, Some(&Method::POST));
    plain.route(&scenario.route, true);
    plain.pass(StatusCode::OK);
    plain.note_bodies(3, 4);
    plain.end(AnswerEnd::Broken);
    let ids = [session.id.to_string(), plain.id.to_string()];
    drop((session, plain, scenario.guard));
    let told = |line: &str| without_times(&line.replace(&ids[0], "S").replace(&ids[1], "P"));
    scenario.kept.text().lines().skip(1).map(told).collect()
}

/// The line with `T` as its time and `0` as its duration.
fn without_times(line: &str) -> String {
    let time = line.find("20").unwrap();
    let (before, rest) = line.split_at(line.find("duration_ms").unwrap());
    let digits = rest.trim_start_matches(|it: char| !it.is_ascii_digit());
    let key = &rest[..rest.len() - digits.len()];
    let after = digits.trim_start_matches(|it: char| it.is_ascii_digit());
    format!("{}T{}{key}0{after}", &before[..time], &before[time + 24..])
}

#[test]
fn every_field_has_its_place_as_json() {
    let closed = r#"{"ts":"T","event":"close","session_id":"S","request_id":"request-1","client":"192.0.2.1:5000","listener":"public","route":"chat","pool":"rooms","backend":"a","host":"chat.example.com","path":"/chat?token=***&***&***","origin":"https://app.example.com","user_agent":"test/1.0","protocol":"h1","tls_version":"TLSv1.3","status":101,"result":"accepted","duration_ms":0,"bytes_in":10,"bytes_out":20,"messages_in":0,"messages_out":2,"close_code":1000,"close_initiator":"client","close_reason":"finished","detail":"it \"said\" so"}"#;
    let answered = r#"{"ts":"T","event":"request","session_id":"P","request_id":"request-1","client":"192.0.2.1:5000","listener":"public","route":"chat","pool":"rooms","host":"chat.example.com","path":"/a\"b?x=***","origin":"https://app.example.com","user_agent":"a=b\u0009\u00adü","protocol":"h1","tls_version":"TLSv1.3","status":200,"result":"backend_failed","duration_ms":0,"method":"POST","bytes_in":3,"bytes_out":4,"level":"WARN","detail":"answer_broken"}"#;
    assert_eq!(lines_with_all_fields(LogFormat::Json), [closed, answered]);
}

#[test]
fn every_field_has_its_place_as_text() {
    let closed = r#"ts=T event=close session_id=S request_id=request-1 client=192.0.2.1:5000 listener=public route=chat pool=rooms backend=a host=chat.example.com path="/chat?token=***&***&***" origin=https://app.example.com user_agent=test/1.0 protocol=h1 tls_version=TLSv1.3 status=101 result=accepted duration_ms=0 bytes_in=10 bytes_out=20 messages_in=0 messages_out=2 close_code=1000 close_initiator=client close_reason=finished detail="it \"said\" so""#;
    let answered = r#"ts=T event=request session_id=P request_id=request-1 client=192.0.2.1:5000 listener=public route=chat pool=rooms host=chat.example.com path="/a\"b?x=***" origin=https://app.example.com user_agent="a=b\u0009\u00adü" protocol=h1 tls_version=TLSv1.3 status=200 result=backend_failed duration_ms=0 method=POST bytes_in=3 bytes_out=4 level=WARN detail=answer_broken"#;
    assert_eq!(lines_with_all_fields(LogFormat::Text), [closed, answered]);
}

#[test]
fn what_the_client_sends_is_bounded_and_cannot_forge_a_line() {
    let scenario = Scenario::new();
    let mut request = request(&format!("/{}", "p".repeat(4000)));
    let headers = request.headers_mut();
    let forged = http::HeaderValue::from_bytes(b"\xff\t\"}{\"event\":\"open\"").unwrap();
    headers.insert("user-agent", forged);
    headers.insert("origin", "o".repeat(9000).parse().unwrap());
    drop(scenario.record(&request));
    let lines = scenario.lines();
    let length = |key: &str| lines[0][key].as_str().unwrap().chars().count();
    assert_eq!((length("path"), length("origin")), (1025, 257));
    assert_eq!(lines[0]["user_agent"], "\u{fffd}\t\"}{\"event\":\"open\"");
    assert_eq!(lines[0]["event"], "refused");
}

#[test]
fn a_password_before_the_host_is_not_written() {
    let scenario = Scenario::new();
    drop(scenario.record(&request("http://user:secret@chat.example.com/")));
    let mut other = request("/");
    let headers = other.headers_mut();
    headers.insert("host", "user:secret@chat.example.com".parse().unwrap());
    drop(scenario.record(&other));
    for line in scenario.lines() {
        assert_eq!(line["host"], "chat.example.com");
    }
}

#[test]
fn writes_only_what_is_asked_for() {
    let access = |open, close| config::AccessLog {
        open,
        close,
        request: true,
        redact_query: false,
    };
    for (access, expected) in [
        (access(true, false), vec!["open"]),
        (access(false, true), vec!["close", "refused"]),
        (access(false, false), vec![]),
    ] {
        let scenario = Scenario::with(access);
        let mut record = scenario.routed();
        record.open();
        record.close(finished());
        scenario.routed().refuse(Rejection::Draining);
        let lines = scenario.lines();
        let events: Vec<_> = lines
            .iter()
            .map(|line| line["event"].as_str().unwrap())
            .collect();
        assert_eq!(events, expected);
        assert!(
            lines
                .iter()
                .all(|line| line["path"] == "/chat?token=secret&x&y=")
        );
    }
}

#[test]
fn a_reload_changes_which_lines_are_written() {
    let scenario = Scenario::with(config::AccessLog {
        open: false,
        close: false,
        request: true,
        redact_query: true,
    });
    scenario.routed().refuse(Rejection::Draining);
    let mut begun_before = scenario.routed();
    let all = config::AccessLog {
        open: true,
        close: true,
        request: true,
        redact_query: true,
    };
    scenario.telemetry.access_log.apply(&all);
    begun_before.refuse(Rejection::Draining);
    scenario.routed().refuse(Rejection::NoReadyBackend);
    let lines = scenario.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["result"], "no_ready_backend");
}

#[test]
fn a_reload_redacts_the_queries_of_open_sessions() {
    let access = |redact_query| config::AccessLog {
        open: true,
        close: true,
        request: true,
        redact_query,
    };
    let scenario = Scenario::with(access(false));
    let mut record = scenario.routed();
    record.open();
    scenario.telemetry.access_log.apply(&access(true));
    record.close(finished());
    let lines = scenario.lines();
    assert_eq!(lines[0]["path"], "/chat?token=secret&x&y=");
    assert_eq!(lines[1]["path"], "/chat?token=***&***&***");
    for key in ["host", "origin", "user_agent"] {
        assert_eq!(lines[0][key], lines[1][key]);
    }
}
