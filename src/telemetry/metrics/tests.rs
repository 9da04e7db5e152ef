//! Which series there are, and when they come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::session::{Closure, Initiator, Reason, Rejection};
use crate::telemetry::Traffic;
use crate::websocket::{Opcode, Side};

fn name(name: &str) -> Name {
    Name::from(name)
}

/// Whether a rendered text has a series of `family` with all of `labels`.
fn has(rendered: &str, family: &str, labels: &[&str]) -> bool {
    rendered
        .lines()
        .filter(|line| line.starts_with(&format!("wsgate_{family}{{")))
        .any(|line| labels.iter().all(|label| line.contains(label)))
}

#[test]
fn enumerated_values_are_there_from_the_start() {
    let metrics = Metrics::new();
    let _route = metrics.route(&name("chat"), Some(&name("rooms")));
    let rendered = metrics.render();
    for rejection in Rejection::LABELS {
        let result = format!("result=\"{rejection}\"");
        assert!(
            has(&rendered, "handshakes_total", &["route=\"chat\"", &result]),
            "{rejection}"
        );
        assert!(
            has(&rendered, "handshakes_total", &["route=\"\"", &result]),
            "{rejection}"
        );
    }
    for [initiator, code, reason] in endings::expected() {
        let sample = format!(
            "wsgate_sessions_closed_total{{code=\"{code}\",initiator=\"{initiator}\",\
             reason=\"{reason}\",route=\"chat\"}} 0\n"
        );
        assert!(rendered.contains(&sample), "{sample}");
    }
    for result in ["success", "failure", "noop"] {
        assert!(
            has(&rendered, "config_reloads_total", &[result]),
            "{result}"
        );
    }
}

#[test]
fn what_passes_a_tunnel_starts_at_zero() {
    let metrics = Metrics::new();
    let _route = metrics.route(&name("chat"), Some(&name("rooms")));
    let rendered = metrics.render();
    for direction in ["client_to_backend", "backend_to_client"] {
        let fixed = format!("direction=\"{direction}\"");
        let sample = |family: &str, opcode: &str| {
            format!("wsgate_{family}{{{fixed}{opcode},route=\"chat\"}} 0\n")
        };
        let mut samples = vec![
            sample("bytes_total", ""),
            sample("protocol_errors_total", ""),
            sample("message_size_bytes_count", ""),
            sample("message_size_bytes_sum", ""),
        ];
        for opcode in ["text", "binary"] {
            samples.push(sample("messages_total", &format!(",opcode=\"{opcode}\"")));
        }
        for opcode in ["close", "ping", "pong"] {
            let opcode = format!(",opcode=\"{opcode}\"");
            samples.push(sample("control_frames_total", &opcode));
        }
        for sample in samples {
            assert!(rendered.contains(&sample), "{sample}");
        }
    }
    assert!(rendered.contains("wsgate_ping_rtt_seconds_count{route=\"chat\"} 0\n"));
}

#[test]
fn a_route_has_a_bounded_number_of_series() {
    let metrics = Metrics::new();
    let _route = metrics.route(&name("chat"), Some(&name("rooms")));
    let rendered = metrics.render();
    let series = rendered.matches("route=\"chat\"").count();
    assert!(series <= 220, "{series}");
}

#[test]
fn traffic_is_added_to_its_direction_alone() {
    let metrics = Metrics::new();
    let route = metrics.route(&name("chat"), Some(&name("rooms")));
    let mut traffic = Traffic::default();
    let backend = traffic.direction_mut(Side::Backend);
    backend.bytes = 100;
    backend.message(Opcode::Text, 16);
    backend.message(Opcode::Binary, 17);
    backend.message(Opcode::Binary, 1 << 40);
    backend.control(Opcode::Pong);
    backend.protocol_error();
    route.add_traffic(&traffic);
    route.add_traffic(&traffic);
    route.ping_answered(Duration::from_millis(2));

    let rendered = metrics.render();
    let of_backend = "direction=\"backend_to_client\"";
    let sum = 2.0 * (33.0 + 2_f64.powi(40));
    for sample in [
        format!("bytes_total{{{of_backend},route=\"chat\"}} 200"),
        format!("messages_total{{{of_backend},opcode=\"text\",route=\"chat\"}} 2"),
        format!("messages_total{{{of_backend},opcode=\"binary\",route=\"chat\"}} 4"),
        format!("control_frames_total{{{of_backend},opcode=\"pong\",route=\"chat\"}} 2"),
        format!("control_frames_total{{{of_backend},opcode=\"ping\",route=\"chat\"}} 0"),
        format!("protocol_errors_total{{{of_backend},route=\"chat\"}} 2"),
        format!("message_size_bytes_bucket{{{of_backend},route=\"chat\",le=\"16\"}} 2"),
        format!("message_size_bytes_bucket{{{of_backend},route=\"chat\",le=\"64\"}} 4"),
        format!("message_size_bytes_bucket{{{of_backend},route=\"chat\",le=\"16777216\"}} 4"),
        format!("message_size_bytes_bucket{{{of_backend},route=\"chat\",le=\"+Inf\"}} 6"),
        format!("message_size_bytes_count{{{of_backend},route=\"chat\"}} 6"),
        format!("message_size_bytes_sum{{{of_backend},route=\"chat\"}} {sum}"),
        "ping_rtt_seconds_bucket{route=\"chat\",le=\"0.005\"} 1".to_owned(),
    ] {
        assert!(
            rendered.contains(&format!("\nwsgate_{sample}\n")),
            "{sample}\n{rendered}"
        );
    }
    let client: Vec<_> = rendered
        .lines()
        .filter(|line| line.contains("direction=\"client_to_backend\""))
        .collect();
    assert!(client.len() > 15, "{client:?}");
    assert!(client.iter().all(|line| line.ends_with(" 0")), "{client:?}");
}

#[test]
fn the_same_live_identity_has_the_same_handle() {
    let metrics = Metrics::new();
    let backend = metrics.backend(&name("rooms"), &name("a"));
    assert!(Arc::ptr_eq(
        &backend,
        &metrics.backend(&name("rooms"), &name("a"))
    ));
    assert!(!Arc::ptr_eq(
        &backend,
        &metrics.backend(&name("other"), &name("a"))
    ));
    assert!(Arc::ptr_eq(backend.pool(), &metrics.pool(&name("rooms"))));
}

#[test]
fn series_go_with_their_last_handle() {
    let metrics = Metrics::new();
    let listener = metrics.listener(&name("gone"));
    let certificate = metrics.certificate(&name("gone"), &name("gone.crt"));
    let shown = metrics.pool_certificate(&name("gone"), &name("gone.crt"));
    let route = metrics.route(&name("gone"), Some(&name("gone")));
    let backend = metrics.member(&name("gone"), &name("gone"));
    route.session_opened(Duration::ZERO);
    let closure = Closure {
        initiator: Initiator::Client,
        code: Some(4321),
        reason: Reason::Drain,
        detail: "",
    };
    assert!(!endings::expected().any(|[_, code, reason]| (code, reason) == ("4xxx", "drain")));
    route.session_closed(&closure, Duration::ZERO);
    certificate.set_not_after(SystemTime::UNIX_EPOCH);
    let before = metrics.render().matches("gone\"").count();
    assert!(before > 50, "{before}");

    let second = Arc::clone(&route);
    drop((listener, certificate, shown, route, backend));
    let rendered = metrics.render();
    assert!(
        has(&rendered, "handshakes_total", &["route=\"gone\""]),
        "a handle is still held"
    );
    assert!(!has(&rendered, "backend_connects_total", &["gone"]));
    drop(second);
    assert!(!metrics.render().contains("\"gone"));
}

/// A reload renames a backend that has a session: its state is shown under the new name alone.
#[test]
fn a_session_does_not_keep_the_state_of_an_old_name() {
    let metrics = Metrics::new();
    let old = metrics.member(&name("rooms"), &name("old"));
    old.set_up(false);
    let session = old.backend().session();
    drop(old);
    let _new = metrics.member(&name("rooms"), &name("new"));
    let rendered = metrics.render();
    assert!(has(&rendered, "backend_up", &["backend=\"new\""]));
    for family in ["backend_up", "backend_effective_weight"] {
        assert!(!has(&rendered, family, &["backend=\"old\""]), "{family}");
    }
    assert!(
        rendered.contains("wsgate_backend_sessions_active{backend=\"old\",pool=\"rooms\"} 1\n")
    );
    drop(session);
    assert!(!metrics.render().contains("\"old\""));
}

#[test]
fn a_session_keeps_the_series_of_its_old_pool() {
    let metrics = Metrics::new();
    let old = metrics.route(&name("chat"), Some(&name("old")));
    let new = metrics.route(&name("chat"), Some(&name("new")));
    old.session_opened(Duration::ZERO);
    new.session_opened(Duration::ZERO);
    drop(old);
    let rendered = metrics.render();
    assert!(!has(&rendered, "sessions_active", &["pool=\"old\""]));
    assert!(rendered.contains("wsgate_sessions_active{pool=\"new\",route=\"chat\"} 1\n"));
    assert!(
        rendered.contains("wsgate_handshakes_total{result=\"accepted\",route=\"chat\"} 2\n"),
        "the route's own series stay while any of its handles does"
    );
}

#[test]
fn a_handle_made_anew_keeps_its_series() {
    let metrics = Arc::new(Metrics::new());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let metrics = Arc::clone(&metrics);
            std::thread::spawn(move || {
                for _ in 0..500 {
                    metrics.pool(&name("rooms")).retried();
                    drop(metrics.render());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let pool = metrics.pool(&name("rooms"));
    let before = retries(&metrics.render());
    pool.retried();
    assert_eq!(retries(&metrics.render()), before + 1);
}

fn retries(rendered: &str) -> u64 {
    let sample = "wsgate_backend_retries_total{pool=\"rooms\"} ";
    rendered
        .lines()
        .find_map(|line| line.strip_prefix(sample))
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_backend_counts_sessions_by_guards() {
    let metrics = Metrics::new();
    let backend = metrics.backend(&name("rooms"), &name("a"));
    let guards = [backend.session(), backend.session()];
    let sample =
        |count| format!("wsgate_backend_sessions_active{{backend=\"a\",pool=\"rooms\"}} {count}\n");
    assert!(metrics.render().contains(&sample(2)));
    drop(guards);
    assert!(metrics.render().contains(&sample(0)));
}

#[test]
fn tells_whether_the_last_reload_was_taken() {
    let metrics = Metrics::new();
    for (result, successful) in [
        (ReloadResult::Failure, 0),
        (ReloadResult::Noop, 1),
        (ReloadResult::Success, 1),
    ] {
        metrics.reloaded(result);
        let sample = format!("wsgate_config_last_reload_successful {successful}\n");
        assert!(metrics.render().contains(&sample), "{result:?}");
        let count = format!(
            "wsgate_config_reloads_total{{result=\"{}\"}} 1\n",
            result.label()
        );
        assert!(metrics.render().contains(&count), "{result:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn includes_the_process() {
    assert!(
        Metrics::new()
            .render()
            .contains("\nprocess_resident_memory_bytes ")
    );
}

/// Metrics with a handle of every kind, and the handles.
fn complete() -> (Metrics, impl Sized) {
    let metrics = Metrics::new();
    let handles = (
        metrics.listener(&name("public")),
        metrics.certificate(&name("public"), &name("local.crt")),
        metrics.pool_certificate(&name("rooms"), &name("own.crt")),
        metrics.route(&name("chat"), Some(&name("rooms"))),
        metrics.member(&name("rooms"), &name("a")),
        metrics.discovery(&name("rooms")),
    );
    (metrics, handles)
}

/// The names of our families, without the prefix.
fn family_names(rendered: &str) -> BTreeSet<&str> {
    let types = rendered
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE wsgate_"));
    types.filter_map(|line| line.split(' ').next()).collect()
}

#[test]
fn every_metric_and_label_value_is_documented() {
    let document = include_str!("../../../docs/metrics.md");
    let (metrics, _handles) = complete();
    for family in family_names(&metrics.render()) {
        assert!(document.contains(&format!("| `{family}` |")), "{family}");
    }
    let values = labels::handshake_results()
        .chain(ConnectResult::TEXTS)
        .chain(ConnectionRejection::TEXTS)
        .chain(TlsResult::TEXTS)
        .chain(ReloadResult::TEXTS)
        .chain(labels::message_opcodes())
        .chain(labels::control_opcodes())
        .chain(Reason::TEXTS)
        .chain(Initiator::TEXTS);
    for value in values {
        assert!(document.contains(&format!("`{value}`")), "{value}");
    }
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let (metrics, _handles) = complete();
    let rendered = metrics.render();
    let known = family_names(&rendered);
    let texts = [
        include_str!("../../../docs/metrics.md"),
        include_str!("../../../deploy/prometheus/alerts.yml"),
        include_str!("../../../deploy/grafana/wsgate.json"),
    ];
    for text in texts {
        for used in text.split("wsgate_").skip(1) {
            let end = used.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
            let used = &used[..end.unwrap_or(used.len())];
            let family = ["_bucket", "_sum", "_count"]
                .into_iter()
                .find_map(|suffix| used.strip_suffix(suffix))
                .unwrap_or(used);
            assert!(family.is_empty() || known.contains(family), "wsgate_{used}");
        }
    }
}
