//! What the admin side answers.

use serde_json::Value;
use wsgate::server::Outcome;

use crate::backends::Backend;
use crate::harness::{Answer, Gateway, before, close, echo, eventually_some, open, repeatedly};

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.values("content-type"), ["application/json"]);
    serde_json::from_str(&answer.body).expect("the body is JSON")
}

async fn started() -> (Gateway, Backend, String) {
    let backend = Backend::echo().await;
    let yaml = before(&[&backend]);
    (Gateway::start(&yaml).await, backend, yaml)
}

#[tokio::test]
async fn metrics_are_in_the_text_format() {
    let (gateway, _backend, _) = started().await;
    let answer = gateway.admin("GET", "/metrics").await;
    assert_eq!(answer.status(), 200);
    let kind = answer.value("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    assert!(
        answer
            .body
            .contains("# TYPE wsgate_handshakes_total counter")
    );
    assert!(answer.body.ends_with('\n'));
}

#[tokio::test]
async fn health_and_readiness_say_yes() {
    let (gateway, _backend, _) = started().await;
    for path in ["/healthz", "/readyz"] {
        let answer = gateway.admin("GET", path).await;
        assert_eq!(answer.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_gateway_that_stops_is_healthy_but_not_ready() {
    let backend = Backend::echo().await;
    let yaml = "drain: { window: 30s, deadline: 60s }\n".to_owned() + &before(&[&backend]);
    let mut gateway = Gateway::start(&yaml).await;
    let socket = open(gateway.address(), "/").await;
    gateway.stop().await;
    let answer = repeatedly("it is not ready", async || {
        let answer = gateway.admin("GET", "/readyz").await;
        (answer.status() != 200).then_some(answer)
    })
    .await;
    assert_eq!(answer.status(), 503);
    assert_eq!(gateway.admin("GET", "/healthz").await.status(), 200);
    assert_eq!(gateway.status().await["draining"], true);
    close(socket).await;
    assert_eq!(gateway.outcome().await, Outcome::Drained);
}

#[tokio::test]
async fn the_status_says_what_runs() {
    let (gateway, backend, _) = started().await;
    let mut socket = open(gateway.address(), "/").await;
    echo(&mut socket, "open on both sides").await;
    let status = gateway.status().await;
    assert_eq!(status["draining"], false);
    assert_eq!(status["configuration"]["generation"], 1);
    assert!(status["configuration"]["time"].is_string());
    let listener = &status["listeners"][0];
    assert_eq!(listener["name"], "main");
    assert_eq!(listener["address"], gateway.address().to_string());
    assert_eq!(listener["tls"], false);
    assert_eq!(listener["connections"], 1);
    let route = &status["routes"][0];
    assert_eq!(
        (&route["name"], &route["pool"]),
        (&"chat".into(), &"chat".into())
    );
    assert_eq!(route["sessions"], 1);
    let pool = &status["pools"][0];
    assert_eq!(
        (&pool["name"], &pool["sessions"]),
        (&"chat".into(), &1.into())
    );
    let member = &pool["backends"][0];
    assert_eq!(member["address"], backend.address().to_string());
    assert_eq!(
        (&member["weight"], &member["sessions"]),
        (&1.into(), &1.into())
    );
}

#[tokio::test]
async fn a_reload_reports_what_changed() {
    let (gateway, _backend, yaml) = started().await;
    gateway.rewrite(&yaml.replace("pool: chat }", "pool: chat, match: { path: /chat } }"));
    let answer = gateway.admin("POST", "/reload").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let report = json(&answer);
    assert_eq!(report["result"], "success");
    assert_eq!(report["generation"], 2);
    let changes = report["changes"].to_string();
    assert!(changes.contains("chat"), "{changes}");
    assert_eq!(gateway.status().await["configuration"]["generation"], 2);
}

#[tokio::test]
async fn a_reload_of_the_same_is_no_change() {
    let (gateway, _backend, _) = started().await;
    let answer = gateway.admin("POST", "/reload").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(json(&answer)["result"], "noop");
    let noop = [("result", "noop")];
    assert_eq!(gateway.count("wsgate_config_reloads_total", &noop), 1.0);
}

#[tokio::test]
async fn a_refused_reload_reports_every_problem_with_its_place() {
    let (gateway, _backend, yaml) = started().await;
    gateway.rewrite(&(yaml + "drain: { windov: 1s }\nlog: { level: loud }\n"));
    let answer = gateway.admin("POST", "/reload").await;
    assert_eq!(answer.status(), 422, "{answer:?}");
    let report = json(&answer);
    assert_eq!(report["result"], "failure");
    let errors = report["errors"].as_array().expect("a list").clone();
    assert_eq!(errors.len(), 2, "{errors:?}");
    for (error, words) in errors.iter().zip(["window", "level"]) {
        let error = error.as_str().expect("a text");
        assert!(error.contains("wsgate.yaml:"), "{error}");
        assert!(error.contains(words), "{error}");
    }
    let last = gateway.count("wsgate_config_last_reload_successful", &[]);
    assert_eq!(last, 0.0);
    assert_eq!(gateway.status().await["configuration"]["generation"], 1);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_the_wrong_method_405() {
    let (gateway, _backend, _) = started().await;
    assert_eq!(gateway.admin("GET", "/other").await.status(), 404);
    assert_eq!(gateway.admin("GET", "/reload").await.status(), 405);
    let answer = gateway.admin("POST", "/metrics").await;
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.values("allow"), ["GET, HEAD"]);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_reload() {
    let (gateway, _backend, _) = started().await;
    let request = format!(
        "POST /reload HTTP/1.1\r\nHost: {}\r\nOrigin: https://evil.example\r\n\r\n",
        gateway.admin_address()
    );
    let answer = crate::harness::ask(gateway.admin_address(), request).await;
    assert_eq!(answer.status(), 403);
    let reloads = gateway.count("wsgate_config_reloads_total", &[]);
    assert_eq!(reloads, 0.0);
}

#[tokio::test]
async fn the_page_names_what_there_is() {
    let (gateway, _backend, _) = started().await;
    let answer = gateway.admin("GET", "/").await;
    assert_eq!(answer.status(), 200);
    for name in ["/metrics", "/status"] {
        assert!(answer.body.contains(name), "{name}");
    }
}

#[tokio::test]
async fn the_admin_side_writes_no_access_log() {
    let (gateway, _backend, _) = started().await;
    gateway.admin("GET", "/healthz").await;
    let _socket = open(gateway.address(), "/").await;
    let first = eventually_some("a line", || gateway.log().lines().into_iter().next()).await;
    assert_eq!(first["event"], "open");
    assert_eq!(first["listener"], "main");
}
