//! Every metric: there from the start with 0, counted when it happens, bounded, gone with what it is about.

use crate::backends::Backend;
use crate::harness::{
    Gateway, Identity, Opening, Wire, ask, before, close, directory, echo, eventually, impatient,
    open, pool,
};

/// The enumerated series: name, label, values.
const ENUMERATED: [(&str, &str, &[&str]); 9] = [
    (
        "wsgate_config_reloads_total",
        "result",
        &["failure", "noop", "success"],
    ),
    (
        "wsgate_listener_rejects_total",
        "reason",
        &[
            "accept_failed",
            "bad_request",
            "client_full",
            "denied",
            "full",
            "head_too_large",
            "head_too_slow",
            "http2_error",
            "proxy_malformed",
            "proxy_missing",
            "proxy_untrusted",
            "tls_full",
        ],
    ),
    (
        "wsgate_tls_handshakes_total",
        "result",
        &["client_gone", "failure", "success", "timeout"],
    ),
    (
        "wsgate_handshakes_total",
        "result",
        &[
            "accepted",
            "answered",
            "backend_answered",
            "backend_failed",
            "backend_timeout",
            "bad_handshake",
            "bad_request",
            "body_too_large",
            "body_too_slow",
            "client_full",
            "client_gone",
            "draining",
            "gateway_full",
            "head_too_large",
            "head_too_slow",
            "no_ready_backend",
            "pool_full",
            "no_route",
            "method_not_allowed",
            "not_implemented",
            "origin_denied",
            "target_too_long",
            "too_many_handshakes",
            "unsupported_version",
            "upgrade_required",
        ],
    ),
    (
        "wsgate_sessions_closed_total",
        "initiator",
        &["backend", "client", "gateway"],
    ),
    (
        "wsgate_bytes_total",
        "direction",
        &["backend_to_client", "client_to_backend"],
    ),
    (
        "wsgate_backend_connects_total",
        "result",
        &[
            "abandoned",
            "answered",
            "connect_failed",
            "handshake_failed",
            "opened",
            "ports_exhausted",
            "resolve_failed",
            "timeout",
        ],
    ),
    (
        "wsgate_http_requests_total",
        "code",
        &["200", "2xx", "404", "4xx", "502", "5xx", "none", "other"],
    ),
    (
        "wsgate_listener_accepts_total",
        "listener",
        &["admin", "main"],
    ),
];

/// What has one series for each route, pool or process, and begins with 0.
const ZERO: [&str; 11] = [
    "wsgate_http_request_duration_seconds_count",
    "wsgate_drain_sessions",
    "wsgate_sessions_active",
    "wsgate_backend_sessions_active",
    "wsgate_backend_retries_total",
    "wsgate_handshake_duration_seconds_count",
    "wsgate_session_duration_seconds_count",
    "wsgate_sessions_closed_total",
    "wsgate_tls_handshake_duration_seconds_count",
    "wsgate_backend_connect_duration_seconds_count",
    "wsgate_access_log_dropped_lines_total",
];

#[tokio::test]
async fn everything_is_there_from_the_start_with_0() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let metrics = gateway.metrics();
    for (name, label, values) in ENUMERATED {
        let found = metrics.label_values(name, label);
        for value in values {
            assert!(found.contains(value), "{name}{{{label}={value}}}");
            assert_eq!(
                metrics.value(name, &[(label, value)]),
                Some(0.0),
                "{name} {value}"
            );
        }
    }
    for name in ZERO {
        assert_eq!(metrics.value(name, &[]), Some(0.0), "{name}");
    }
    assert_eq!(metrics.value("wsgate_build_info", &[]), Some(1.0));
    assert_eq!(
        metrics.label_values("wsgate_build_info", "version"),
        [env!("CARGO_PKG_VERSION")]
    );
    assert_eq!(
        metrics.value("wsgate_config_last_reload_successful", &[]),
        Some(1.0)
    );
    let taken = metrics.value("wsgate_config_last_reload_success_timestamp_seconds", &[]);
    assert!(taken.is_some_and(|taken| taken > 1e9), "{taken:?}");
    for name in [
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ] {
        assert!(metrics.value(name, &[]).is_some(), "{name}");
    }
}

#[tokio::test]
async fn the_end_of_a_certificate_is_told() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "a", &["a.test"]);
    let backend = Backend::echo().await;
    let yaml = format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{}] }} }} }}\n{}",
        identity.yaml(),
        before(&[&backend])
    );
    let gateway = Gateway::start_in(directory, &yaml).await;
    let labels = [("listener", "main"), ("name", "a.test")];
    let end = gateway.count(
        "wsgate_tls_certificate_not_after_timestamp_seconds",
        &labels,
    );
    assert!(end > 1e9, "{end}");
}

#[tokio::test]
async fn a_session_is_counted_from_its_opening_to_its_end() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let mut socket = open(gateway.address(), "/").await;
    let active = || {
        gateway.count(
            "wsgate_sessions_active",
            &[("route", "chat"), ("pool", "chat")],
        )
    };
    eventually("the session is counted", || active() == 1.0).await;
    echo(&mut socket, "hello").await;
    close(socket).await;
    eventually("the session is given back", || active() == 0.0).await;
    for (name, labels) in [
        ("wsgate_listener_accepts_total", &[("listener", "main")][..]),
        (
            "wsgate_handshakes_total",
            &[("route", "chat"), ("result", "accepted")],
        ),
        (
            "wsgate_handshake_duration_seconds_count",
            &[("route", "chat")],
        ),
        (
            "wsgate_session_duration_seconds_count",
            &[("route", "chat")],
        ),
        (
            "wsgate_sessions_closed_total",
            &[("route", "chat"), ("reason", "finished")],
        ),
        (
            "wsgate_backend_connects_total",
            &[("pool", "chat"), ("result", "opened")],
        ),
        (
            "wsgate_backend_connect_duration_seconds_count",
            &[("pool", "chat")],
        ),
    ] {
        assert_eq!(gateway.count(name, labels), 1.0, "{name}");
    }
    // Two frames each way: the text and the Close; towards the backend they are masked.
    let bytes = |direction| gateway.count("wsgate_bytes_total", &[("direction", direction)]);
    assert_eq!(bytes("client_to_backend"), 2.0 * 6.0 + 5.0);
    assert_eq!(bytes("backend_to_client"), 2.0 * 2.0 + 5.0);
}

/// Opens a session, has it ended, and expects that it is counted so.
async fn expect_end(backend: Backend, bytes: &[u8], initiator: &str, reason: &str) {
    let gateway = Gateway::start(&impatient(&[&backend])).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").text()).await;
    assert_eq!(wire.head().await.status(), 101);
    wire.send(bytes).await;
    let labels = [("initiator", initiator), ("reason", reason)];
    let ended = || gateway.count("wsgate_sessions_closed_total", &labels) == 1.0;
    eventually(&format!("{initiator} {reason}"), ended).await;
    let line = gateway.line("close").await;
    assert_eq!(line["close_initiator"], initiator);
    assert_eq!(line["close_reason"], reason);
    wire.gone().await;
}

#[tokio::test]
async fn a_backend_that_resets_is_counted_as_lost() {
    expect_end(Backend::resetting().await, b"x", "backend", "lost").await;
}

#[tokio::test]
async fn a_backend_that_ends_without_a_close_is_counted_as_lost() {
    expect_end(Backend::half_closing().await, b"", "backend", "lost").await;
}

#[tokio::test]
async fn a_close_that_is_not_followed_is_counted() {
    let close = b"\x88\x80mask";
    expect_end(
        Backend::never_reading().await,
        close,
        "client",
        "half_close",
    )
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let backend = Backend::flooding().await;
    let gateway = Gateway::start(&impatient(&[&backend])).await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").text()).await;
    assert_eq!(wire.head().await.status(), 101);
    wire.take(1 << 20).await;
    wire.reset();
    let labels = [
        ("route", "chat"),
        ("initiator", "client"),
        ("reason", "lost"),
    ];
    let ended = || gateway.count("wsgate_sessions_closed_total", &labels) == 1.0;
    eventually("the client is lost", ended).await;
    let bytes = gateway.count("wsgate_bytes_total", &[("direction", "backend_to_client")]);
    assert!(bytes >= f64::from(1 << 20), "{bytes}");
    backend.is_left().await;
}

#[tokio::test]
async fn no_label_says_who_asked_for_what() {
    let backend = Backend::echo().await;
    let yaml = before(&[&backend])
        .replace("\"ws", "{ name: a, url: \"ws")
        .replace("\"]", "\" }]");
    let gateway = Gateway::start(&yaml).await;
    for target in ["/secret-path", "/secret-path?secret-query"] {
        let request = Opening::to(target)
            .set("Host", "secret-host.test")
            .with("Origin", "https://secret-origin.test")
            .with("User-Agent", "secret-agent");
        ask(gateway.address(), request.text()).await;
        ask(gateway.address(), request.without("Upgrade").text()).await;
    }
    let metrics = gateway.metrics();
    for (name, value) in metrics.all_label_values() {
        let tells = value.contains("secret") || value.contains("127.0.0.1");
        assert!(!tells, "{name}: {value}");
    }
}

/// The series of what a reload removed disappear; those of what stays keep their counts.
#[tokio::test]
async fn series_go_with_what_they_are_about() {
    let backend = Backend::echo().await;
    let route = |name: &str| {
        format!("  {name}: {{ match: {{ path: /{name} }}, origins: any, pool: chat }}\n")
    };
    let yaml = |names: &[&str]| {
        let routes: String = names.iter().map(|name| route(name)).collect();
        format!(
            "defaults: {{ timeouts: {{ half_close: 200ms }} }}\nroutes:\n{routes}{}",
            pool("", &[&backend])
        )
    };
    let gateway = Gateway::start(&yaml(&["stays", "goes"])).await;
    for target in ["/stays", "/goes"] {
        ask(gateway.address(), Opening::to(target).text()).await;
    }
    let closed = || gateway.count("wsgate_sessions_closed_total", &[]) == 2.0;
    eventually("the sessions have ended", closed).await;
    gateway.change(&yaml(&["stays", "comes"])).await;
    let has = |name| {
        gateway
            .metrics()
            .label_values("wsgate_handshakes_total", "route")
            .contains(&name)
    };
    eventually("the series are gone", || !has("goes")).await;
    assert_eq!(gateway.handshakes("stays", "accepted"), 1.0);
    assert_eq!(gateway.handshakes("comes", "accepted"), 0.0);
}

#[tokio::test]
async fn connections_that_bring_no_request_are_counted() {
    let backend = Backend::echo().await;
    let yaml = "listeners: { main: { address: \"127.0.0.1:0\", \
         timeouts: { request_header: 1s }, limits: { request_head: 8KiB } } }\n";
    let gateway = Gateway::start(&(yaml.to_owned() + &before(&[&backend]))).await;
    let large = Opening::to("/").with("X", &"x".repeat(9000)).text();
    for (bytes, reason) in [
        ("nonsense\r\n\r\n", "bad_request"),
        (large.as_str(), "head_too_large"),
        ("GET / HTTP/1.1\r\n", "head_too_slow"),
    ] {
        ask(gateway.address(), bytes).await;
        let labels = [("listener", "main"), ("reason", reason)];
        let counted = || gateway.count("wsgate_listener_rejects_total", &labels) == 1.0;
        assert!(counted(), "{reason}");
    }
}
