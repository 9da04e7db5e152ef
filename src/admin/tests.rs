//! Each endpoint, asked as a client would.

use std::time::{Duration, SystemTime};

use http::header::{ALLOW, CONTENT_TYPE, HOST, ORIGIN};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::config::{AccessLog, Log, LogFormat, Name};
use crate::telemetry::FlushGuard;
use crate::upstream::{Change, LastCheck, Standing, State};

struct Fake {
    readiness: Readiness,
    report: ReloadReport,
}

impl Control for Fake {
    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    fn status(&self) -> Status {
        let backend = |name, sessions| BackendStatus {
            name: Name::from(name),
            address: format!("127.0.0.1:900{sessions}"),
            weight: 1,
            priority: 0,
            effective_weight: 0.5,
            sessions,
            standing: standing(),
            max_sessions: Some(100),
            is_full: false,
        };
        Status {
            started: SystemTime::now(),
            uptime: Duration::from_secs(90),
            generation: 3,
            configured: SystemTime::UNIX_EPOCH,
            draining: self.readiness == Readiness::Draining,
            drain_sessions: self.drain_sessions(),
            listeners: vec![ListenerStatus {
                name: Name::from("public"),
                address: "[::]:8443".to_owned(),
                tls: true,
                connections: 4,
            }],
            routes: vec![RouteStatus {
                name: Name::from("hello"),
                pool: None,
                sessions: 0,
                draining: false,
            }],
            pools: vec![PoolStatus {
                discovery: None,
                name: Name::from("chat"),
                waiting: 0,
                backends: vec![backend("a", 1), backend("b", 2)],
            }],
        }
    }

    fn drain_sessions(&self) -> usize {
        5
    }

    async fn drain(&self, target: DrainTarget) -> Option<usize> {
        match target {
            DrainTarget::Gateway => Some(3),
            DrainTarget::Backend(name) if name == "a" => Some(1),
            DrainTarget::Backend(_) | DrainTarget::Route(_) => None,
        }
    }

    fn order(&self, target: &BackendTarget, _: BackendOrder) -> Option<BackendStatus> {
        let mut pools = self.status().pools.into_iter();
        let pool = pools.find(|pool| *pool.name == target.pool)?;
        let mut backends = pool.backends.into_iter();
        backends.find(|backend| *backend.name == target.backend)
    }

    async fn reload(&self) -> ReloadReport {
        self.report.clone()
    }
}

fn standing() -> Standing {
    Standing {
        last: Change {
            from: State::Ready,
            to: State::Down,
            reason: "3 checks in a row failed: it refused the connection".to_owned(),
            at: SystemTime::UNIX_EPOCH,
            since: tokio::time::Instant::now(),
        },
        failures: 2,
        failed_checks: 3,
        check: Some(LastCheck {
            at: SystemTime::UNIX_EPOCH,
            begun: tokio::time::Instant::now(),
            fault: Some("it refused the connection".to_owned()),
        }),
    }
}

fn admin(readiness: Readiness, report: ReloadReport) -> (Admin<Fake>, FlushGuard) {
    let access = AccessLog {
        open: true,
        close: true,
        request: true,
        redact_query: true,
    };
    let log = Log {
        format: LogFormat::Json,
        level: tracing::Level::INFO,
        access,
    };
    let (telemetry, guard) = Telemetry::with_writer(&log, std::io::sink()).unwrap();
    (Admin::new(telemetry, Fake { readiness, report }), guard)
}

fn unchanged() -> ReloadReport {
    ReloadReport::Unchanged { changes: vec![] }
}

/// Status, Content-Type and body of the answer.
async fn ask(admin: &Admin<Fake>, method: Method, path: &str) -> (u16, String, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(())
        .unwrap();
    let (head, body) = admin.answer(request).await.into_parts();
    let content_type = head.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    (
        head.status.as_u16(),
        content_type,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn says_that_it_lives_and_whether_it_is_ready() {
    let pools = vec![Name::from("chat"), Name::from("page")];
    for (readiness, status, body) in [
        (Readiness::Ready, 200, "ready\n"),
        (
            Readiness::Discovering(pools),
            503,
            "discovering chat, page\n",
        ),
        (Readiness::Draining, 503, "draining\n"),
    ] {
        let (admin, _guard) = admin(readiness, unchanged());
        let answer = ask(&admin, Method::GET, "/readyz").await;
        assert_eq!((answer.0, answer.2.as_str()), (status, body));
        assert_eq!(ask(&admin, Method::GET, "/healthz").await.0, 200);
    }
}

#[tokio::test]
async fn shows_the_metrics() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    let (status, content_type, body) = ask(&admin, Method::GET, "/metrics").await;
    assert_eq!(
        (status, content_type.as_str()),
        (200, "text/plain; version=0.0.4")
    );
    assert!(body.contains("# TYPE wsgate_build_info gauge\n"));
}

#[tokio::test]
async fn whoever_gathers_metrics_keeps_nobody_waiting() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    let names = (0..200).map(|number| Name::from(format!("route-{number}")));
    let routes: Vec<_> = names
        .map(|name| admin.telemetry.metrics.route(&name, None))
        .collect();
    let scrape = || ask(&admin, Method::GET, "/metrics");
    let scrapes = async { tokio::join!(scrape(), scrape(), scrape()) };
    let mut scrapes = std::pin::pin!(scrapes);
    let at_once = timeout(Duration::ZERO, scrapes.as_mut()).await;
    assert!(at_once.is_err(), "others had to wait until it was done");
    assert_eq!(ask(&admin, Method::GET, "/healthz").await.0, 200);
    let (first, second, third) = scrapes.await;
    for (status, _, body) in [first, second, third] {
        assert_eq!(status, 200);
        assert!(body.contains("route=\"route-199\""));
    }
    drop(routes);
}

#[tokio::test]
async fn shows_what_runs() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    let (status, content_type, body) = ask(&admin, Method::GET, "/status?pretty").await;
    assert_eq!((status, content_type.as_str()), (200, "application/json"));
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(shown["uptime_seconds"], 90);
    assert_eq!(shown["draining"], false);
    assert_eq!(
        shown["configuration"],
        json!({"generation": 3, "time": "1970-01-01T00:00:00.000Z"})
    );
    assert_eq!(shown["listeners"][0]["address"], "[::]:8443");
    assert_eq!(
        shown["routes"],
        json!([{"name": "hello", "pool": null, "sessions": 0, "draining": false}])
    );
    assert_eq!(shown["pools"][0]["sessions"], 3);
    assert_eq!(
        shown["pools"][0]["backends"][1],
        json!({
            "name": "b",
            "address": "127.0.0.1:9002",
            "weight": 1,
            "priority": 0,
            "effective_weight": 0.5,
            "sessions": 2,
            "max_sessions": 100,
            "full": false,
            "state": "down",
            "reason": "3 checks in a row failed: it refused the connection",
            "since": "1970-01-01T00:00:00.000Z",
            "failures": 2,
            "failed_checks": 3,
            "last_check": {
                "time": "1970-01-01T00:00:00.000Z",
                "passed": false,
                "error": "it refused the connection",
            },
        })
    );
}

#[tokio::test]
async fn shows_a_page_that_needs_nothing_from_elsewhere() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    let (status, content_type, body) = ask(&admin, Method::GET, "/").await;
    assert_eq!(
        (status, content_type.as_str()),
        (200, "text/html; charset=utf-8")
    );
    assert!(!body.contains("://"), "an outside address in the page");
}

#[tokio::test]
async fn answers_a_reload_with_its_report() {
    let taken = ReloadReport::Taken {
        generation: 4,
        changes: vec!["route chat added".to_owned()],
    };
    let refused = ReloadReport::Refused {
        errors: vec!["line 3: unknown key".to_owned()],
    };
    for (report, status, expected) in [
        (
            taken,
            200,
            json!({"result": "success", "generation": 4, "changes": ["route chat added"]}),
        ),
        (unchanged(), 200, json!({"result": "noop", "changes": []})),
        (
            refused,
            422,
            json!({"result": "failure", "errors": ["line 3: unknown key"]}),
        ),
    ] {
        let (admin, _guard) = admin(Readiness::Ready, report);
        let answer = ask(&admin, Method::POST, "/reload").await;
        assert_eq!(answer.0, status);
        assert_eq!(serde_json::from_str::<Value>(&answer.2).unwrap(), expected);
    }
}

#[tokio::test]
async fn does_not_reload_for_another_sites_page() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    for (origin, status) in [
        ("https://evil.example", 403),
        ("http://127.0.0.1:9901", 200),
    ] {
        let request = Request::post("/reload")
            .header(HOST, "127.0.0.1:9901")
            .header(ORIGIN, origin)
            .body(())
            .unwrap();
        assert_eq!(
            admin.answer(request).await.status().as_u16(),
            status,
            "{origin}"
        );
    }
}

#[tokio::test]
async fn names_the_methods_it_takes() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    for (method, path, status, allowed) in [
        (Method::HEAD, "/metrics", 200, None),
        (Method::HEAD, "/", 200, None),
        (Method::POST, "/metrics", 405, Some("GET, HEAD")),
        (Method::GET, "/reload", 405, Some("POST")),
        (Method::DELETE, "/", 405, Some("GET, HEAD")),
        (Method::GET, "/nothing", 404, None),
        (Method::GET, "/metrics/", 404, None),
    ] {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .body(())
            .unwrap();
        let answer = admin.answer(request).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let allow = answer
            .headers()
            .get(ALLOW)
            .map(|allow| allow.to_str().unwrap());
        assert_eq!(allow, allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn drains_what_is_named_or_all() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    for (path, status, words) in [
        ("/drain", 202, "\"drain_sessions\": 3"),
        ("/drain?backend=a", 202, "\"drain_sessions\": 1"),
        ("/drain?backend=b", 404, "none by that name"),
        ("/drain?backends=a", 400, "Drain what?"),
    ] {
        let (answered, _, body) = ask(&admin, Method::POST, path).await;
        assert_eq!(answered, status, "{path}");
        assert!(body.contains(words), "{path}: {body}");
    }
    assert_eq!(ask(&admin, Method::GET, "/drain").await.0, 405);
}

#[tokio::test]
async fn drains_and_resumes_one_backend() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    for (method, path, status) in [
        (Method::POST, "/pools/chat/backends/b/drain", 202),
        (Method::POST, "/pools/chat/backends/b/resume", 200),
        (Method::POST, "/pools/chat/backends/c/drain", 404),
        (Method::POST, "/pools/talk/backends/b/resume", 404),
        (Method::POST, "/pools/chat/backends/b/stop", 404),
        (Method::GET, "/pools/chat/backends/b/drain", 405),
    ] {
        let (answered, content_type, body) = ask(&admin, method, path).await;
        assert_eq!(answered, status, "{path}");
        if answered < 300 {
            let answer: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(content_type, "application/json");
            assert_eq!(answer["pool"], "chat");
            assert_eq!(answer["backend"]["name"], "b");
        }
    }
}

#[tokio::test]
async fn does_not_drain_for_another_sites_page() {
    let (admin, _guard) = admin(Readiness::Ready, unchanged());
    let request = Request::post("/pools/chat/backends/b/drain")
        .header(HOST, "127.0.0.1:9901")
        .header(ORIGIN, "https://evil.example")
        .body(())
        .unwrap();
    assert_eq!(admin.answer(request).await.status(), StatusCode::FORBIDDEN);
}
